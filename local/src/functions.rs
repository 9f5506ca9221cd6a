//! The functions, set up from the template and invoked as on Lambda: JSON text in, JSON text out.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::AppName;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::value::RawValue;
use shared::lambda::config::{ConfigError, Env};
use shared::lambda::start::{Function, Resources, invoke};
use tracing::Instrument;
use uuid::Uuid;

use crate::template::{Template, TemplateError};

/// The account id in ARNs and events.
pub const ACCOUNT_ID: &str = "000000000000";

/// A function's answer or function error, as JSON text.
pub type Outcome = Result<Vec<u8>, Vec<u8>>;

type Handler = Box<dyn Fn(LambdaEvent<Box<RawValue>>) -> Invocation + Send + Sync>;
type Invocation = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Constructor = fn(&Env<'_>, Resources) -> Result<Handler, ConfigError>;

macro_rules! constructors {
    ($(($name:literal, $function:ty)),* $(,)?) => { &[$(($name, construct::<$function>)),*] };
}

/// The functions' constructors by name.
const CONSTRUCTORS: &[(&str, Constructor)] = functions::for_each_function!(constructors);

/// All functions of the template.
pub struct Functions(BTreeMap<String, Arc<LocalFunction>>);

/// One function, ready to be invoked.
pub struct LocalFunction {
    name: String,
    timeout: Duration,
    handler: Handler,
}

/// Why a function cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The template does not match the functions.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A function rejects its environment variables.
    #[error("The function {function} does not start: {source}.")]
    Configuration {
        /// The function.
        function: String,
        /// The variable that is wrong.
        source: ConfigError,
    },
}

impl Functions {
    /// Sets up the template's functions.
    ///
    /// # Errors
    /// [`SetUpError`] if the template's functions are not exactly the known ones, or one rejects its environment.
    pub fn new(
        template: &Template,
        parameters: &BTreeMap<&str, String>,
        table_name: &str,
        resources: &Resources,
    ) -> Result<Self, SetUpError> {
        let mut functions = BTreeMap::new();
        for definition in &template.functions {
            let name = definition.name.clone();
            let constructor = CONSTRUCTORS.iter().find(|(known, _)| *known == name);
            let (_, constructor) = constructor.ok_or_else(|| TemplateError::UnknownFunction(name.clone()))?;
            let variables = template.environment(definition, parameters, table_name)?;
            let environment = Env::from_fn(|variable| variables.get(variable).cloned());
            let dynamodb = named(&resources.dynamodb, &name);
            let resources = Resources { dynamodb, random: resources.random.clone() };
            let handler = constructor(&environment, resources)
                .map_err(|source| SetUpError::Configuration { function: name.clone(), source })?;
            let function = LocalFunction { name: name.clone(), timeout: definition.timeout, handler };
            functions.insert(name, Arc::new(function));
        }
        let missing = CONSTRUCTORS.iter().find(|(name, _)| !functions.contains_key(*name));
        match missing {
            Some((name, _)) => Err(TemplateError::MissingFunction(name).into()),
            None => Ok(Self(functions)),
        }
    }

    /// The function of this name.
    pub fn get(&self, name: &str) -> Option<Arc<LocalFunction>> {
        self.0.get(name).cloned()
    }
}

/// The same client. Its requests carry the function's name in `User-Agent`, so that a test can compare them with the function's
/// policy.
fn named(client: &Client, function: &str) -> Client {
    let mut config = client.config().to_builder();
    config.set_app_name(AppName::new(function.to_owned()).ok());
    Client::from_conf(config.build())
}

impl LocalFunction {
    /// Invokes the function. It runs to its end even if the caller stops waiting.
    ///
    /// # Errors
    /// The function error, as JSON text, also for an event that is not JSON.
    pub async fn invoke(self: Arc<Self>, event: &[u8], request_id: Uuid) -> Outcome {
        let Ok(payload) = serde_json::from_slice::<Box<RawValue>>(event) else {
            return Err(function_error("InvalidRequestContentException", NOT_JSON.to_owned()));
        };
        let span = tracing::info_span!("function", name = self.name);
        let event = LambdaEvent::new(payload, self.context(request_id));
        let running = async move {
            let timeout = self.timeout;
            tokio::time::timeout(timeout, (self.handler)(event)).await.unwrap_or_else(|_| {
                let seconds = timeout.as_secs_f32();
                let message =
                    format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
                Err(function_error("Sandbox.Timedout", message))
            })
        };
        // Its own task: a panic ends only this task, and a caller that hangs up does not stop a write.
        tokio::spawn(running.instrument(span)).await.unwrap_or_else(|_| {
            tracing::error!("a function panicked");
            Err(function_error("Panic", "The function panicked.".to_owned()))
        })
    }

