//! One process of a function, from its start to its end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime_api::{Answer, RuntimeApi};

/// The kernel counts CPU time in these (`getconf CLK_TCK`), in what it tells about processes.
const TICK: Duration = Duration::from_millis(10);

/// How much a pipe holds on Linux.
const PIPE: usize = 64 * 1024;
/// How often the log is read. Woken by every line, its reader would take the function's turn on the CPU each time; Lambda's
/// has a CPU of its own. In this time, a function writes some dozen lines, a tenth of what the pipe holds.
const LOG_PERIOD: Duration = Duration::from_millis(20);

/// How long a process that has asked for its next event is left alone before it is ended.
const SETTLE: Duration = Duration::from_millis(100);

pub struct Process {
    child: Child,
    api: RuntimeApi,
    started: Instant,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Runs the command with nothing but these variables and Lambda's own, its log in a pipe as on Lambda: a disk that is
    /// busy would be in the times.
    pub fn start(
        mut command: Command,
        variables: &BTreeMap<String, String>,
        events: Vec<Vec<u8>>,
    ) -> io::Result<Self> {
        let api = RuntimeApi::start(events)?;
        let (mut reader, writer) = io::pipe()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            let mut buffer = [0; PIPE];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
                pause(LOG_PERIOD);
            }
        });
        command
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .envs(LAMBDA_VARIABLES)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self { child, api, started, log })
    }

    /// Waits until all events are answered.
    pub fn wait(&self) -> Result<Vec<Answer>, String> {
        if self.api.wait_until_idle() {
            Ok(self.api.take_answers())
        } else {
            Err("the function did not answer in time".to_owned())
        }
    }

    /// Sends more events and waits until they are answered.
    pub fn invoke(&self, events: Vec<Vec<u8>>) -> Result<Vec<Answer>, String> {
        self.api.send(events);
        self.wait()
    }

    /// Asks it to end, and waits until it has.
    pub fn end(mut self) -> Result<(), String> {
        // What it does after its last request belongs to that.
        pause(SETTLE);
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        asked.and_then(|_| self.child.wait()).map(drop).map_err(|error| format!("it does not end: {error}"))
    }

    /// What it has logged, for somebody who wonders why it failed.
    pub fn log(&self) -> String {
        pause(LOG_PERIOD * 2);
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// From the start of the process to its first request for an event.
    pub fn init(&self) -> Option<Duration> {
        self.api.ready().map(|ready| ready.duration_since(self.started))
    }

    /// The most memory that it had resident, in KiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// The CPU time that it spent in user mode, in steps of 10 ms.
    pub fn user_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name, in brackets, may hold spaces. `utime` is the 14th field, the 12th after it.
        let (_, fields) = stat.rsplit_once(") ")?;
        fields.split(' ').nth(11)?.parse().ok().map(|ticks: u32| TICK * ticks)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "in a thread of its own, or after a failure: no time is taken meanwhile"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What Lambda sets, for a function of the template's size.
const LAMBDA_VARIABLES: [(&str, &str); 14] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_SESSION_TOKEN", "bench"),
    ("TZ", ":UTC"),
];
