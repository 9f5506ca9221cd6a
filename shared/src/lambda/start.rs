//! How a function starts and answers: configuration, log, client, then one event after the other. All functions share it.

use std::future::Future;
use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use domain::random::Random;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::api::error::Audience;
use crate::api::event::{Answer, Event};
use crate::lambda::config::{ConfigError, Env};
use crate::lambda::{client, logging};
use crate::table::store::Store;

/// What a function uses besides its configuration.
#[derive(Clone, Debug)]
pub struct Resources {
    /// The DynamoDB client.
    pub dynamodb: Client,
    /// The source of tokens and ids.
    pub random: Random,
}

/// One of the registry's functions.
pub trait Function: Sized + Send + Sync + 'static {
    /// Who calls it.
    const AUDIENCE: Audience;

    /// Sets the function up from its environment variables.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong. The function must not start then.
    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError>;

    /// Answers one event.
    fn answer(&self, event: Event) -> impl Future<Output = Answer> + Send;
}

/// Answers one invocation: bytes in, bytes out, as on Lambda.
///
/// # Errors
/// A function error, for direct invocations and for events that are neither HTTP nor direct.
pub async fn invoke<F: Function>(function: &F, event: LambdaEvent<Box<RawValue>>) -> Answer {
    let (request_id, workspace_id) = (&event.context.request_id, tracing::field::Empty);
    // At ERROR: a span below the configured level is disabled, and its lines would not carry the request id.
    let span = tracing::error_span!("invocation", request_id, workspace_id);
    async {
        match Event::parse(event, F::AUDIENCE) {
            // On the heap: the SDK's futures are large, and nested ones exceed the compiler's depth limit.
            Ok(event) => Box::pin(function.answer(event)).await,
            Err(error) => {
                let code = error.http(F::AUDIENCE).code;
                tracing::info!(code, "refused an event of neither shape");
                Err(Diagnostic::from(error))
            }
        }
    }
    .instrument(span)
    .await
}

/// Runs the function on Lambda until its environment is shut down. With an invalid configuration it logs one line and exits
/// with failure before it asks for an invocation.
pub async fn run<F: Function>() -> ExitCode {
    let env = Env::of_the_process();
    logging::start(&env);
    let function = match set_up::<F>(&env).await {
        Ok(function) => function,
        Err(error) => {
            tracing::error!("configuration: {error}");
            return ExitCode::FAILURE;
        }
    };
    let function = &function;
    match Runtime::new(service_fn(move |event| invoke(function, event))).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the Lambda runtime API failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn set_up<F: Function>(env: &Env<'_>) -> Result<F, ConfigError> {
    let dynamodb = client::from_environment(env)?;
    let store = Store::new(dynamodb.clone(), env.table_name()?);
    let function = F::new(env, Resources { dynamodb, random: Random::OS })?;
    warm_up(&store).await;
    Ok(function)
}

/// Opens the connection to the store during init, which has the full CPU and makes no caller wait. If that fails or takes
/// too long, the function starts all the same: the first call then opens the connection, or reports what is wrong.
async fn warm_up(store: &Store) {
    match tokio::time::timeout(client::WARM_UP_TIMEOUT, store.warm_up()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the store could not be asked during init: {error}"),
        Err(_) => tracing::warn!("the store could not be asked during init: no response in time"),
    }
}
