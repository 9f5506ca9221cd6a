//! `POST /admin/workspaces/{id}/tokens`: mints an API token.

use domain::operations::caller::Caller;
use shared::prelude::*;

use crate::tokens;

/// The function.
pub struct AdminMintToken {
    store: Store,
    admin: AdminAuth,
    random: Random,
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
        let mint = tokens::read_mint(&request.optional_fields()?, Caller::Operator, &self.random)?;
        tokens::mint(&self.store, &id, &mint).await
    }
}
