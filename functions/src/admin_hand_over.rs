//! `POST` and `DELETE /admin/workspaces/{id}/hand-over`, also by direct invocation: names the token that may take over, or
//! cancels that. The owner keeps its token until the successor's first registration takes over.

use domain::operations::cancel_hand_over::{CancelHandOver, Cancelled};
use domain::operations::command::Command;
use domain::operations::hand_over::{HandOver, HandOverState};
use domain::workspace::{Epoch, Successor};
use serde::Serialize;
use shared::api::command::{read_command, read_required_successor};
use shared::prelude::*;

/// The function.
pub struct AdminHandOver {
    store: Store,
    admin: AdminAuth,
}

enum HandOverBody {
    HandOver { successor: Successor, command: Command },
    Cancel { command: Command },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    HandOver,
    Cancel,
}

#[derive(Serialize)]
struct HandOverReply {
    status: &'static str,
    workspace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    epoch: u64,
}

impl Function for AdminHandOver {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?), admin: env.admin_auth()? })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_admin(&self.admin, |call| self.act(call)).await
    }
}

impl AdminHandOver {
    async fn act(&self, call: AdminCall<HandOverBody>) -> Result<Reply, Error> {
        let AdminCall { workspace_id, body, now } = call;
        let (status, epoch, expires) = match body {
            HandOverBody::HandOver { successor, command } => {
                let state = self.store.run(&workspace_id, &HandOver { command, successor, now }).await?;
                if let HandOverState::Pending { epoch, .. } = state {
                    tracing::info!(epoch = epoch.0, "hand-over pending");
                }
                describe(state)
            }
            HandOverBody::Cancel { command } => {
                let Cancelled { epoch } = self.store.run(&workspace_id, &CancelHandOver { command }).await?;
                tracing::info!(epoch = epoch.0, "hand-over cancelled");
                ("cancelled", epoch, None)
            }
        };
        Reply::ok(&HandOverReply {
            status,
            workspace_id: workspace_id.as_str().to_owned(),
            expires_at: expires.map(Timestamp::rfc3339),
            epoch: epoch.0,
        })
    }
}

impl Body for HandOverBody {
    fn read(fields: &Fields<'_>, context: &CallContext) -> Result<Self, Error> {
        let action = match &context.method {
            Some(method) if method.as_str() == "DELETE" => Some(Action::Cancel),
            Some(_) => Some(Action::HandOver),
            None => fields.parsed_text("action", "`hand_over` or `cancel`", |name| match name {
                "hand_over" => Some(Action::HandOver),
                "cancel" => Some(Action::Cancel),
                _ => None,
            })?,
        };
        match action.unwrap_or(Action::HandOver) {
            Action::HandOver => Ok(Self::HandOver {
                successor: read_required_successor(fields, context.now)?,
                command: read_command(fields, context)?,
            }),
            Action::Cancel => Ok(Self::Cancel { command: read_command(fields, context)? }),
        }
    }
}

fn describe(state: HandOverState) -> (&'static str, Epoch, Option<Timestamp>) {
    match state {
        HandOverState::Pending { epoch, expires } => ("hand_over_pending", epoch, Some(expires)),
        HandOverState::Expired { epoch, expires } => ("hand_over_expired", epoch, expires),
        HandOverState::HandedOver { epoch } => ("handed_over", epoch, None),
    }
}
