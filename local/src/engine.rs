//! DynamoDB: an engine inside this process, or one at an endpoint. Both are called through the SDK, as DynamoDB is.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use dynoxide::Database;
use shared::lambda::client;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

/// How long a stopping engine may take to finish its requests.
const GRACE: Duration = Duration::from_secs(5);
/// The first bytes of every SQLite file (see <https://www.sqlite.org/fileformat.html>).
const SQLITE_MARK: &[u8] = b"SQLite format 3\0";

/// Where the table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In this process's memory, lost when it ends.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In the engine at this URL.
    Endpoint(String),
}

/// Why the engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file cannot be read or written, or is not a database.
    #[error("The data file {} cannot be used: {reason}.", path.display())]
    DataFile {
        /// The file.
        path: PathBuf,
        /// The engine's error.
        reason: String,
    },
    /// The embedded engine does not start.
    #[error("The embedded engine does not start: {0}.")]
    Embedded(String),
    /// It cannot listen on a port.
    #[error("The embedded engine cannot listen on the loopback interface: {0}.")]
    Listen(#[source] io::Error),
    /// The endpoint's URL is not valid.
    #[error("The DynamoDB endpoint {0} is not an absolute http(s) URL.")]
    InvalidEndpoint(String),
}

/// An engine inside this process, served on the loopback interface. It ends when it is stopped or dropped.
pub struct EmbeddedEngine {
    endpoint: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), String>>,
}

impl EmbeddedEngine {
    /// Starts an engine on a free port. Its data is in the file, which is created if it does not exist, or in memory.
    ///
    /// # Errors
    /// [`EngineError`] if the data file cannot be used or no port is free.
    pub async fn start(file: Option<PathBuf>) -> Result<Self, EngineError> {
        // Opening a file may block on its lock.
        let opened = tokio::task::spawn_blocking(move || open(file)).await;
        let database = opened.map_err(|error| EngineError::Embedded(error.to_string()))??;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(EngineError::Listen)?;
        let address = listener.local_addr().map_err(EngineError::Listen)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _dropped = stopped.await;
        };
        let running = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, stopped));
        Ok(Self { endpoint: format!("http://{address}"), stop, running })
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops it, after a few seconds at most.
    pub async fn stop(self) {
        drop(self.stop);
        let _in_time = tokio::time::timeout(GRACE, self.running).await;
    }
}

fn open(file: Option<PathBuf>) -> Result<Database, EngineError> {
    match file {
        None => Database::memory().map_err(|error| EngineError::Embedded(one_line(&error))),
        Some(path) => {
            open_file(&path).map_err(|reason| EngineError::DataFile { path, reason: one_line(&reason) })
        }
    }
}

fn open_file(path: &Path) -> Result<Database, String> {
    // The engine's own errors for these cases say less.
    let start = read_start(path).map_err(|error| error.to_string())?;
    if !start.is_empty() && !start.starts_with(SQLITE_MARK) {
        return Err("it is not a database".to_owned());
    }
    let path = path.to_str().ok_or("its name is not UTF-8")?;
    Database::new(path).map_err(|error| error.to_string())
}

/// The first bytes of a file. Creates the file if it does not exist, and fails if it cannot be written.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start)?;
    Ok(start)
}

/// A client with the functions' timeouts and retries, for an engine that checks no credentials.
pub fn client(endpoint: &str) -> Client {
    let credentials = Credentials::new("local", "local", None, None, "local");
    let config = SdkConfig::builder()
        .behavior_version(client::behavior_version())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build();
    client::from_sdk_config(&config)
}

/// Checks that an endpoint is an absolute http(s) URL.
///
/// # Errors
/// [`EngineError::InvalidEndpoint`].
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), EngineError> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url.filter(Url::has_host) {
        Some(_) => Ok(()),
        None => Err(EngineError::InvalidEndpoint(endpoint.to_owned())),
    }
}

/// An error's text on one line, without the full stop, to be put into a sentence.
pub(crate) fn one_line(error: &(impl Display + ?Sized)) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;
    use crate::template::Template;

    /// A directory that is removed after the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let directory = std::env::temp_dir().join(format!("local-engine-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir(&directory).expect("a directory");
            Self(directory)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _best_effort = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_data_file_keeps_the_table() {
        let scratch = Scratch::new();
        let path = scratch.0.join("data.sqlite");
        let definition = Template::embedded().expect("the template").table;
        for _ in 0..2 {
            let engine = EmbeddedEngine::start(Some(path.clone())).await.expect("an engine");
            table::ensure(engine.endpoint(), "workspaces", &definition).await.expect("a table");
            engine.stop().await;
        }
        let engine = EmbeddedEngine::start(Some(path)).await.expect("an engine");
        let tables = client(engine.endpoint()).list_tables().send().await.expect("tables");
        assert_eq!(tables.table_names(), ["workspaces"]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_and_left_as_it_is() {
        let scratch = Scratch::new();
        let path = scratch.0.join("letter.txt");
        std::fs::write(&path, "Dear Sir or Madam").expect("a file");
        let error = EmbeddedEngine::start(Some(path.clone())).await.err().expect("no database");
        assert_eq!(
            error.to_string(),
            format!("The data file {} cannot be used: it is not a database.", path.display())
        );
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "Dear Sir or Madam");
        let missing = path.join("below-a-file");
        assert!(EmbeddedEngine::start(Some(missing)).await.is_err());
    }

    #[test]
    fn an_endpoint_is_an_http_url() {
        assert!(check_endpoint("http://127.0.0.1:8000").is_ok());
        assert!(check_endpoint("https://dynamodb.example").is_ok());
        for endpoint in ["", "127.0.0.1:8000", "ftp://a", "http://", "localhost"] {
            assert!(check_endpoint(endpoint).is_err(), "{endpoint}");
        }
    }
}
