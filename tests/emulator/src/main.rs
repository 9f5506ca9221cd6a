//! Runs the built functions under the AWS Lambda Runtime Interface Emulator, on a real DynamoDB engine, and sends them the
//! event files of `local/events/`. Also starts them with a wrong configuration or without the store. It is a program, not a
//! test: a test would have to be skipped without an emulator.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a failed check may panic; the names are the documentation"
)]

mod init;
mod lambda;
mod story;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use local::template::{FunctionDefinition, Template};

#[derive(Parser)]
#[command(about = "Runs the built functions under Lambda's own emulator")]
pub struct Options {
    /// The emulator, `aws-lambda-rie`.
    #[arg(long)]
    emulator: PathBuf,
    /// Where the executables are, as `NAME/bootstrap`: cargo-lambda and SAM leave them in `target/lambda`.
    #[arg(long, default_value = "target/lambda")]
    executables: PathBuf,
    /// The DynamoDB engine.
    #[arg(long)]
    dynamodb_endpoint: String,
}

/// The functions under test, and what they answered and logged.
pub struct Suite {
    options: Options,
    template: Template,
    table: String,
    http: reqwest::Client,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let template = Template::embedded().map_err(|error| error.to_string())?;
    let table = format!("workspaces-{}", std::process::id());
    let ready = local::table::ensure(&options.dynamodb_endpoint, &table, &template.table).await;
    ready.map_err(|error| error.to_string())?;
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let suite = Suite { options, template, table, http };
    for function in &suite.template.functions {
        let executable = suite.executable(&function.name);
        if !executable.is_file() {
            return Err(format!("{} is not there: `sam build` makes it", executable.display()));
        }
    }
    story::check(&suite).await?;
    for function in &suite.template.functions {
        init::check(&suite, function).await?;
    }
    println!("the emulator suite holds");
    Ok(())
}

impl Suite {
    /// Absolute: the emulator starts it from another directory.
    fn executable(&self, function: &str) -> PathBuf {
        let path = self.options.executables.join(function).join("bootstrap");
        std::path::absolute(&path).unwrap_or(path)
    }

    /// A function's variables: the template's, and those that Lambda sets.
    fn variables(
        &self,
        function: &FunctionDefinition,
        store: &str,
    ) -> Result<BTreeMap<String, String>, String> {
        let parameters = BTreeMap::from([("AdminTokenSha256", story::ADMIN_TOKEN_SHA256.to_owned())]);
        let variables = self.template.environment(function, &parameters, &self.table);
        let mut variables = variables.map_err(|error| error.to_string())?;
        let timeout = function.timeout.as_secs().to_string();
        let of_lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_TIMEOUT", &timeout),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            // The most detailed level, at which the most could leak.
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "emulator"),
            ("AWS_SECRET_ACCESS_KEY", "emulator"),
            ("AWS_SESSION_TOKEN", "emulator"),
            ("AWS_ENDPOINT_URL_DYNAMODB", store),
        ];
        variables.extend(of_lambda.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(variables)
    }
}
