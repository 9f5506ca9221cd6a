//! The command line: `cargo run` serves, `cargo run -- admin-token` prints a token, `cargo run -- demo` plays the demo.

use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use domain::agent_url::AgentUrlPolicy;
use domain::tree::Roots;
use tracing::level_filters::LevelFilter;
use uuid::Uuid;

use crate::admin_token::{AdminToken, InvalidAdminToken};
use crate::demo::{self, DemoError};
use crate::engine::Engine;
use crate::protected::ProtectedApi;
use crate::registry::{DEFAULT_PORT, DEFAULT_TABLE_NAME, Options, Registry, StartError};

/// The workspace registry on this machine: API Gateway, Lambda and DynamoDB in one process.
#[derive(Parser)]
#[command(name = "local", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<CliCommand>,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Generates an admin token and prints it with its SHA-256, which a deployment takes as a parameter
    AdminToken,
    /// Runs two migrations and a team at work on a temporary registry, and checks every step
    Demo,
}

#[derive(Args)]
struct ServeOptions {
    /// The port to listen on; 0 picks a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The address to listen on; anybody who can reach it can invoke functions directly
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Keeps the data in this file instead of in memory
    #[arg(long, value_name = "FILE", conflicts_with = "dynamodb_endpoint")]
    data: Option<PathBuf>,
    /// Uses the DynamoDB engine at this URL instead of the embedded one
    #[arg(long, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
    /// The table's name; the table is created if it does not exist
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TABLE_NAME)]
    table_name: String,
    /// The admin token, 32 to 256 visible ASCII characters; generated if not given
    #[arg(long, value_name = "TOKEN", env = "ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Where an agent's URL may point: public, private or any
    #[arg(long, value_name = "POLICY", default_value = AgentUrlPolicy::Any.as_str(), value_parser = policy)]
    agent_url_policy: AgentUrlPolicy,
    /// Lets workspaces without a parent see each other
    #[arg(long)]
    roots_are_peers: bool,
    /// Forwards requests with this path prefix to a server on this machine, if the function authorize says yes; may be repeated
    #[arg(long, value_name = "PREFIX=URL", value_parser = ProtectedApi::parse)]
    authorize_proxy: Vec<ProtectedApi>,
}

/// Why the program fails. Each message is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The given admin token is not valid.
    #[error(transparent)]
    AdminToken(#[from] InvalidAdminToken),
    /// The registry does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The demo failed.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The signal handlers cannot be installed.
    #[error("The signal handlers cannot be installed: {0}.")]
    Signals(io::Error),
    /// Standard output is closed.
    #[error("The output cannot be written: {0}.")]
    Output(#[from] io::Error),
}

impl Cli {
    /// The log level unless one is set. The other commands print to the terminal, so they log errors only.
    pub fn default_log_level(&self) -> LevelFilter {
        match self.command {
            None => LevelFilter::INFO,
            Some(CliCommand::AdminToken | CliCommand::Demo) => LevelFilter::ERROR,
        }
    }

    /// Runs the command. Its output goes to `out`.
    ///
    /// # Errors
    /// [`CliError`].
    pub async fn run(self, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
        match self.command {
            None => serve(self.serve, out).await,
            Some(CliCommand::AdminToken) => Ok(write_admin_token(&AdminToken::generate(), out)?),
            Some(CliCommand::Demo) => Ok(demo::run(out).await?),
        }
    }
}

fn policy(text: &str) -> Result<AgentUrlPolicy, &'static str> {
    AgentUrlPolicy::parse(text).ok_or("it must be `public`, `private` or `any`")
}

async fn serve(options: ServeOptions, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let mut stop = std::pin::pin!(stop_signal().map_err(CliError::Signals)?);
    let (host, engine) = (options.host, options.engine());
    let protected = options.authorize_proxy.clone();
    let options = Options {
        host,
        port: options.port,
        engine: engine.clone(),
        table_name: options.table_name,
        admin_token: match options.admin_token {
            Some(text) => AdminToken::parse(&text)?,
            None => AdminToken::generate(),
        },
        agent_url_policy: options.agent_url_policy,
        roots: if options.roots_are_peers { Roots::Peers } else { Roots::Strangers },
        protected_apis: options.authorize_proxy,
        ..Options::default()
    };
    let registry = tokio::select! {
        started = Registry::start(options) => started?,
        () = &mut stop => return Ok(()),
    };
    if !host.is_loopback() {
        tracing::warn!(%host, "anybody who can reach this address can invoke functions directly");
    }
    let written = write_welcome(&registry, &engine, &protected, out);
    if let Err(error) = written {
        tracing::warn!(%error, "standard output cannot be written");
    }
    stop.await;
    registry.stop().await;
    Ok(())
}

