//! An administrator's call, which may come over HTTP with the admin token or by direct invocation.

use domain::id::{CommandId, WorkspaceId};
use domain::time::Timestamp;
use domain::token::TokenId;
use http::Method;

use crate::api::error::Error;
use crate::api::fields::Fields;

/// An administrator's call about one workspace.
#[derive(Debug)]
pub struct AdminCall<B> {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The body over HTTP, or the rest of the payload.
    pub body: B,
    /// The time of the call.
    pub now: Timestamp,
}

/// What else a body may depend on.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Lambda's request id.
    pub request_id: String,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<CommandId>,
    /// The token in the path.
    pub token_id: Option<TokenId>,
    /// The HTTP method; `None` for a direct invocation.
    pub method: Option<Method>,
    /// The time of the call.
    pub now: Timestamp,
}

/// A request's body, or a direct payload without its `workspace_id`. A direct payload may have no field that `read` does not
/// read.
pub trait Body: Sized {
    /// Reads the body.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] names the field and says what to change.
    fn read(fields: &Fields<'_>, context: &CallContext) -> Result<Self, Error>;
}

/// No body.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

impl Body for NoBody {
    fn read(_fields: &Fields<'_>, _context: &CallContext) -> Result<Self, Error> {
        Ok(Self)
    }
}