    fn context(&self, request_id: Uuid) -> Context {
        let deadline = SystemTime::now() + self.timeout;
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut context = Context::default();
        context.request_id = request_id.to_string();
        context.deadline = u64::try_from(deadline).unwrap_or(u64::MAX);
        context.invoked_function_arn =
            format!("arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:{}", self.name);
        context
    }
}

/// Lambda's message for a payload that is not JSON.
pub const NOT_JSON: &str = "Could not parse request body into json";

fn construct<F: Function>(env: &Env<'_>, resources: Resources) -> Result<Handler, ConfigError> {
    let function = Arc::new(F::new(env, resources)?);
    Ok(Box::new(move |event| {
        let function = Arc::clone(&function);
        Box::pin(async move {
            match invoke(&*function, event).await {
                Ok(answer) => Ok(Box::<str>::from(answer).into_string().into_bytes()),
                Err(error) => Err(to_json(&error)),
            }
        })
    }))
}

fn function_error(error_type: &str, error_message: String) -> Vec<u8> {
    to_json(&Diagnostic { error_type: error_type.to_owned(), error_message })
}

/// Two strings: serialising them cannot fail.
fn to_json(error: &Diagnostic) -> Vec<u8> {
    serde_json::to_vec(error).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::random::Random;

    fn functions(template: &Template, admin_digest: &str) -> Result<Functions, SetUpError> {
        let resources =
            Resources { dynamodb: crate::engine::client("http://127.0.0.1:1"), random: Random::OS };
        let parameters = BTreeMap::from([("AdminTokenSha256", admin_digest.to_owned())]);
        Functions::new(template, &parameters, "workspaces", &resources)
    }

    fn function(timeout: Duration, handler: Handler) -> Arc<LocalFunction> {
        Arc::new(LocalFunction { name: "f".to_owned(), timeout, handler })
    }

    fn error_type(outcome: Outcome) -> String {
        let error: Diagnostic = serde_json::from_slice(&outcome.expect_err("a function error")).unwrap();
        assert!(!error.error_message.contains("secret"), "{error:?}");
        error.error_type
    }

    #[test]
    fn every_function_of_the_template_is_set_up() {
        let set_up = functions(&Template::embedded().unwrap(), &"0".repeat(64)).ok().unwrap();
        let mut known = functions::NAMES.to_vec();
        known.sort_unstable();
        assert!(set_up.0.keys().eq(known));
        assert!(set_up.get("admin-revoke").is_some_and(|found| found.name == "admin-revoke"));
        assert!(set_up.get("admin_revoke").is_none());
    }

    #[test]
    fn an_unknown_or_missing_function_is_named() {
        let digest = "0".repeat(64);
        let mut template = Template::embedded().unwrap();
        let removed = template.functions.pop().unwrap();
        let error = functions(&template, &digest).err().unwrap().to_string();
        assert_eq!(error, format!("template.yaml: the function `{}` is missing.", removed.name));
        template.functions[0].name = "unheard-of".to_owned();
        let error = functions(&template, &digest).err().unwrap().to_string();
        assert_eq!(error, "template.yaml: the local registry knows no function `unheard-of`.");
    }

    #[test]
    fn g12_a_function_that_rejects_its_environment_is_named() {
        let error = functions(&Template::embedded().unwrap(), "none").err().unwrap().to_string();
        assert!(error.contains(" does not start: ADMIN_TOKEN_SHA256 is not valid"), "{error}");
    }

    #[tokio::test]
    async fn a_panic_is_a_function_error_and_shows_nothing() {
        let panics = function(Duration::from_secs(1), Box::new(|_| Box::pin(async { panic!("secret") })));
        assert_eq!(error_type(panics.invoke(b"{}", Uuid::new_v4()).await), "Panic");
    }

    #[tokio::test]
    async fn an_invocation_that_takes_too_long_times_out() {
        let hangs = function(Duration::from_millis(1), Box::new(|_| Box::pin(std::future::pending())));
        assert_eq!(error_type(hangs.invoke(b"{}", Uuid::new_v4()).await), "Sandbox.Timedout");
    }

    #[tokio::test]
    async fn a_function_gets_the_event_and_lambda_s_context() {
        let id = Uuid::new_v4();
        let echo = function(
            Duration::from_secs(5),
            Box::new(move |event| {
                Box::pin(async move {
                    assert_eq!(event.context.request_id, id.to_string());
                    assert!(event.context.invoked_function_arn.ends_with(":function:f"));
                    assert!(event.context.deadline() > SystemTime::now());
                    Ok(event.payload.get().as_bytes().to_vec())
                })
            }),
        );
        assert_eq!(Arc::clone(&echo).invoke(b" [1, 2] ", id).await, Ok(b"[1, 2]".to_vec()));
        assert_eq!(error_type(echo.invoke(b"{", id).await), "InvalidRequestContentException");
    }
}
