//! The executable of `heartbeat`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::lambda::start::run::<functions::Heartbeat>().await
}
