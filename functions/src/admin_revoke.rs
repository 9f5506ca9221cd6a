//! `POST /admin/workspaces/{id}/revoke-auth-tokens`, also by direct invocation: ends all live tokens in a scope, so that a
//! container that has none can claim the workspace again.
//!
//! `DELETE /admin/workspaces/{id}/tokens/{token_id}`: ends one token. If it is the owner's, the door opens too.

use domain::operations::command::Command;
use domain::operations::end_token::{EndToken, EndTokenCaller};
use domain::operations::revoke::Revoke;
use domain::token::TokenId;
use domain::workspace::{RevokeScope, Successor};
use serde::Serialize;
use shared::api::command::{read_command, read_successor};
use shared::prelude::*;

use crate::tokens;

/// The function.
pub struct AdminRevoke {
    store: Store,
    admin: AdminAuth,
}

enum RevokeBody {
    Scope { scope: RevokeScope, successor: Option<Successor>, command: Command },
    Token { id: TokenId, command: Command },
}

#[derive(Serialize)]
struct RevokeReply {
    status: &'static str,
    workspace_id: String,
    revoked: usize,
    /// Absent for a workspace that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    /// Until when the claim is reserved for the successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl Function for AdminRevoke {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?), admin: env.admin_auth()? })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_admin(&self.admin, |call| self.revoke(call)).await
    }
}

impl AdminRevoke {
    async fn revoke(&self, call: AdminCall<RevokeBody>) -> Result<Reply, Error> {
        let AdminCall { workspace_id, body, now } = call;
        let (scope, successor, command) = match body {
            RevokeBody::Scope { scope, successor, command } => (scope, successor, command),
            RevokeBody::Token { id, command } => {
                let caller = EndTokenCaller::Operator(command);
                return tokens::end(&self.store, &workspace_id, &EndToken { caller, id, now }).await;
            }
        };
        let operation = Revoke { command, scope, successor, now };
        let revoked = self.store.run(&workspace_id, &operation).await?;
        let epoch = revoked.epoch.map(|epoch| epoch.0);
        tracing::info!(scope = scope.as_str(), revoked = revoked.ended, epoch, "revoked");
        Reply::ok(&RevokeReply {
            status: "revoked",
            workspace_id: workspace_id.as_str().to_owned(),
            revoked: revoked.ended,
            epoch,
            expires_at: revoked.reserved_until.map(Timestamp::rfc3339),
        })
    }
}

impl Body for RevokeBody {
    fn read(fields: &Fields<'_>, context: &CallContext) -> Result<Self, Error> {
        if let Some(id) = context.token_id.clone() {
            return Ok(Self::Token { id, command: read_command(fields, context)? });
        }
        let scope = fields.parsed_text("scope", "`all`, `owner` or `api`", |name| {
            RevokeScope::ALL.into_iter().find(|scope| scope.as_str() == name)
        })?;
        let scope = scope.unwrap_or(RevokeScope::All);
        let successor = read_successor(fields, context.now)?;
        if successor.is_some() && scope != RevokeScope::All {
            return Err(Error::invalid("scope", "`scope` must be `all` with a `successor_token_sha256`."));
        }
        Ok(Self::Scope { scope, successor, command: read_command(fields, context)? })
    }
}
