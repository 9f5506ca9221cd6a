//! The DynamoDB client, with time limits that let a function always answer before Lambda stops it.
//!
//! A call that writes makes at most 3 requests to the store (guarantee G13). Each may take `OPERATION_TIMEOUT` with all its
//! retries, so `CALL_TIMEOUT` together. A call that lists makes more, and ends after the same time. The functions' own time-out
//! in `template.yaml` is 10 s.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_types::SdkConfig;

use crate::api::error::Error;
use crate::lambda::config::{ConfigError, Env};
use crate::lambda::tls;

/// For the TCP and TLS handshakes. DynamoDB is in the same region, a few milliseconds away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// For one attempt. DynamoDB usually answers within 10 ms. After 100 times that, another attempt is better.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// For one request with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(3_000);
/// For a call with all its requests.
const CALL_TIMEOUT: Duration = Duration::from_millis(9_000);
/// The SDK's retries are the only ones: a second layer would multiply them.
const MAX_ATTEMPTS: u32 = 3;
/// The upper bound of the random wait before the first retry. The SDK's default of 1 s would use up the time.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// For opening the connection during init, with the response. That usually takes tens of milliseconds. If it takes this
/// long, the store has a problem, and it is better to report it in a call than to delay the start.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_millis(500);

/// The SDK's behaviour that these settings were chosen for. Review a change of it.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The client of a deployed function: region, credentials and endpoint from environment variables. The SDK's default chain
/// (files, metadata services, other roles) would find nothing else on Lambda, and would be a seventh of the executable.
///
/// # Errors
/// [`ConfigError`] when one of the variables is missing.
pub(crate) fn from_environment(env: &Env<'_>) -> Result<Client, ConfigError> {
    Ok(from_sdk_config(&sdk_config(env)?.build()))
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
    let endpoint = env.get("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| env.get("AWS_ENDPOINT_URL"));
    config.set_endpoint_url(endpoint);
    Ok(config)
}

/// Ends a call that may make more requests than there is time for.
///
/// # Errors
/// The call's own, or [`Error::StoreUnavailable`] when the time is up.
pub async fn within_call_timeout<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let timed_out = |_| Error::StoreUnavailable { cause: "the call's time is up".to_owned() };
    tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(timed_out)?
}

/// A client with this registry's timeouts and retries. On AWS's own endpoint it trusts Amazon's roots, unless the configuration
/// brings an HTTP client.
pub fn from_sdk_config(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(INITIAL_BACKOFF);
    let http_client = config.http_client().or_else(|| tls::http_client(config.endpoint_url()));
    let mut config = aws_sdk_dynamodb::config::Builder::from(config);
    config.set_http_client(http_client);
    let config = config
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(retries)
        .build();
    Client::from_conf(config)
}
