//! The `admin-hand-over` function's executable.

use std::process::ExitCode;

use shared::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run::<admin_hand_over::AdminHandOver>().await
}