impl ServeOptions {
    fn engine(&self) -> Engine {
        match (&self.data, &self.dynamodb_endpoint) {
            (Some(path), _) => Engine::File(path.clone()),
            (None, Some(endpoint)) => Engine::Endpoint(endpoint.clone()),
            (None, None) => Engine::Memory,
        }
    }
}

/// Waits for Ctrl-C, and on Unix also for SIGTERM.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _interrupted = tokio::signal::ctrl_c().await;
    })
}

fn write_admin_token(token: &AdminToken, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "admin token  {}", token.expose())?;
    writeln!(out, "SHA-256      {}", token.sha256())
}

fn write_welcome(
    registry: &Registry,
    engine: &Engine,
    protected: &[ProtectedApi],
    out: &mut dyn Write,
) -> io::Result<()> {
    let url = registry.url();
    let table = registry.table_name();
    let id = format!("try-{}", Uuid::new_v4().simple().to_string().split_at(8).0);
    writeln!(out, "Workspace registry, listening on {url}")?;
    match engine {
        Engine::Memory => writeln!(out, "  engine       embedded, in memory: lost when this stops")?,
        Engine::File(path) => writeln!(out, "  engine       embedded, kept in {}", path.display())?,
        Engine::Endpoint(endpoint) => writeln!(out, "  engine       {endpoint}, table {table}")?,
    }
    for api in protected {
        writeln!(out, "  protects     {} at {}", api.prefix(), api.target())?;
    }
    writeln!(out, "  admin token  {}\n", registry.admin_token().expose())?;
    writeln!(out, "Create a workspace, register its agent, read it:\n")?;
    writeln!(out, "ADMIN_TOKEN={}", shell_quoted(registry.admin_token().expose()))?;
    writeln!(
        out,
        "TOKEN=$(curl -sS {url}/workspaces -H \"Authorization: Bearer $ADMIN_TOKEN\" \
         -d '{{\"id\":\"{id}\",\"name\":\"First try\"}}' \
         | tee /dev/stderr | sed -E 's/.*\"auth_token\":\"([^\"]+)\".*/\\1/')"
    )?;
    writeln!(
        out,
        "curl -sS {url}/registry/register -H \"Authorization: Bearer $TOKEN\" \
         -d '{{\"id\":\"{id}\",\"url\":\"https://agent.example.com\",\"agent_card\":{{\"name\":\"First try\"}}}}'"
    )?;
    writeln!(out, "curl -sS {url}/workspaces/{id} -H \"Authorization: Bearer $TOKEN\"")?;
    out.flush()
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(arguments: &[&str]) -> Result<Cli, String> {
        let arguments = ["local"].iter().chain(arguments);
        Cli::try_parse_from(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn clap_accepts_the_command_line() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_engine_is_embedded_unless_an_endpoint_is_given() {
        let engine = |arguments: &[&str]| parsed(arguments).map(|cli| cli.serve.engine());
        assert_eq!(engine(&[]), Ok(Engine::Memory));
        assert_eq!(engine(&["--data", "a.sqlite"]), Ok(Engine::File("a.sqlite".into())));
        let endpoint = "http://127.0.0.1:8000";
        assert_eq!(engine(&["--dynamodb-endpoint", endpoint]), Ok(Engine::Endpoint(endpoint.to_owned())));
        assert!(engine(&["--dynamodb-endpoint", endpoint, "--data", "a"]).is_err());
    }

    #[test]
    fn a_policy_is_one_of_three() {
        assert!(parsed(&["--agent-url-policy", "private"]).is_ok());
        let error = parsed(&["--agent-url-policy", "none"]).err().unwrap();
        assert!(error.contains("`public`, `private` or `any`"), "{error}");
    }

    #[test]
    fn several_apis_may_be_protected() {
        let one = "/a/{id}=http://127.0.0.1:1";
        let two = ["--authorize-proxy", one, "--authorize-proxy", "/b=http://127.0.0.1:2"];
        assert_eq!(parsed(&two).map(|cli| cli.serve.authorize_proxy.len()), Ok(2));
        let error = parsed(&["--authorize-proxy", "/a=http://a.example"]).err().unwrap();
        assert!(error.contains("where HOST is this machine"), "{error}");
    }

    #[test]
    fn a_token_is_quoted_for_the_shell() {
        assert_eq!(shell_quoted("a'b$c"), r"'a'\''b$c'");
    }
}
