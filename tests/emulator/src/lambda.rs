//! The emulator with one function in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::Suite;

/// How long the emulator may take to listen, in steps.
const POLL: (Duration, u32) = (Duration::from_millis(50), 200);

pub struct Emulator {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Emulator {
    /// Starts the emulator. The function itself is started by the first event.
    pub async fn start(
        suite: &Suite,
        function: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let directory = Path::new("target/emulator");
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let log = directory.join(format!("{function}.log"));
        let out = File::create(&log).map_err(|error| error.to_string())?;
        let own = File::create(directory.join(format!("{function}.emulator.log")));
        let own = own.map_err(|error| error.to_string())?;
        let (address, api) = (free_address()?, free_address()?);
        let mut command = Command::new(&suite.options.emulator);
        command
            .args(["--runtime-interface-emulator-address", &address, "--runtime-api-address", &api])
            .arg(suite.executable(function))
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(own)
            .kill_on_drop(true);
        let child = command.spawn();
        let child = child.map_err(|error| format!("{}: {error}", suite.options.emulator.display()))?;
        let url = format!("http://{address}/2015-03-31/functions/function/invocations");
        let (pause, times) = POLL;
        for _ in 0..times {
            if tokio::net::TcpStream::connect(&address).await.is_ok() {
                return Ok(Self { child, url, log });
            }
            tokio::time::sleep(pause).await;
        }
        Err("the emulator does not listen".to_owned())
    }

    /// Sends an event and returns the function's answer or error.
    pub async fn invoke(&self, suite: &Suite, event: Vec<u8>) -> Result<String, String> {
        let response = suite.http.post(&self.url).timeout(Duration::from_secs(30)).body(event).send().await;
        let text = response.map_err(|error| error.to_string())?.text().await;
        text.map_err(|error| error.to_string())
    }

    /// Stops it and returns the function's own log lines.
    pub async fn stop(mut self) -> Result<String, String> {
        self.child.kill().await.map_err(|error| error.to_string())?;
        let log = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        let of_the_emulator = ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "];
        let is_own =
            |line: &&str| !line.is_empty() && !of_the_emulator.iter().any(|start| line.starts_with(start));
        Ok(log.lines().filter(is_own).collect::<Vec<_>>().join("\n"))
    }
}

/// Checks that each line is a JSON object with the fields that CloudWatch shows.
pub fn check_log_lines(log: &str) -> Result<usize, String> {
    for line in log.lines() {
        let json: Value =
            serde_json::from_str(line).map_err(|_| format!("a log line is not JSON: {line}"))?;
        for member in ["timestamp", "level", "message"] {
            if !json[member].is_string() {
                return Err(format!("a log line without {member}: {line}"));
            }
        }
    }
    Ok(log.lines().count())
}

fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.to_string())
}
