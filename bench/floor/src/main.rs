//! The floor: the least that a function on these crates does. One conditional PutItem for each of API Gateway's events,
//! the connection opened during init, and nothing else: no authentication, no checks, no log.
//!
//! The benchmark's ratios stand on it, so it is frozen: a change here makes them incomparable with those before.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    #[allow(clippy::disallowed_methods, reason = "there is no configuration to speak of")]
    let table = std::env::var("TABLE_NAME")?;
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await);
    let nothing = AttributeValue::S("-".to_owned());
    client.get_item().table_name(&table).key("workspace_id", nothing).send().await?;
    let (client, table) = (&client, &table);
    Runtime::new(service_fn(move |event| put(client, table, event))).run().await
}

async fn put(client: &Client, table: &str, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let id = event.payload.pointer("/requestContext/requestId").and_then(Value::as_str).unwrap_or_default();
    client
        .put_item()
        .table_name(table)
        .item("workspace_id", AttributeValue::S(id.to_owned()))
        .condition_expression("attribute_not_exists(workspace_id)")
        .send()
        .await?;
    Ok(json!({"statusCode": 201, "body": "{}"}))
}
