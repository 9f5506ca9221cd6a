//! How a function starts when something is wrong. With a wrong configuration it logs that and ends before it asks for an
//! event. Without the store it starts all the same, after a short delay.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use local::template::FunctionDefinition;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::Suite;
use crate::lambda::check_log_lines;

/// How long a function may take to end or to ask for an event.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the init may take without the store: half a second for the connection
/// (`shared::lambda::client::WARM_UP_TIMEOUT`), and the rest for a busy machine.
const LONGEST_INIT: Duration = Duration::from_millis(1_500);
/// Wrong values of each variable.
const WRONG: [(&str, &[Option<&str>]); 4] = [
    ("TABLE_NAME", &[None, Some("a table")]),
    ("ADMIN_TOKEN_SHA256", &[None, Some("not-a-digest")]),
    ("AGENT_URL_POLICY", &[Some("nowhere")]),
    ("PLATFORM_URL", &[Some("not-an-address")]),
];

pub async fn check(suite: &Suite, function: &FunctionDefinition) -> Result<(), String> {
    let variables = suite.variables(function, &suite.options.dynamodb_endpoint)?;
    for (variable, values) in WRONG {
        if !variables.contains_key(variable) {
            continue;
        }
        for value in values {
            let mut wrong = variables.clone();
            match value {
                None => wrong.remove(variable),
                Some(value) => wrong.insert(variable.to_owned(), (*value).to_owned()),
            };
            let what = format!("{}: {variable} {}", function.name, value.map_or("missing", |_| "not valid"));
            refuses_to_start(suite, function, &wrong, variable, *value)
                .await
                .map_err(|error| format!("{what}: {error}"))?;
            println!("ok: {what}: one line, a non-zero exit, no request for an event");
        }
    }
    for (what, listener) in [("refuses", None), ("does not answer", Some(silent().await?))] {
        let address = match &listener {
            Some(listener) => listener.local_addr().map_err(|error| error.to_string())?.to_string(),
            // Nobody listens on the discard port.
            None => "127.0.0.1:9".to_owned(),
        };
        let variables = suite.variables(function, &format!("http://{address}"))?;
        let init = starts(suite, function, &variables).await;
        let init = init.map_err(|error| format!("{}: the store {what}: {error}", function.name))?;
        if init > LONGEST_INIT {
            return Err(format!("{}: the store {what}: the init takes {init:?}", function.name));
        }
        println!("ok: {}: the store {what}: init ends after {} ms", function.name, init.as_millis());
    }
    Ok(())
}

async fn refuses_to_start(
    suite: &Suite,
    function: &FunctionDefinition,
    variables: &BTreeMap<String, String>,
    variable: &str,
    value: Option<&str>,
) -> Result<(), String> {
    let api = silent().await?;
    let running = command(suite, function, variables, &api)?.output();
    let output = tokio::select! {
        output = running => output.map_err(|error| error.to_string())?,
        _ = api.accept() => return Err("it asks for an event".to_owned()),
        () = tokio::time::sleep(PATIENCE) => return Err("it does not end".to_owned()),
    };
    if output.status.success() {
        return Err("it ends with success".to_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let said = said.trim_end();
    if check_log_lines(said)? != 1 || !said.contains(variable) {
        return Err(format!("not one line that names the variable: {said}"));
    }
    if value.is_some_and(|value| said.contains(value)) {
        return Err(format!("it shows the value: {said}"));
    }
    Ok(())
}

/// From the start of the process to its first request for an event.
async fn starts(
    suite: &Suite,
    function: &FunctionDefinition,
    variables: &BTreeMap<String, String>,
) -> Result<Duration, String> {
    let api = silent().await?;
    let started = Instant::now();
    let mut child = command(suite, function, variables, &api)?.spawn().map_err(|error| error.to_string())?;
    let (mut stream, _) = tokio::select! {
        accepted = api.accept() => accepted.map_err(|error| error.to_string())?,
        _ = child.wait() => return Err("it ends".to_owned()),
        () = tokio::time::sleep(PATIENCE) => return Err("it does not ask for an event".to_owned()),
    };
    let took = started.elapsed();
    let mut request = [0; 64];
    let read = stream.read(&mut request).await.map_err(|error| error.to_string())?;
    if !String::from_utf8_lossy(&request[..read]).starts_with("GET /2018-06-01/runtime/invocation/next ") {
        return Err("its first request is another one".to_owned());
    }
    Ok(took)
}

/// Accepts connections and never answers.
async fn silent() -> Result<TcpListener, String> {
    TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())
}

fn command(
    suite: &Suite,
    function: &FunctionDefinition,
    variables: &BTreeMap<String, String>,
    api: &TcpListener,
) -> Result<Command, String> {
    let api = api.local_addr().map_err(|error| error.to_string())?;
    let mut command = Command::new(suite.executable(&function.name));
    command
        .env_clear()
        .envs(variables)
        .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}
