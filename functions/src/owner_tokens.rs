//! What an owner does with its own live token:
//!
//! - `POST /workspaces/{id}/tokens` mints an API token,
//! - `DELETE /workspaces/{id}/tokens/{token_id}` ends one,
//! - `POST /workspaces/{id}/rotate` names the owner's own next token.

use domain::operations::caller::Caller;
use domain::operations::end_token::{EndToken, EndTokenCaller};
use domain::operations::rotate::{DEFAULT_EXPIRY_SECONDS, Rotate, Rotating};
use serde::Serialize;
use shared::prelude::*;

use crate::tokens;

const MINT_ROUTE: &str = "POST /workspaces/{id}/tokens";
const END_ROUTE: &str = "DELETE /workspaces/{id}/tokens/{token_id}";

/// The function.
pub struct OwnerTokens {
    store: Store,
    random: Random,
}

#[derive(Serialize)]
struct RotateReply {
    status: &'static str,
    workspace_id: String,
    token_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    expires_at: String,
    epoch: u64,
}

impl Function for OwnerTokens {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?), random: resources.random })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| self.route(request)).await
    }
}

impl OwnerTokens {
    async fn route(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.ok_or(Error::MissingToken)?.hash();
        let id = request.workspace_id()?;
        match request.route_key() {
            MINT_ROUTE => {
                let caller = Caller::Bearer(bearer);
                let mint = tokens::read_mint(&request.optional_fields()?, caller, &self.random)?;
                tokens::mint(&self.store, &id, &mint).await
            }
            END_ROUTE => {
                let caller = EndTokenCaller::Bearer(bearer);
                let operation = EndToken { caller, id: tokens::token_id(&request)?, now: Timestamp::now() };
                tokens::end(&self.store, &id, &operation).await
            }
            _ => {
                let rotate = read_rotate(&request.optional_fields()?, bearer, &self.random)?;
                self.rotate(&id, &rotate).await
            }
        }
    }

    async fn rotate(&self, id: &WorkspaceId, operation: &Rotate) -> Result<Reply, Error> {
        let Rotating { epoch, id: token_id, token } = self.store.run(id, operation).await?;
        let token_id = token_id.as_str().to_owned();
        tracing::info!(token_id, epoch = epoch.0, "rotation pending");
        let prefix = token.as_ref().map(|token| token.prefix().as_str().to_owned());
        Reply::ok(&RotateReply {
            status: "rotation_pending",
            workspace_id: id.as_str().to_owned(),
            token_id,
            auth_token: token.map(NewToken::reveal),
            prefix,
            expires_at: operation.expires.rfc3339(),
            epoch: epoch.0,
        })
    }
}

fn read_rotate(fields: &Fields<'_>, bearer: TokenHash, random: &Random) -> Result<Rotate, Error> {
    let now = Timestamp::now();
    let seconds = fields.integer("expires_in_seconds", 60..=86_400)?;
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let expires = now.plus_seconds(seconds.unwrap_or(DEFAULT_EXPIRY_SECONDS));
    let chosen = fields.token_hash("successor_token_sha256")?;
    Ok(Rotate { bearer, chosen, expires, now, random: random.clone() })
}
