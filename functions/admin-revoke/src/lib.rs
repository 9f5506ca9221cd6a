//! `POST /admin/workspaces/{id}/revoke-auth-tokens`, also by direct invocation: ends all live tokens in scope, so that
//! a container that has none can claim the workspace again.
//!
//! Read, decide, one fenced write. The epoch moves even when nothing was live, so that no claim that was decided before
//! the revoke can land after its answer.

use serde::Serialize;
use shared::admin::AdminAuth;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, DirectEvent, Event, HttpRequest, Reply, direct_answer};
use shared::fields::Fields;
use shared::guard::{self, Operation, RevokeDecision, RevokeRequest, RevokeScope, Revoked};
use shared::id::WorkspaceId;
use shared::logging;
use shared::operation::{OPERATION_FIELDS, SUCCESSOR_FIELDS, expires_at, read_operation, read_successor};
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;

/// The function.
pub struct AdminRevoke {
    store: Store,
    admin: AdminAuth,
}

#[derive(Serialize)]
struct Body {
    status: &'static str,
    workspace_id: String,
    revoked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    /// Until when the claim is reserved for the successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl Function for AdminRevoke {
    const REHEARSAL: &[Call] = &[Call { bearer: true, body: "{}" }];

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

impl AdminRevoke {
    async fn handle_http(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let id = request.workspace_id()?;
        logging::about(&id);
        let fields = Fields::parse_optional(request.body()?)?;
        let operation = read_operation(&fields, request.idempotency_key()?, request.request_id())?;
        Reply::ok(&self.revoke(&id, &fields, operation).await?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<Body, Error> {
        let known = [&["workspace_id", "scope"][..], &OPERATION_FIELDS, &SUCCESSOR_FIELDS].concat();
        let fields = event.fields(&known)?;
        let id = fields.required_workspace_id("workspace_id")?;
        logging::about(&id);
        let operation = read_operation(&fields, None, event.request_id())?;
        self.revoke(&id, &fields, operation).await
    }

    async fn revoke(
        &self,
        id: &WorkspaceId,
        fields: &Fields<'_>,
        operation: Operation,
    ) -> Result<Body, Error> {
        let now = Now::read();
        let request = read_request(fields, operation, now)?;
        let Some(seen) = self.store.get(id).await? else { return Ok(nothing_to_revoke(id)) };
        let ended = match guard::revoke(&seen, &request, now)? {
            RevokeDecision::Revoke { ended } => ended,
            RevokeDecision::AlreadyDone(made) => return Ok(revoked(id, made)),
        };
        let made = match self.store.update(id, Update::revoke(&seen, &request, now)).await? {
            Updated::Written(epoch) => {
                let reserved_until = request.successor.as_ref().map(|successor| successor.expires);
                Revoked { ended, epoch, reserved_until }
            }
            Updated::ConditionFailed(found) => {
                let found = found.ok_or(Error::EpochChanged)?;
                guard::revoked_before(&found, &request, (seen.epoch, ended), now)?
            }
        };
        let scope = request.scope.as_str();
        tracing::info!(scope, revoked = made.ended, epoch = made.epoch.0, "revoked");
        Ok(revoked(id, made))
    }
}

fn read_request(fields: &Fields<'_>, operation: Operation, now: Now) -> Result<RevokeRequest, Error> {
    let scope = fields.parsed_text("scope", "`all`, `owner` or `api`", |name| {
        RevokeScope::ALL.into_iter().find(|scope| scope.as_str() == name)
    })?;
    let scope = scope.unwrap_or(RevokeScope::All);
    let successor = read_successor(fields, now)?;
    if successor.is_some() && scope != RevokeScope::All {
        return Err(Error::invalid("scope", "`scope` must be `all` with a `successor_token_sha256`."));
    }
    Ok(RevokeRequest { scope, successor, operation })
}

fn revoked(id: &WorkspaceId, made: Revoked) -> Body {
    Body {
        status: "revoked",
        workspace_id: id.as_str().to_owned(),
        revoked: made.ended,
        epoch: Some(made.epoch.0),
        expires_at: made.reserved_until.and_then(expires_at),
    }
}

/// The answer for a workspace that is not there: it has no token that lives.
fn nothing_to_revoke(id: &WorkspaceId) -> Body {
    Body {
        status: "revoked",
        workspace_id: id.as_str().to_owned(),
        revoked: 0,
        epoch: None,
        expires_at: None,
    }
}
