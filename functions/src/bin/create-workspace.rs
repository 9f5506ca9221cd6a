//! The executable of `create-workspace`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::lambda::start::run::<functions::CreateWorkspace>().await
}
