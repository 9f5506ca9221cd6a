//! The executable of `admin-hand-over`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::lambda::start::run::<functions::AdminHandOver>().await
}
