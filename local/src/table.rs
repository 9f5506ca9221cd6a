//! The table, in whichever engine an endpoint leads to.

use std::error::Error;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
};

use crate::engine::{self, one_line};
use crate::template::{KeyElement, TableDefinition};

/// How often, and how many times, it is looked whether the table is ready.
const POLL: (Duration, u32) = (Duration::from_millis(100), 300);

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Nothing answers at the endpoint.
    #[error("The DynamoDB endpoint {endpoint} cannot be reached: {reason}.")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// What the SDK says.
        reason: String,
    },
    /// The engine answers, but not as needed.
    #[error("The DynamoDB endpoint {endpoint} does not give the table {table}: {reason}.")]
    Unusable {
        /// The endpoint.
        endpoint: String,
        /// The table.
        table: String,
        /// What the engine says.
        reason: String,
    },
}

/// Makes the table when it is not there, and waits until it can be used.
///
/// # Errors
/// [`TableError`], also when there is a table of that name with other keys or indexes.
pub async fn ensure(endpoint: &str, name: &str, definition: &TableDefinition) -> Result<(), TableError> {
    let table = Table { client: engine::client(endpoint), endpoint, name, definition };
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
    async fn is_ready(&self) -> Result<bool, TableError> {
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
        if !self.has_keys_of(&table) {
            let reason = "it is there with other keys or indexes than template.yaml gives it";
            return Err(self.failed(reason.to_owned()));
        }
        Ok(table.table_status == Some(TableStatus::Active))
    }

    fn has_keys_of(&self, table: &TableDescription) -> bool {
        let is_same = |found: &[KeySchemaElement], wanted: &[KeyElement]| {
            let found = found.iter().map(|key| (key.attribute_name(), key.key_type().as_str()));
            found.eq(wanted.iter().map(|key| (key.attribute_name.as_str(), key.key_type.as_str())))
        };
        let (found, wanted) =
            (table.global_secondary_indexes(), self.definition.global_secondary_indexes.as_slice());
        is_same(table.key_schema(), &self.definition.key_schema)
            && found.len() == wanted.len()
            && wanted.iter().all(|wanted| {
                found.iter().any(|found| {
                    found.index_name() == Some(&wanted.index_name)
                        && is_same(found.key_schema(), &wanted.key_schema)
                })
            })
    }

    async fn create(&self) -> Result<(), TableError> {
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
        request = request.set_key_schema(Some(self.key_schema(&self.definition.key_schema)?));
        for index in &self.definition.global_secondary_indexes {
            let projection = ProjectionType::from(index.projection.projection_type.as_str());
            let index = GlobalSecondaryIndex::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(self.key_schema(&index.key_schema)?))
                .projection(Projection::builder().projection_type(projection).build())
                .build();
            request = request.global_secondary_indexes(index.map_err(|error| self.failed(one_line(&error)))?);
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

    fn key_schema(&self, keys: &[KeyElement]) -> Result<Vec<KeySchemaElement>, TableError> {
        let element = |key: &KeyElement| {
            let element = KeySchemaElement::builder()
                .attribute_name(&key.attribute_name)
                .key_type(KeyType::from(key.key_type.as_str()))
                .build();
            element.map_err(|error| self.failed(one_line(&error)))
        };
        keys.iter().map(element).collect()
    }

    fn refused<E>(&self, error: &SdkError<E>) -> TableError
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
        TableError::Unreachable { endpoint: self.endpoint.to_owned(), reason: root_cause(error) }
    }

    fn failed(&self, reason: String) -> TableError {
        TableError::Unusable { endpoint: self.endpoint.to_owned(), table: self.name.to_owned(), reason }
    }
}

/// The innermost error: an SDK error wraps the one that tells something in many that do not.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => one_line(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EmbeddedEngine;
    use crate::template::Template;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    fn table_definition() -> TableDefinition {
        Template::embedded().expect("the template").table
    }

    #[tokio::test]
    async fn the_table_is_made_once_however_many_want_it() {
        let engine = EmbeddedEngine::start(None).await.expect("an engine");
        let definition = table_definition();
        let ensured = || ensure(engine.endpoint(), "workspaces", &definition);
        let (one, two, three) = tokio::join!(ensured(), ensured(), ensured());
        assert!(one.is_ok() && two.is_ok() && three.is_ok(), "{one:?} {two:?} {three:?}");
        assert!(ensured().await.is_ok());
        engine.stop().await;
    }

    #[tokio::test]
    async fn a_table_with_other_keys_is_refused() {
        let engine = EmbeddedEngine::start(None).await.expect("an engine");
        let mut other = table_definition();
        other.key_schema[0].attribute_name = "id".to_owned();
        other.attribute_definitions[0].attribute_name = "id".to_owned();
        other.attribute_definitions.truncate(1);
        other.global_secondary_indexes.clear();
        ensure(engine.endpoint(), "workspaces", &other).await.expect("a table");
        let mut without_index = table_definition();
        without_index.attribute_definitions.truncate(1);
        without_index.global_secondary_indexes.clear();
        ensure(engine.endpoint(), "older", &without_index).await.expect("a table");
        let refused = ensure(engine.endpoint(), "older", &table_definition()).await;
        assert!(refused.is_err(), "it has no index");
        let refused = ensure(engine.endpoint(), "workspaces", &table_definition()).await;
        let error = refused.expect_err("another key").to_string();
        assert!(
            error.ends_with("it is there with other keys or indexes than template.yaml gives it."),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_endpoint_that_nothing_answers_at_is_named() {
        // A port that was free a moment ago.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let error = ensure(&endpoint, "workspaces", &table_definition()).await.expect_err("no engine");
        let start = format!("The DynamoDB endpoint {endpoint} cannot be reached: ");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}
