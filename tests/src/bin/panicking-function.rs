//! A function that panics at every call, for `tests/properties/runtime_log.rs`. It logs as the registry's functions do, or with
//! `any-log` as its argument, everything that the Lambda runtime logs.

use std::process::ExitCode;

use shared::api::error::Audience;
use shared::api::event::{Answer, Event};
use shared::lambda::config::{ConfigError, Env};
use shared::lambda::start::{Function, Resources, run};
use tracing::level_filters::LevelFilter;

struct Panics;

impl Function for Panics {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(_: &Env<'_>, _: Resources) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    #[allow(clippy::panic, reason = "this is what it is for")]
    async fn answer(&self, _: Event) -> Answer {
        panic!("a bug")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "any-log") {
        // Set first, it stays: `run` cannot set another.
        tracing_subscriber::fmt().json().flatten_event(true).with_max_level(LevelFilter::TRACE).init();
    }
    run::<Panics>().await
}
