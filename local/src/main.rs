//! `cargo run`: the whole registry on this machine.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use local::cli::Cli;
use shared::lambda::config::Env;
use shared::lambda::logging;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&Env::of_the_process(), &cli);
    match cli.run(&mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Log lines go to standard error. Standard output is for the commands' own output.
fn start_log(env: &Env<'_>, cli: &Cli) {
    let (format, asked) = logging::settings(env);
    let is_asked = env.get("AWS_LAMBDA_LOG_LEVEL").is_some();
    let level = if is_asked { asked } else { cli.default_log_level() };
    // The embedded engine logs a warning for every failed condition, and those are normal here.
    let quieter = Targets::new().with_default(LevelFilter::TRACE).with_target("dynoxide", LevelFilter::ERROR);
    let subscriber = logging::subscriber(format, level, io::stderr).with(quieter);
    let _already_there = tracing::subscriber::set_global_default(subscriber);
}
