//! The DynamoDB client, set up for Lambda: bounded in time, so that a function always answers before it is stopped.
//!
//! A call makes at most 3 requests to the store (guarantee G13). Each may take `OPERATION_TIMEOUT` with all its
//! retries, so 9 s together, within the functions' own timeout of 10 s in `template.yaml`.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_types::SdkConfig;

use crate::config::{ConfigError, Env};

/// For the TCP and TLS handshakes. DynamoDB is in the same region, a few milliseconds away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// For one attempt. DynamoDB answers in some 10 ms; what takes 100 times that is lost, and another attempt is better.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// For one request with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(3_000);
/// The SDK's retries are the only ones: a second layer would multiply them.
const MAX_ATTEMPTS: u32 = 3;
/// The upper bound of the random wait before the first retry. The SDK's own, 1 s, would use the time up.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// For opening the connection during init, answer included. Usually that takes some tens of milliseconds; when it
/// takes this long the store is in trouble, and a caller had better hear that from a call than wait for the init.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_millis(500);

/// The behaviour of the SDK that the settings here were chosen with. Moving it is a change to be reviewed.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The client of a deployed function: region and credentials from Lambda's own variables, and the endpoint where one is
/// named. The SDK's search for them (files, metadata services, other roles) finds nothing else on Lambda, and would be a
/// seventh of the executable.
///
/// # Errors
/// [`ConfigError`] when one of the variables is missing.
pub(crate) fn from_environment(env: &Env<'_>) -> Result<Client, ConfigError> {
    Ok(from_sdk_config(&sdk_config(env)?.build()))
}

/// The same client with another way to the store.
///
/// # Errors
/// [`ConfigError`] when one of the variables is missing.
pub(crate) fn with_http_client(env: &Env<'_>, http_client: SharedHttpClient) -> Result<Client, ConfigError> {
    Ok(from_sdk_config(&sdk_config(env)?.http_client(http_client).build()))
}

fn sdk_config(env: &Env<'_>) -> Result<aws_types::sdk_config::Builder, ConfigError> {
    let credentials = Credentials::new(
        env.aws("AWS_ACCESS_KEY_ID")?,
        env.aws("AWS_SECRET_ACCESS_KEY")?,
        env.get("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(behavior_version())
        .region(Region::new(env.aws("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .use_fips(env.get("AWS_USE_FIPS_ENDPOINT").as_deref() == Some("true"))
        .use_dual_stack(env.get("AWS_USE_DUALSTACK_ENDPOINT").as_deref() == Some("true"));
    config.set_endpoint_url(env.get("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| env.get("AWS_ENDPOINT_URL")));
    Ok(config)
}

/// A client with this registry's timeouts and retries.
pub fn from_sdk_config(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(INITIAL_BACKOFF);
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(retries)
        .build();
    Client::from_conf(config)
}
