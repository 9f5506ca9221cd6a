//! How a function starts: configuration, log, client, then one event after the other. One wiring serves all of them.

use std::future::Future;
use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::config::{ConfigError, Env};
use crate::event::{Answer, Event};
use crate::random::Random;
use crate::rehearsal::{Call, rehearse};
use crate::store::{Store, WarmUp};
use crate::{client, logging};

/// What a function works with besides its configuration.
#[derive(Clone, Debug)]
pub struct Resources {
    /// The client of the table's engine.
    pub dynamodb: Client,
    /// Where tokens and ids come from.
    pub random: Random,
}

/// One of the registry's functions.
pub trait Function: Sized + Send + Sync + 'static {
    /// The request that opens the connection to the store during init.
    const WARM_UP: WarmUp = WarmUp::Read;
    /// The calls that it rehearses during init: those that a first caller is likely to make.
    const REHEARSAL: &[Call];

    /// Sets the function up from its environment variables.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong: the function must not start.
    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError>;

    /// Answers one event.
    fn answer(&self, event: Event) -> impl Future<Output = Answer> + Send;
}

/// Answers one invocation: bytes in, bytes out, as on Lambda.
///
/// # Errors
/// A function error, for direct invocations and for events that are neither HTTP nor direct.
pub async fn invoke(function: &impl Function, event: LambdaEvent<Box<RawValue>>) -> Answer {
    let (request_id, workspace_id) = (&event.context.request_id, tracing::field::Empty);
    // At the level of the most severe line: the lines of a disabled span would not say whose they are.
    let span = tracing::error_span!("invocation", request_id, workspace_id);
    async {
        match Event::parse(event) {
            // On the heap: the SDK's futures are large, and nested ones exceed the compiler's depth limit.
            Ok(event) => Box::pin(function.answer(event)).await,
            Err(error) => {
                tracing::info!(code = error.http().code, "refused an event of neither shape");
                Err(Diagnostic::from(error))
            }
        }
    }
    .instrument(span)
    .await
}

/// Runs the function on Lambda until its environment is shut down. Exits with failure, after one log line, before it
/// asks for an invocation, when the configuration is not valid.
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
    // The rehearsal fills the time that the connection waits for the network.
    tokio::join!(warm_up(&store, F::WARM_UP), rehearse::<F>(env));
    Ok(function)
}

/// Makes the connection to the store while the init phase's full CPU is there and no caller waits. When that fails or
/// takes too long the function starts all the same: the first call then makes the connection, or says what is wrong.
async fn warm_up(store: &Store, request: WarmUp) {
    match tokio::time::timeout(client::WARM_UP_TIMEOUT, store.warm_up(request)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the store could not be asked during init: {error}"),
        Err(_) => tracing::warn!("the store could not be asked during init: no answer in time"),
    }
}
