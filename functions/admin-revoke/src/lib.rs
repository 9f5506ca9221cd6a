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
use shared::guard::{self, Refusal, RevokeDecision, RevokeRequest, RevokeScope};
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
pub struct AdminRevoke {
    store: Store,
    admin: AdminAuth,
}

/// What a caller asks for.
struct Wish {
    scope: RevokeScope,
    successor: Option<NamedSuccessor>,
    operation: NamedOperation,
}

#[derive(Serialize)]
struct Revoked {
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
        let operation = NamedOperation::read(&fields, request.idempotency_key()?, request.request_id())?;
        let now = Now::read();
        Reply::ok(&self.revoke(&id, &read_wish(&fields, operation, now)?, now).await?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<Revoked, Error> {
        let known = [&["workspace_id", "scope"][..], &OPERATION_FIELDS, &SUCCESSOR_FIELDS].concat();
        let fields = event.fields(&known)?;
        let id = fields.workspace_id("workspace_id")?.ok_or_else(|| fields.missing("workspace_id"))?;
        logging::about(&id);
        let operation = NamedOperation::read(&fields, None, event.request_id())?;
        let now = Now::read();
        self.revoke(&id, &read_wish(&fields, operation, now)?, now).await
    }

    async fn revoke(&self, id: &WorkspaceId, wish: &Wish, now: Now) -> Result<Revoked, Error> {
        let successor = wish.successor.as_ref();
        let request = RevokeRequest {
            scope: wish.scope,
            successor: successor.map(|successor| &successor.hash),
            operation: wish.operation.as_decided(),
        };
        let expires = successor.map_or(0, |successor| successor.expires);
        let seen = self.store.get(id).await?;
        let ended = match guard::revoke(seen.as_ref(), &request, now) {
            RevokeDecision::Revoke { ended } => ended,
            RevokeDecision::AlreadyDone { epoch } => {
                // What was reserved then; the time may differ from the one asked for now.
                let reserved = seen.as_ref().and_then(|seen| seen.successor.as_ref());
                let reserved = reserved.filter(|_| successor.is_some()).map(|reserved| reserved.expires);
                return Ok(revoked(id, 0, Some(epoch), reserved));
            }
            RevokeDecision::Refused(Refusal::Unknown) => return Ok(revoked(id, 0, None, None)),
            RevokeDecision::Refused(refusal) => return Err(refusal.into()),
        };
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        let reserved = successor.map(|successor| successor.expires);
        let (ended, epoch) =
            match self.store.update(id, Update::revoke(&seen, &request, expires, now)).await? {
                Updated::Written(epoch) => (ended, epoch),
                Updated::ConditionFailed(found) => {
                    // The SDK sends a write again when its reply was lost, and then meets its own work here.
                    match found.as_deref().map(|found| guard::revoke(Some(found), &request, now)) {
                        Some(RevokeDecision::AlreadyDone { epoch }) if epoch == seen.epoch.next() => {
                            (ended, epoch)
                        }
                        Some(RevokeDecision::AlreadyDone { epoch }) => (0, epoch),
                        _ => return Err(Error::EpochChanged),
                    }
                }
            };
        let scope = request.scope.as_str();
        tracing::info!(scope, revoked = ended, epoch = epoch.0, "revoked");
        Ok(revoked(id, ended, Some(epoch), reserved))
    }
}

fn read_wish(fields: &Fields<'_>, operation: NamedOperation, now: Now) -> Result<Wish, Error> {
    let scope = fields.parsed_text("scope", "`all`, `owner` or `api`", |name| {
        RevokeScope::ALL.into_iter().find(|scope| scope.as_str() == name)
    })?;
    let scope = scope.unwrap_or(RevokeScope::All);
    let successor = NamedSuccessor::read(fields, now)?;
    if successor.is_some() && scope != RevokeScope::All {
        return Err(Error::invalid("scope", "`scope` must be `all` with a `successor_token_sha256`."));
    }
    Ok(Wish { scope, successor, operation })
}

fn revoked(id: &WorkspaceId, revoked: usize, epoch: Option<Epoch>, reserved: Option<i64>) -> Revoked {
    Revoked {
        status: "revoked",
        workspace_id: id.as_str().to_owned(),
        revoked,
        epoch: epoch.map(|epoch| epoch.0),
        expires_at: reserved.and_then(expires_at),
    }
}
