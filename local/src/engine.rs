//! DynamoDB: an engine inside this process, or one at an endpoint, and the table in it. Either is reached as the
//! functions reach the real one, through the SDK.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
    TableStatus,
};
use aws_types::SdkConfig;
use dynoxide::Database;
use shared::client;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::template::TableDefinition;

/// For requests that the engine is answering when it is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// What every SQLite file begins with (see <https://www.sqlite.org/fileformat.html>).
const SQLITE_MARK: &[u8] = b"SQLite format 3\0";
/// How often, and how many times, it is looked whether the table is ready.
const POLL: (Duration, u32) = (Duration::from_millis(100), 300);

/// Where the table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In this process's memory: gone when it ends.
    Memory,
    /// In a file, kept.
    File(PathBuf),
    /// In the engine at this URL.
    Endpoint(String),
}

/// Where an embedded engine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory.
    Memory,
    /// In a file, made when it is not there.
    File(PathBuf),
}

/// Why there is no engine, or no table in it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file cannot be read or written, or is not a database.
    #[error("The data file {} cannot be used: {reason}.", path.display())]
    DataFile {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// The embedded engine does not start.
    #[error("The embedded engine does not start: {0}.")]
    Embedded(String),
    /// There is no port for it.
    #[error("The embedded engine cannot listen on the loopback interface: {0}.")]
    Listen(#[source] io::Error),
    /// The endpoint is not one.
    #[error("The DynamoDB endpoint {0} is not an absolute http(s) URL.")]
    InvalidEndpoint(String),
    /// Nothing answers there.
    #[error("The DynamoDB endpoint {endpoint} cannot be reached: {reason}.")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// What the SDK says.
        reason: String,
    },
    /// The engine answers, but not as needed.
    #[error("The DynamoDB endpoint {endpoint} does not give the table {table}: {reason}.")]
    Table {
        /// The endpoint.
        endpoint: String,
        /// The table.
        table: String,
        /// What the engine says.
        reason: String,
    },
}

/// An engine inside this process, reached over the loopback interface. It ends when it is stopped or dropped.
pub struct EmbeddedEngine {
    endpoint: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), String>>,
}

impl EmbeddedEngine {
    /// Starts an engine on a port of its own.
    ///
    /// # Errors
    /// [`EngineError`] when the data file cannot be used or there is no port.
    pub async fn start(storage: Storage) -> Result<Self, EngineError> {
        // Opening a file may wait for its lock.
        let opened = tokio::task::spawn_blocking(move || open(storage)).await;
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

    /// Ends it, after some seconds at most.
    pub async fn stop(self) {
        drop(self.stop);
        let _in_time = tokio::time::timeout(GRACE, self.running).await;
    }
}

fn open(storage: Storage) -> Result<Database, EngineError> {
    match storage {
        Storage::Memory => Database::memory().map_err(|error| EngineError::Embedded(one_line(&error))),
        Storage::File(path) => {
            open_file(&path).map_err(|reason| EngineError::DataFile { path, reason: one_line(&reason) })
        }
    }
}

fn open_file(path: &Path) -> Result<Database, String> {
    // The engine's own errors for these say less.
    let start = read_start(path).map_err(|error| error.to_string())?;
    if !start.is_empty() && !start.starts_with(SQLITE_MARK) {
        return Err("it is not a database".to_owned());
    }
    let path = path.to_str().ok_or("its name is not UTF-8")?;
    Database::new(path).map_err(|error| error.to_string())
}

/// The beginning of a file that can be read and written, and is made when it is not there.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start)?;
    Ok(start)
}

/// A client with the functions' own timeouts and retries, for an engine that does not look at credentials.
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

/// Checks the form of an endpoint's URL.
///
/// # Errors
/// [`EngineError::InvalidEndpoint`].
pub fn check_endpoint(endpoint: &str) -> Result<(), EngineError> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url.filter(Url::has_host) {
        Some(_) => Ok(()),
        None => Err(EngineError::InvalidEndpoint(endpoint.to_owned())),
    }
}

