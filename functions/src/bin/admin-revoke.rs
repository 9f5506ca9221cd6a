//! The executable of `admin-revoke`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::lambda::start::run::<functions::AdminRevoke>().await
}
