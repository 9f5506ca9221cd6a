//! The executable of `register`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::lambda::start::run::<functions::Register>().await
}
