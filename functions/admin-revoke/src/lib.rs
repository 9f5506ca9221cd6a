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
use shared::id::{OperationId, WorkspaceId};
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;
use shared::workspace::Epoch;

/// The largest epoch that JSON numbers carry exactly in every language (RFC 8259, section 6).
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// The function.
pub struct AdminRevoke {
    store: Store,
    admin: AdminAuth,
}

/// What a caller asks for, the defaults not yet filled in.
struct Wish {
    scope: RevokeScope,
    operation_id: Option<OperationId>,
    expected_epoch: Option<Epoch>,
}

#[derive(Serialize)]
struct Revoked {
    status: &'static str,
    workspace_id: String,
    revoked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

impl Function for AdminRevoke {
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
        let mut wish = read_wish(&Fields::parse_optional(request.body()?)?)?;
        let key = request.idempotency_key()?;
        if key.is_some() && wish.operation_id.is_some() && key != wish.operation_id {
            let message = "`operation_id` and the `Idempotency-Key` header differ: send one of them.";
            return Err(Error::invalid("operation_id", message));
        }
        wish.operation_id = wish.operation_id.or(key);
        Reply::ok(&self.revoke(&id, wish, request.request_id()).await?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<Revoked, Error> {
        let fields = event.fields(&["workspace_id", "scope", "operation_id", "expected_epoch"])?;
        let id = fields.workspace_id("workspace_id")?.ok_or_else(|| fields.missing("workspace_id"))?;
        self.revoke(&id, read_wish(&fields)?, event.request_id()).await
    }

    async fn revoke(&self, id: &WorkspaceId, wish: Wish, request_id: &str) -> Result<Revoked, Error> {
        let operation_id = wish.operation_id.or_else(|| OperationId::parse(request_id));
        let operation_id =
            operation_id.ok_or_else(|| Error::Internal { cause: "Lambda gave no request id".to_owned() })?;
        let request = RevokeRequest {
            scope: wish.scope,
            operation_id: &operation_id,
            expected_epoch: wish.expected_epoch,
        };
        let seen = self.store.get(id).await?;
        let ended = match guard::revoke(seen.as_ref(), &request) {
            RevokeDecision::Revoke { ended } => ended,
            RevokeDecision::AlreadyDone { epoch } => return Ok(revoked(id, 0, Some(epoch))),
            RevokeDecision::Refused(Refusal::Unknown) => return Ok(revoked(id, 0, None)),
            RevokeDecision::Refused(refusal) => return Err(refusal.into()),
        };
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        let update = Update::revoke(&seen, request.scope, &operation_id, Now::read());
        match self.store.update(id, &update).await? {
            Updated::Written(epoch) => {
                let scope = request.scope.as_str();
                tracing::info!(workspace_id = %id, scope, revoked = ended, epoch = epoch.0, "revoked");
                Ok(revoked(id, ended, Some(epoch)))
            }
            Updated::ConditionFailed(found) => {
                // The SDK sends a write again when its reply was lost, and then meets its own work here.
                let last = found.as_deref().and_then(|found| guard::remembered(found, &operation_id));
                match last.filter(|last| last.kind == request.scope.operation_kind()) {
                    Some(last) if last.epoch == seen.epoch.next() => Ok(revoked(id, ended, Some(last.epoch))),
                    Some(last) => Ok(revoked(id, 0, Some(last.epoch))),
                    None => Err(Error::EpochChanged),
                }
            }
        }
    }
}

fn read_wish(fields: &Fields<'_>) -> Result<Wish, Error> {
    let scope = fields.parsed_text("scope", "`all`, `owner` or `api`", |name| {
        RevokeScope::ALL.into_iter().find(|scope| scope.as_str() == name)
    })?;
    Ok(Wish {
        scope: scope.unwrap_or(RevokeScope::All),
        operation_id: fields.parsed_text("operation_id", OperationId::GRAMMAR, OperationId::parse)?,
        expected_epoch: fields.integer("expected_epoch", 1..=MAX_EPOCH)?.map(Epoch),
    })
}

fn revoked(id: &WorkspaceId, revoked: usize, epoch: Option<Epoch>) -> Revoked {
    Revoked {
        status: "revoked",
        workspace_id: id.as_str().to_owned(),
        revoked,
        epoch: epoch.map(|epoch| epoch.0),
    }
}
