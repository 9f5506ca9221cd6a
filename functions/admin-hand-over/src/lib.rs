//! `POST` and `DELETE /admin/workspaces/{id}/hand-over`, also by direct invocation: names the token that is to take over
//! while the owner still works, or cancels that. The owner keeps its token until the very write in which the successor's
//! first registration takes over; if that never comes, nothing was lost.
//!
//! Read, decide, one fenced write.

use serde::Serialize;
use shared::admin::AdminAuth;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, DirectEvent, Event, HttpRequest, Reply, direct_answer};
use shared::fields::Fields;
use shared::guard::{self, CancelDecision, HandOverDecision};
use shared::id::WorkspaceId;
use shared::logging;
use shared::operation::{NamedOperation, NamedSuccessor, OPERATION_FIELDS, SUCCESSOR_FIELDS, expires_at};
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;
use shared::workspace::Epoch;

/// The function.
pub struct AdminHandOver {
    store: Store,
    admin: AdminAuth,
}

/// What a direct caller wants done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    HandOver,
    Cancel,
}

#[derive(Serialize)]
struct State {
    status: &'static str,
    workspace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    epoch: u64,
}

impl Function for AdminHandOver {
    const REHEARSAL: &[Call] = &[Call {
        bearer: true,
        body: r#"{"successor_token_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}"#,
    }];

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        let store = Store::new(resources.dynamodb, env.table_name()?);
        Ok(Self { store, admin: env.admin_auth()? })
    }

    async fn answer(&self, event: Event) -> Answer {
        match event {
            Event::Http(event) => event.answer(|request| self.handle_http(request)).await,
            Event::Direct(event) => direct_answer(self.handle_direct(&event).await),
        }
    }
}

impl AdminHandOver {
    async fn handle_http(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let id = request.workspace_id()?;
        logging::about(&id);
        let action = if request.is_delete() { Action::Cancel } else { Action::HandOver };
        let fields = Fields::parse_optional(request.body()?)?;
        let operation = NamedOperation::read(&fields, request.idempotency_key()?, request.request_id())?;
        Reply::ok(&self.act(&id, action, &fields, &operation).await?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<State, Error> {
        let known = [&["workspace_id", "action"][..], &OPERATION_FIELDS, &SUCCESSOR_FIELDS].concat();
        let fields = event.fields(&known)?;
        let id = fields.workspace_id("workspace_id")?.ok_or_else(|| fields.missing("workspace_id"))?;
        logging::about(&id);
        let action = fields.parsed_text("action", "`hand_over` or `cancel`", |name| match name {
            "hand_over" => Some(Action::HandOver),
            "cancel" => Some(Action::Cancel),
            _ => None,
        })?;
        let action = action.unwrap_or(Action::HandOver);
        if action == Action::Cancel {
            // A successor beside it would be a misunderstanding.
            event.fields(&[&["workspace_id", "action"][..], &OPERATION_FIELDS].concat())?;
        }
        let operation = NamedOperation::read(&fields, None, event.request_id())?;
        self.act(&id, action, &fields, &operation).await
    }

    async fn act(
        &self,
        id: &WorkspaceId,
        action: Action,
        fields: &Fields<'_>,
        operation: &NamedOperation,
    ) -> Result<State, Error> {
        match action {
            Action::Cancel => self.cancel(id, operation).await,
            Action::HandOver => {
                let now = Now::read();
                let successor = NamedSuccessor::read(fields, now)?;
                let successor = successor.ok_or_else(|| fields.missing("successor_token_sha256"))?;
                self.hand_over(id, &successor, operation, now).await
            }
        }
    }

    async fn hand_over(
        &self,
        id: &WorkspaceId,
        successor: &NamedSuccessor,
        operation: &NamedOperation,
        now: Now,
    ) -> Result<State, Error> {
        let operation = operation.as_decided();
        let seen = self.store.get(id).await?;
        let decision = guard::hand_over(seen.as_ref(), &successor.hash, &operation, now);
        if decision != HandOverDecision::HandOver {
            return as_made(id, decision);
        }
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        let update = Update::hand_over(&seen, &successor.hash, successor.expires, operation.id);
        match self.store.update(id, update).await? {
            Updated::Written(epoch) => {
                tracing::info!(epoch = epoch.0, "hand-over pending");
                Ok(state("hand_over_pending", id, Some(successor.expires), epoch))
            }
            Updated::ConditionFailed(found) => {
                // The SDK sends a write again when its reply was lost, and then meets its own work here.
                let found = found.as_deref().filter(|found| guard::remembered(found, operation.id).is_some());
                let found = found.ok_or(Error::EpochChanged)?;
                as_made(id, guard::hand_over(Some(found), &successor.hash, &operation, now))
            }
        }
    }

    async fn cancel(&self, id: &WorkspaceId, operation: &NamedOperation) -> Result<State, Error> {
        let operation = operation.as_decided();
        let seen = self.store.get(id).await?;
        match guard::cancel_hand_over(seen.as_ref(), &operation) {
            CancelDecision::Cancel => {}
            CancelDecision::AlreadyDone { epoch } => return Ok(state("cancelled", id, None, epoch)),
            CancelDecision::Refused(refusal) => return Err(refusal.into()),
        }
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        match self.store.update(id, Update::cancel_hand_over(&seen, operation.id)).await? {
            Updated::Written(epoch) => {
                tracing::info!(epoch = epoch.0, "hand-over cancelled");
                Ok(state("cancelled", id, None, epoch))
            }
            Updated::ConditionFailed(found) => {
                match found.as_deref().map(|found| guard::cancel_hand_over(Some(found), &operation)) {
                    Some(CancelDecision::AlreadyDone { epoch }) => Ok(state("cancelled", id, None, epoch)),
                    _ => Err(Error::EpochChanged),
                }
            }
        }
    }
}

/// What is true of a hand-over that was made before.
fn as_made(id: &WorkspaceId, decision: HandOverDecision) -> Result<State, Error> {
    match decision {
        HandOverDecision::Pending { epoch, expires } => {
            Ok(state("hand_over_pending", id, Some(expires), epoch))
        }
        HandOverDecision::Expired { epoch, expires } => Ok(state("hand_over_expired", id, expires, epoch)),
        HandOverDecision::HandedOver { epoch } => Ok(state("handed_over", id, None, epoch)),
        HandOverDecision::Refused(refusal) => Err(refusal.into()),
        HandOverDecision::HandOver => Err(Error::EpochChanged),
    }
}

fn state(status: &'static str, id: &WorkspaceId, expires: Option<i64>, epoch: Epoch) -> State {
    State {
        status,
        workspace_id: id.as_str().to_owned(),
        expires_at: expires.and_then(expires_at),
        epoch: epoch.0,
    }
}
