//! What can go wrong, and how callers see it: one exhaustive match for HTTP, one for direct invocation.

use http::StatusCode;
use lambda_runtime::Diagnostic;

use crate::guard::Refusal;
use crate::random::RandomUnavailable;
use crate::store::StoreError;
use crate::workspace::API_TOKEN_LIMIT;

/// Everything that a call can be answered with but success. The public sentence of each is fixed or made of names
/// and limits; nothing of a caller's input and nothing of the store's answer is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body or payload is not a JSON object.
    #[error("{0}")]
    InvalidJson(&'static str),
    /// A field is missing or does not fit.
    #[error("{message}")]
    InvalidRequest {
        /// The field, as callers write it.
        field: String,
        /// What to change.
        message: String,
    },
    /// A bearer is needed and none was presented.
    #[error("A bearer token is required: send `Authorization: Bearer <token>`.")]
    MissingToken,
    /// The bearer that was presented is not a live one.
    #[error("The bearer token is not valid here: it is malformed, unknown, or was revoked.")]
    InvalidToken,
    /// A claim named a token that has or had a role.
    #[error("The token that `auth_token_sha256` names is not valid here: make a new one and send its hash.")]
    InvalidChosenToken,
    /// There is no such workspace.
    #[error("There is no workspace with this id.")]
    WorkspaceNotFound,
    /// The id is taken.
    #[error("A workspace with this id exists already.")]
    WorkspaceExists,
    /// There are as many API tokens as one workspace may have.
    #[error(
        "The workspace has {API_TOKEN_LIMIT} API tokens, the most it may have: revoke with the scope `api` first."
    )]
    TokenLimitReached,
    /// The workspace changed under the call, or is not at the epoch that the caller expected.
    #[error("The workspace is at another epoch, or changed during the call: read it, then decide again.")]
    EpochChanged,
    /// The operation id is remembered for something else.
    #[error("The operation id was used for another operation, scope or successor: send a new one.")]
    OperationIdReused,
    /// The workspace was removed for good.
    #[error("The workspace was removed.")]
    WorkspaceRemoved,
    /// The body or the agent's card is too large.
    #[error("{0}")]
    PayloadTooLarge(&'static str),
    /// The store could not say. Callers are told nothing of the cause; it is for the log.
    #[error("The store did not answer. Nothing was refused: try again later.")]
    StoreUnavailable {
        /// For the log.
        cause: String,
        /// Whether the caller is a machine that retries by itself. It decides the HTTP status.
        retry: Retry,
    },
    /// A fault of the registry's own, or of the data it found. The cause is for the log.
    #[error("The registry failed on its own side. An operator finds the cause in the log by the request id.")]
    Internal {
        /// For the log.
        cause: String,
    },
}

/// Who is to act when the store cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// An agent, by itself, after a while: 503 with `Retry-After`.
    ByTheAgent,
    /// An operator must look: 500.
    ByAnOperator,
}

/// Seconds after which an agent may try again (`Retry-After`, RFC 9110, section 10.2.3).
const RETRY_AFTER_SECONDS: &str = "1";

/// How an error is told over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The status.
    pub status: StatusCode,
    /// The stable code in the body.
    pub code: &'static str,
    /// The `WWW-Authenticate` challenge (RFC 6750, section 3).
    pub challenge: Option<&'static str>,
    /// The `Retry-After` header.
    pub retry_after: Option<&'static str>,
}

