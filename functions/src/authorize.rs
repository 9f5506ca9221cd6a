//! A Lambda authorizer for HTTP APIs (payload format 2.0, simple response): whether the caller's token is live in the workspace
//! that the request names. One consistent read decides. A store failure is a function error, which API Gateway answers with
//! 500: neither a yes nor a no.

use domain::authorization::{Authorized, Denied, authorize};
use domain::token::Bearer;
use serde::Serialize;
use shared::api::authorizer::AuthorizerRequest;
use shared::prelude::*;

/// The function.
pub struct Authorize {
    store: Store,
}

/// API Gateway's simple response. An API reads the context as `requestContext.authorizer.lambda`.
#[derive(Serialize)]
struct SimpleResponse {
    #[serde(rename = "isAuthorized")]
    is_authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<AuthorizedContext>,
}

#[derive(Serialize)]
struct AuthorizedContext {
    workspace_id: String,
    token_kind: &'static str,
    token_id: String,
    epoch: u64,
}

impl Function for Authorize {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?) })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_authorizer(|request| self.authorize(request)).await
    }
}

impl Authorize {
    async fn authorize(&self, request: AuthorizerRequest) -> Result<Reply, Error> {
        let bearer = request.bearer();
        let decision = match &bearer {
            Ok(bearer) => self.decide(&request, bearer).await?,
            Err(denied) => Err(*denied),
        };
        match decision {
            Ok(Authorized { workspace_id, token, epoch }) => {
                let context = AuthorizedContext {
                    workspace_id: workspace_id.as_str().to_owned(),
                    token_kind: token.kind.as_str(),
                    token_id: token.id.as_str().to_owned(),
                    epoch: epoch.0,
                };
                tracing::info!(token_id = context.token_id, token_kind = context.token_kind, "authorized");
                Reply::ok(&SimpleResponse { is_authorized: true, context: Some(context) })
            }
            Err(denied) => {
                // Only of a token in the registry's format: a part of another one's hash could be of anything.
                let prefix = bearer.ok().and_then(|bearer| bearer.prefix());
                let token_id = prefix.as_ref().map(|prefix| prefix.as_str());
                tracing::info!(reason = %denied, token_id, "refused");
                Reply::ok(&SimpleResponse { is_authorized: false, context: None })
            }
        }
    }

    /// What can be refused by its form is refused without a read.
    async fn decide(
        &self,
        request: &AuthorizerRequest,
        bearer: &Bearer,
    ) -> Result<Result<Authorized, Denied>, Error> {
        let id = match request.workspace_id() {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let stored = self.store.get(&id).await?;
        Ok(authorize(stored.as_ref(), &bearer.hash(), Timestamp::now()))
    }
}
