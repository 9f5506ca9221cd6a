//! What the Lambda runtime itself logs, and what of it `shared::lambda::logging` lets through. A function
//! ([`panicking-function`](../../src/bin/panicking-function.rs)) runs in its own process, on a Runtime API that this test serves. It
//! refuses the first event and panics at the second.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;

const SECRET: &str = "hunter2";
/// The first is neither HTTP nor direct.
const EVENTS: [&str; 2] = ["7", r#"{"workspace_id": "w", "token": "hunter2"}"#];

#[tokio::test]
async fn g8_of_the_runtime_s_lines_our_log_has_the_panic_alone() {
    let lines = lines_of(&[]).await;
    assert_eq!(errors_of_the_runtime(&lines), ["user handler panicked"], "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(SECRET)), "{lines:#?}");
    // The function's own line about the refusal.
    assert_eq!(lines.iter().filter(|line| line.contains("refused an event")).count(), 1, "{lines:#?}");
}

/// If this fails, the filter has nothing to hide any more.
#[tokio::test]
async fn unfiltered_the_runtime_logs_function_errors_and_events() {
    let lines = lines_of(&["any-log"]).await;
    let errors = errors_of_the_runtime(&lines);
    assert_eq!(errors.len(), 2, "{lines:#?}");
    assert!(errors[0].contains("error_type"), "{errors:?}");
    assert_eq!(errors[1], "user handler panicked");
    assert!(lines.iter().any(|line| line.contains(SECRET)), "{lines:#?}");
}

fn errors_of_the_runtime(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_wanted = |line: &Value| {
        line["level"] == "ERROR"
            && line["target"].as_str().is_some_and(|target| target.starts_with("lambda_runtime"))
    };
    lines.filter(is_wanted).map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The log lines of a process that runs the function.
async fn lines_of(arguments: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(Notify::new());
    let answered = Arc::clone(&done);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (asked, done) = (Arc::clone(&asked), Arc::clone(&done));
            let service = service_fn(move |request| answer(request, Arc::clone(&asked), Arc::clone(&done)));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_panicking-function"))
        .args(arguments)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("TABLE_NAME", "workspaces"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let written = tokio::spawn(async move {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        text
    });
    tokio::time::timeout(Duration::from_secs(30), answered.notified())
        .await
        .expect("both events are answered");
    child.kill().await.unwrap();
    server.abort();
    written.await.unwrap().lines().map(str::to_owned).collect()
}

/// The Runtime API: gives out the events, takes any answer, and lets the process wait for a third event.
async fn answer(
    request: Request<Incoming>,
    asked: Arc<AtomicUsize>,
    done: Arc<Notify>,
) -> hyper::Result<Response<Full<Bytes>>> {
    if !request.uri().path().ends_with("/invocation/next") {
        return Ok(Response::builder().status(202).body(Full::default()).unwrap());
    }
    let Some(event) = EVENTS.get(asked.fetch_add(1, Ordering::SeqCst)) else {
        done.notify_one();
        return std::future::pending().await;
    };
    let response = Response::builder()
        .header("lambda-runtime-aws-request-id", "r-1")
        .header("lambda-runtime-deadline-ms", "4102444800000")
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:f");
    Ok(response.body(Full::new(Bytes::from_static(event.as_bytes()))).unwrap())
}
