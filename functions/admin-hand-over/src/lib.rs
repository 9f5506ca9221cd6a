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
use shared::guard::{self, CancelDecision, HandOver, HandOverDecision, Operation};
use shared::id::WorkspaceId;
use shared::logging;
use shared::operation::{OPERATION_FIELDS, SUCCESSOR_FIELDS, expires_at, read_operation, read_successor};
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;
use shared::workspace::{Epoch, Successor};

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
        let operation = read_operation(&fields, request.idempotency_key()?, request.request_id())?;
        Reply::ok(&self.act(&id, action, &fields, &operation).await?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<State, Error> {
        let known = [&["workspace_id", "action"][..], &OPERATION_FIELDS, &SUCCESSOR_FIELDS].concat();
        let fields = event.fields(&known)?;
        let id = fields.required_workspace_id("workspace_id")?;
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
        let operation = read_operation(&fields, None, event.request_id())?;
        self.act(&id, action, &fields, &operation).await
    }

    async fn act(
        &self,
        id: &WorkspaceId,
        action: Action,
        fields: &Fields<'_>,
        operation: &Operation,
    ) -> Result<State, Error> {
        match action {
            Action::Cancel => self.cancel(id, operation).await,
            Action::HandOver => {
                let now = Now::read();
                let successor = read_successor(fields, now)?;
                let successor = successor.ok_or_else(|| fields.missing("successor_token_sha256"))?;
                self.hand_over(id, &successor, operation, now).await
            }
        }
    }

    async fn hand_over(
        &self,
        id: &WorkspaceId,
        successor: &Successor,
        operation: &Operation,
        now: Now,
    ) -> Result<State, Error> {
        let seen = self.store.get(id).await?.ok_or(Error::WorkspaceNotFound)?;
        if let HandOverDecision::AlreadyDone(made) = guard::hand_over(&seen, &successor.hash, operation, now)?
        {
            return Ok(as_made(id, made));
        }
        match self.store.update(id, Update::hand_over(&seen, successor, &operation.id)).await? {
            Updated::Written(epoch) => {
                tracing::info!(epoch = epoch.0, "hand-over pending");
                Ok(as_made(id, HandOver::Pending { epoch, expires: successor.expires }))
            }
            Updated::ConditionFailed(found) => {
                let found = found.ok_or(Error::EpochChanged)?;
                Ok(as_made(id, guard::handed_over_before(&found, &successor.hash, operation, now)?))
            }
        }
    }

    async fn cancel(&self, id: &WorkspaceId, operation: &Operation) -> Result<State, Error> {
        let seen = self.store.get(id).await?.ok_or(Error::WorkspaceNotFound)?;
        if let CancelDecision::AlreadyDone { epoch } = guard::cancel_hand_over(&seen, operation)? {
            return Ok(state("cancelled", id, None, epoch));
        }
        let epoch = match self.store.update(id, Update::cancel_hand_over(&seen, &operation.id)).await? {
            Updated::Written(epoch) => {
                tracing::info!(epoch = epoch.0, "hand-over cancelled");
                epoch
            }
            Updated::ConditionFailed(found) => {
                let found = found.ok_or(Error::EpochChanged)?;
                guard::cancelled_before(&found, operation)?
            }
        };
        Ok(state("cancelled", id, None, epoch))
    }
}

fn as_made(id: &WorkspaceId, made: HandOver) -> State {
    match made {
        HandOver::Pending { epoch, expires } => state("hand_over_pending", id, Some(expires), epoch),
        HandOver::Expired { epoch, expires } => state("hand_over_expired", id, expires, epoch),
        HandOver::HandedOver { epoch } => state("handed_over", id, None, epoch),
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
