//! The `admin-revoke` function's executable.

use std::process::ExitCode;

use shared::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run::<admin_revoke::AdminRevoke>().await
}