/// Makes the table when it is not there, and waits until it can be used.
///
/// # Errors
/// [`EngineError`] when the endpoint cannot be reached, or there is a table of that name with another key.
pub async fn ensure_table(
    endpoint: &str,
    name: &str,
    definition: &TableDefinition,
) -> Result<(), EngineError> {
    let table = Table { client: client(endpoint), endpoint, name, definition };
    if !table.is_ready().await? {
        table.create().await?;
    }
    let (pause, times) = POLL;
    for _ in 0..times {
        if table.is_ready().await? {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err(table.failed("it does not become active".to_owned()))
}

struct Table<'a> {
    client: Client,
    endpoint: &'a str,
    name: &'a str,
    definition: &'a TableDefinition,
}

impl Table<'_> {
    /// Whether the table is there and active.
    async fn is_ready(&self) -> Result<bool, EngineError> {
        let described = self.client.describe_table().table_name(self.name).send().await;
        let table = match described {
            Ok(described) => described.table,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                None
            }
            Err(error) => return Err(self.refused(&error)),
        };
        let Some(table) = table else { return Ok(false) };
        if !self.has_key_of(&table) {
            return Err(self.failed("it is there with another key than template.yaml gives it".to_owned()));
        }
        Ok(table.table_status == Some(TableStatus::Active))
    }

    fn has_key_of(&self, table: &TableDescription) -> bool {
        let found = table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type().as_str()));
        let wanted =
            self.definition.key_schema.iter().map(|key| (key.attribute_name.as_str(), key.key_type.as_str()));
        found.eq(wanted)
    }

    async fn create(&self) -> Result<(), EngineError> {
        let mut request = self
            .client
            .create_table()
            .table_name(self.name)
            .billing_mode(BillingMode::from(self.definition.billing_mode.as_str()));
        for attribute in &self.definition.attribute_definitions {
            let attribute = AttributeDefinition::builder()
                .attribute_name(&attribute.attribute_name)
                .attribute_type(ScalarAttributeType::from(attribute.attribute_type.as_str()))
                .build();
            request =
                request.attribute_definitions(attribute.map_err(|error| self.failed(one_line(&error)))?);
        }
        for key in &self.definition.key_schema {
            let key = KeySchemaElement::builder()
                .attribute_name(&key.attribute_name)
                .key_type(KeyType::from(key.key_type.as_str()))
                .build();
            request = request.key_schema(key.map_err(|error| self.failed(one_line(&error)))?);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // Somebody else has just made it.
            Err(error)
                if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    fn refused<E>(&self, error: &SdkError<E>) -> EngineError
    where
        E: Error + ProvideErrorMetadata + 'static,
        SdkError<E>: ProvideErrorMetadata,
    {
        if error.as_service_error().is_some() {
            return self.failed(match (error.code(), error.message()) {
                (Some(code), Some(message)) => one_line(&format!("{code}: {message}")),
                (Some(code), None) => code.to_owned(),
                (None, _) => "what answers there is not DynamoDB".to_owned(),
            });
        }
        EngineError::Unreachable { endpoint: self.endpoint.to_owned(), reason: root_cause(error) }
    }

    fn failed(&self, reason: String) -> EngineError {
        EngineError::Table { endpoint: self.endpoint.to_owned(), table: self.name.to_owned(), reason }
    }
}

/// The innermost error: an SDK error wraps the one that tells something in many that do not.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => one_line(error),
    }
}

/// An error's text as a part of a sentence.
fn one_line(error: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    fn table_definition() -> TableDefinition {
        Template::embedded().expect("the template").table
    }

    /// A directory that goes with the test.
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
    async fn the_table_is_made_once_however_many_want_it() {
        let engine = EmbeddedEngine::start(Storage::Memory).await.expect("an engine");
        let definition = table_definition();
        let ensured = || ensure_table(engine.endpoint(), "workspaces", &definition);
        let (one, two, three) = tokio::join!(ensured(), ensured(), ensured());
        assert!(one.is_ok() && two.is_ok() && three.is_ok(), "{one:?} {two:?} {three:?}");
        assert!(ensured().await.is_ok());
        engine.stop().await;
    }

    #[tokio::test]
    async fn a_table_with_another_key_is_refused() {
        let engine = EmbeddedEngine::start(Storage::Memory).await.expect("an engine");
        let mut other = table_definition();
        other.key_schema[0].attribute_name = "id".to_owned();
        other.attribute_definitions[0].attribute_name = "id".to_owned();
        ensure_table(engine.endpoint(), "workspaces", &other).await.expect("a table");
        let refused = ensure_table(engine.endpoint(), "workspaces", &table_definition()).await;
        let error = refused.expect_err("another key").to_string();
        assert!(error.ends_with("it is there with another key than template.yaml gives it."), "{error}");
    }

    #[tokio::test]
    async fn a_data_file_keeps_the_table() {
        let scratch = Scratch::new();
        let path = scratch.0.join("data.sqlite");
        for _ in 0..2 {
            let engine = EmbeddedEngine::start(Storage::File(path.clone())).await.expect("an engine");
            ensure_table(engine.endpoint(), "workspaces", &table_definition()).await.expect("a table");
            engine.stop().await;
        }
        let engine = EmbeddedEngine::start(Storage::File(path)).await.expect("an engine");
        let tables = client(engine.endpoint()).list_tables().send().await.expect("tables");
        assert_eq!(tables.table_names(), ["workspaces"]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_and_left_as_it_is() {
        let scratch = Scratch::new();
        let path = scratch.0.join("letter.txt");
        std::fs::write(&path, "Dear Sir or Madam").expect("a file");
        let error = EmbeddedEngine::start(Storage::File(path.clone())).await.err().expect("no database");
        assert_eq!(
            error.to_string(),
            format!("The data file {} cannot be used: it is not a database.", path.display())
        );
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "Dear Sir or Madam");
        let missing = path.join("below-a-file");
        assert!(EmbeddedEngine::start(Storage::File(missing)).await.is_err());
    }

    #[tokio::test]
    async fn an_endpoint_that_nothing_answers_at_is_named() {
        // A port that was free a moment ago.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let error = ensure_table(&endpoint, "workspaces", &table_definition()).await.expect_err("no engine");
        let start = format!("The DynamoDB endpoint {endpoint} cannot be reached: ");
        assert!(error.to_string().starts_with(&start), "{error}");
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
