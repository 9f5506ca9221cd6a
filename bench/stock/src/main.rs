//! The stock function: what one would write without a thought about its start. The SDK's defaults and `aws-config`'s, all
//! default features, cargo-lambda's default profile, several threads, and nothing done in init that a call could do. It
//! answers the same events as the floor (`bench/floor`) with the same conditional PutItem.
//!
//! It is frozen with its lock file: a change here makes the benchmark's ratios incomparable with those before.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await);
    let client = &client;
    run(service_fn(move |event| put(client, event))).await
}

async fn put(client: &Client, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let id = event.payload.pointer("/requestContext/requestId").and_then(Value::as_str).unwrap_or_default();
    client
        .put_item()
        .table_name(std::env::var("TABLE_NAME")?)
        .item("workspace_id", AttributeValue::S(id.to_owned()))
        .condition_expression("attribute_not_exists(workspace_id)")
        .send()
        .await?;
    Ok(json!({"statusCode": 201, "body": "{}"}))
}