impl Error {
    /// A field that does not fit, with the sentence that says what to change.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { field: field.into(), message: message.into() }
    }

    /// The write's outcome could not be told: nothing was refused, the caller may repeat.
    pub fn undecided(cause: &str) -> Self {
        Self::StoreUnavailable { cause: cause.to_owned(), retry: Retry::ByAnOperator }
    }

    /// The same error, as a machine that retries by itself is to see it.
    pub fn for_an_agent(self) -> Self {
        if let Self::StoreUnavailable { cause, .. } = self {
            Self::StoreUnavailable { cause, retry: Retry::ByTheAgent }
        } else {
            self
        }
    }

    /// The status, code and headers.
    pub fn http(&self) -> HttpError {
        let error = |status, code| HttpError { status, code, challenge: None, retry_after: None };
        match self {
            Self::InvalidJson(_) => error(StatusCode::BAD_REQUEST, "invalid_json"),
            Self::InvalidRequest { .. } => error(StatusCode::BAD_REQUEST, "invalid_request"),
            Self::MissingToken => {
                HttpError { challenge: Some("Bearer"), ..error(StatusCode::UNAUTHORIZED, "missing_token") }
            }
            Self::InvalidToken => HttpError {
                challenge: Some("Bearer error=\"invalid_token\""),
                ..error(StatusCode::UNAUTHORIZED, "invalid_token")
            },
            Self::InvalidChosenToken => {
                HttpError { challenge: Some("Bearer"), ..error(StatusCode::UNAUTHORIZED, "invalid_token") }
            }
            Self::WorkspaceNotFound => error(StatusCode::NOT_FOUND, "workspace_not_found"),
            Self::WorkspaceExists => error(StatusCode::CONFLICT, "workspace_exists"),
            Self::TokenLimitReached => error(StatusCode::CONFLICT, "token_limit_reached"),
            Self::EpochChanged => error(StatusCode::CONFLICT, "epoch_changed"),
            Self::OperationIdReused => error(StatusCode::CONFLICT, "operation_id_reused"),
            Self::WorkspaceRemoved => error(StatusCode::GONE, "workspace_removed"),
            Self::PayloadTooLarge(_) => error(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::StoreUnavailable { retry: Retry::ByTheAgent, .. } => HttpError {
                retry_after: Some(RETRY_AFTER_SECONDS),
                ..error(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
            },
            Self::StoreUnavailable { retry: Retry::ByAnOperator, .. } => {
                error(StatusCode::INTERNAL_SERVER_ERROR, "store_unavailable")
            }
            Self::Internal { .. } => error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The `errorType` of a direct invocation.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidJson(_) | Self::InvalidRequest { .. } | Self::PayloadTooLarge(_) => "InvalidPayload",
            // A direct call carries no bearer: IAM has authorised it. These are here to be complete.
            Self::MissingToken | Self::InvalidToken | Self::InvalidChosenToken => "InvalidPayload",
            Self::WorkspaceNotFound => "WorkspaceNotFound",
            Self::WorkspaceExists => "WorkspaceExists",
            Self::TokenLimitReached => "TokenLimitReached",
            Self::EpochChanged => "EpochChanged",
            Self::OperationIdReused => "OperationIdReused",
            Self::WorkspaceRemoved => "WorkspaceRemoved",
            Self::StoreUnavailable { .. } => "StoreUnavailable",
            Self::Internal { .. } => "InternalError",
        }
    }

    /// What only the log may know.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::StoreUnavailable { cause, .. } | Self::Internal { cause } => Some(cause),
            Self::InvalidJson(_)
            | Self::InvalidRequest { .. }
            | Self::MissingToken
            | Self::InvalidToken
            | Self::InvalidChosenToken
            | Self::WorkspaceNotFound
            | Self::WorkspaceExists
            | Self::TokenLimitReached
            | Self::EpochChanged
            | Self::OperationIdReused
            | Self::WorkspaceRemoved
            | Self::PayloadTooLarge(_) => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::undecided(&error.to_string()),
            // Trying again would find the same item: an operator must look.
            StoreError::Malformed(malformed) => Self::Internal { cause: malformed.to_string() },
        }
    }
}

impl From<RandomUnavailable> for Error {
    fn from(error: RandomUnavailable) -> Self {
        Self::Internal { cause: error.to_string() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Removed => Self::WorkspaceRemoved,
            Refusal::MissingToken => Self::MissingToken,
            Refusal::InvalidToken => Self::InvalidToken,
            Refusal::InvalidChosenToken => Self::InvalidChosenToken,
            Refusal::HashInUse => Self::invalid(
                "auth_token_sha256",
                "`auth_token_sha256` has or had a role in this workspace already: make a new token and send its hash.",
            ),
            Refusal::SuccessorInUse => Self::invalid(
                "successor_token_sha256",
                "`successor_token_sha256` has or had a role in this workspace already: make a new token and send its hash.",
            ),
            Refusal::TokenLimitReached => Self::TokenLimitReached,
            Refusal::EpochChanged => Self::EpochChanged,
            Refusal::OperationIdReused => Self::OperationIdReused,
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type().to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MalformedItem;

    #[test]
    fn g7_a_store_that_cannot_say_is_never_a_refusal() {
        let error = || {
            Error::from(StoreError::Unavailable {
                operation: "GetItem",
                cause: "ThrottlingException".to_owned(),
            })
        };
        let for_operators = error().http();
        assert_eq!((for_operators.status.as_u16(), for_operators.retry_after), (500, None));
        let for_agents = error().for_an_agent().http();
        assert_eq!((for_agents.status.as_u16(), for_agents.retry_after), (503, Some("1")));
        assert_eq!(for_agents.code, for_operators.code);
        assert!(!error().to_string().contains("Throttling"), "the cause is for the log");
        assert_eq!(error().cause(), Some("DynamoDB GetItem failed: ThrottlingException"));
        let malformed = Error::from(StoreError::from(MalformedItem("epoch"))).for_an_agent().http();
        assert_eq!((malformed.status.as_u16(), malformed.code), (500, "internal_error"));
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        assert_eq!(Error::MissingToken.http().challenge, Some("Bearer"));
        assert_eq!(Error::InvalidToken.http().challenge, Some("Bearer error=\"invalid_token\""));
        assert_eq!(Error::InvalidChosenToken.http().challenge, Some("Bearer"));
        assert_eq!(Error::WorkspaceNotFound.http().challenge, None);
    }
}
