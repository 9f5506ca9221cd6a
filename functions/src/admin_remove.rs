//! `DELETE /workspaces/{id}`, also by direct invocation: removes a workspace for good. A tombstone stays, so that neither a
//! late write nor a create can bring the id back.

use domain::operations::remove::{Remove, Removed};
use domain::workspace::Epoch;
use serde::Serialize;
use shared::api::command::read_expected_epoch;
use shared::prelude::*;

/// The function.
pub struct AdminRemove {
    store: Store,
    admin: AdminAuth,
}

struct RemoveBody {
    expected_epoch: Option<Epoch>,
}

#[derive(Serialize)]
struct RemoveReply {
    status: &'static str,
    workspace_id: String,
    epoch: u64,
}

impl Function for AdminRemove {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?), admin: env.admin_auth()? })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_admin(&self.admin, |call| self.remove(call)).await
    }
}

impl AdminRemove {
    async fn remove(&self, call: AdminCall<RemoveBody>) -> Result<Reply, Error> {
        let AdminCall { workspace_id, body: RemoveBody { expected_epoch }, .. } = call;
        let Removed { epoch } = self.store.run(&workspace_id, &Remove { expected_epoch }).await?;
        tracing::info!(epoch = epoch.0, "removed");
        let workspace_id = workspace_id.as_str().to_owned();
        Reply::ok(&RemoveReply { status: "removed", workspace_id, epoch: epoch.0 })
    }
}

impl Body for RemoveBody {
    fn read(fields: &Fields<'_>, _context: &CallContext) -> Result<Self, Error> {
        Ok(Self { expected_epoch: read_expected_epoch(fields)? })
    }
}
