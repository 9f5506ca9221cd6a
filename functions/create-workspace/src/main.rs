//! The `create-workspace` function's executable.

use std::process::ExitCode;

use shared::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run::<create_workspace::CreateWorkspace>().await
}
