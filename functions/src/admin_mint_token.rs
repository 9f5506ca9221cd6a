//! `POST /admin/workspaces/{id}/tokens`: mints an API token.

use domain::operations::mint_token::{MintToken, Minted};
use serde::Serialize;
use shared::prelude::*;

/// The function.
pub struct AdminMintToken {
    store: Store,
    admin: AdminAuth,
    random: Random,
}

#[derive(Serialize)]
struct MintReply {
    workspace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
}

impl Function for AdminMintToken {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            random: resources.random,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| self.mint(request)).await
    }
}

impl AdminMintToken {
    async fn mint(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let id = request.workspace_id()?;
        let chosen = request.optional_fields()?.chosen_token()?;
        let operation = MintToken { chosen, now: Timestamp::now(), random: self.random.clone() };
        let Minted { epoch, token } = self.store.run(&id, &operation).await?;
        let prefix = token.as_ref().map(|token| token.prefix().as_str().to_owned());
        if let Some(epoch) = epoch {
            tracing::info!(epoch = epoch.0, prefix, "API token minted");
        }
        let (workspace_id, auth_token) = (id.as_str().to_owned(), token.map(NewToken::reveal));
        Reply::created(&MintReply { workspace_id, auth_token, prefix })
    }
}
