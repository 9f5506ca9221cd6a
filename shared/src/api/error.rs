//! Every way a call can fail, and how callers see it: one exhaustive match for HTTP, one for direct invocation.

use domain::agent_card::AgentCardError;
use domain::agent_url::AgentUrlError;
use domain::protocol::{OperationError, Refusal};
use domain::random::RandomUnavailable;
use domain::workspace::API_TOKEN_LIMIT;
use http::StatusCode;
use lambda_runtime::Diagnostic;

use crate::table::store::{RunError, StoreError};

/// Every way a call can fail. The public sentence of each is fixed, or made of field names and limits. It repeats nothing
/// that the caller sent and nothing that the store returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body or payload is not a JSON object.
    #[error("{0}")]
    InvalidJson(&'static str),
    /// A field is missing or has a wrong value.
    #[error("{message}")]
    InvalidRequest {
        /// The field, as callers write it.
        field: String,
        /// What to change.
        message: String,
    },
    /// The call needs a bearer token and presented none.
    #[error("A bearer token is required: send `Authorization: Bearer <token>`.")]
    MissingToken,
    /// The bearer token is not live.
    #[error("The bearer token is not valid here: it is malformed or unknown, or it has ended.")]
    InvalidToken,
    /// The bearer token is live, but may not do this.
    #[error("This needs the workspace's owner token: an API token is not enough.")]
    InsufficientScope,
    /// The bearer token is the owner's, but only an operator may do this.
    #[error("Only an operator may end the owner's token. Rotate it instead.")]
    OperatorOnly,
    /// There is no such workspace.
    #[error("There is no workspace with this id.")]
    WorkspaceNotFound,
    /// The id is taken.
    #[error("A workspace with this id already exists.")]
    WorkspaceExists,
    /// The hash that the caller chose for a new token has or had a role in the workspace.
    #[error(
        "The token of this hash has or had a role in this workspace. Generate a new token and send its hash."
    )]
    HashInUse,
    /// The workspace has as many API tokens as it may have.
    #[error("The workspace has {API_TOKEN_LIMIT} API tokens, the most it may have. End one first.")]
    TokenLimitReached,
    /// The workspace is not at the epoch that the caller expected, or changed during the call.
    #[error("The workspace is at another epoch, or changed during the call. Read it, then decide again.")]
    EpochChanged,
    /// The operation id is the last command's, which did something else.
    #[error("The operation id was used for another operation, scope, token or successor. Send a new one.")]
    OperationIdReused,
    /// An operator's hand-over is pending, which an owner does not replace.
    #[error(
        "An operator's hand-over is pending. It ends with a take-over, when it expires, or when an operator cancels it."
    )]
    HandOverPending,
    /// The workspace was removed for good.
    #[error("The workspace was removed.")]
    WorkspaceRemoved,
    /// The same, to an agent that asks for its own state. Agents' loops end at exactly this answer.
    #[error("The workspace was removed. The agent may stop.")]
    StateOfRemoved,
    /// The body or the agent's card is too large.
    #[error("{0}")]
    PayloadTooLarge(&'static str),
    /// Other calls changed the workspace during every attempt of this one.
    #[error("Other calls changed the workspace at the same time. Retry the same request.")]
    Contended,
    /// A request to the store failed. The cause is for the log.
    #[error("The outcome could not be determined. Retry the same request.")]
    StoreUnavailable {
        /// For the log.
        cause: String,
    },
    /// The registry failed, or found malformed data. The cause is for the log.
    #[error("The registry failed. An operator can find the cause in the log by the request id.")]
    Internal {
        /// For the log.
        cause: String,
    },
}

/// Who calls a function. It decides who is to act when the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Agents, which retry by themselves: 503 with `Retry-After`.
    Agents,
    /// Operators and their tools, who must look: 500.
    Operators,
}

/// Seconds after which a caller may retry (`Retry-After`, RFC 9110, section 10.2.3).
const RETRY_AFTER_SECONDS: &str = "1";

/// How an error looks over HTTP.
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
    /// A wrong value, with the sentence that says what to change.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { field: field.into(), message: message.into() }
    }

    /// The status, code and headers.
    pub fn http(&self, audience: Audience) -> HttpError {
        let error = |status, code| HttpError { status, code, challenge: None, retry_after: None };
        let retry = |code| HttpError {
            retry_after: Some(RETRY_AFTER_SECONDS),
            ..error(StatusCode::SERVICE_UNAVAILABLE, code)
        };
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
            Self::InsufficientScope | Self::OperatorOnly => HttpError {
                challenge: Some("Bearer error=\"insufficient_scope\""),
                ..error(StatusCode::FORBIDDEN, "insufficient_scope")
            },
            Self::WorkspaceNotFound => error(StatusCode::NOT_FOUND, "workspace_not_found"),
            Self::WorkspaceExists => error(StatusCode::CONFLICT, "workspace_exists"),
            Self::HashInUse => error(StatusCode::CONFLICT, "hash_in_use"),
            Self::TokenLimitReached => error(StatusCode::CONFLICT, "token_limit_reached"),
            Self::EpochChanged => error(StatusCode::CONFLICT, "epoch_changed"),
            Self::OperationIdReused => error(StatusCode::CONFLICT, "operation_id_reused"),
            Self::HandOverPending => error(StatusCode::CONFLICT, "hand_over_pending"),
            Self::WorkspaceRemoved => error(StatusCode::GONE, "workspace_removed"),
            Self::StateOfRemoved => error(StatusCode::NOT_FOUND, "workspace_removed"),
            Self::PayloadTooLarge(_) => error(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::Contended => retry("contended"),
            Self::StoreUnavailable { .. } => match audience {
                Audience::Agents => retry("store_unavailable"),
                Audience::Operators => error(StatusCode::INTERNAL_SERVER_ERROR, "store_unavailable"),
            },
            Self::Internal { .. } => error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The `errorType` of a direct invocation.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidJson(_) | Self::InvalidRequest { .. } | Self::PayloadTooLarge(_) => "InvalidPayload",
            // A direct call carries no bearer: IAM has authorised it.
            Self::MissingToken | Self::InvalidToken | Self::InsufficientScope | Self::OperatorOnly => {
                "InvalidPayload"
            }
            Self::WorkspaceNotFound => "WorkspaceNotFound",
            Self::WorkspaceExists => "WorkspaceExists",
            Self::HashInUse => "HashInUse",
            Self::TokenLimitReached => "TokenLimitReached",
            Self::EpochChanged => "EpochChanged",
            Self::OperationIdReused => "OperationIdReused",
            Self::HandOverPending => "HandOverPending",
            Self::WorkspaceRemoved | Self::StateOfRemoved => "WorkspaceRemoved",
            Self::Contended => "Contended",
            Self::StoreUnavailable { .. } => "StoreUnavailable",
            Self::Internal { .. } => "InternalError",
        }
    }

    /// What only the log may show.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::StoreUnavailable { cause } | Self::Internal { cause } => Some(cause),
            Self::InvalidJson(_)
            | Self::InvalidRequest { .. }
            | Self::MissingToken
            | Self::InvalidToken
            | Self::InsufficientScope
            | Self::OperatorOnly
            | Self::WorkspaceNotFound
            | Self::WorkspaceExists
            | Self::HashInUse
            | Self::TokenLimitReached
            | Self::EpochChanged
            | Self::OperationIdReused
            | Self::HandOverPending
            | Self::WorkspaceRemoved
            | Self::StateOfRemoved
            | Self::PayloadTooLarge(_)
            | Self::Contended => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::StoreUnavailable { cause: error.to_string() },
            // A retry would find the same item: an operator must look.
            StoreError::Malformed(malformed) => Self::Internal { cause: malformed.to_string() },
        }
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Operation(OperationError::Refused(refusal)) => refusal.into(),
            RunError::Operation(OperationError::Contended) => Self::Contended,
            RunError::Operation(OperationError::RandomUnavailable(error)) => error.into(),
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
            Refusal::NotFound => Self::WorkspaceNotFound,
            Refusal::Removed => Self::WorkspaceRemoved,
            Refusal::MissingToken => Self::MissingToken,
            Refusal::InvalidToken => Self::InvalidToken,
            Refusal::InsufficientScope => Self::InsufficientScope,
            Refusal::OperatorOnly => Self::OperatorOnly,
            Refusal::HashInUse => Self::HashInUse,
            Refusal::TokenLimitReached => Self::TokenLimitReached,
            Refusal::EpochChanged => Self::EpochChanged,
            Refusal::CommandIdReused => Self::OperationIdReused,
            Refusal::HandOverPending => Self::HandOverPending,
        }
    }
}

impl From<AgentUrlError> for Error {
    fn from(error: AgentUrlError) -> Self {
        Self::invalid("url", error.to_string())
    }
}

impl From<AgentCardError> for Error {
    fn from(error: AgentCardError) -> Self {
        match error {
            AgentCardError::TooLarge => {
                Self::PayloadTooLarge("`agent_card` must be at most 32 KiB of JSON text.")
            }
            AgentCardError::Malformed => Self::invalid("agent_card", error.to_string()),
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
    use crate::table::item::MalformedItem;
    use domain::agent_card::MAX_DEPTH;

    #[test]
    fn g7_a_store_failure_is_never_a_refusal() {
        let error = Error::from(StoreError::Unavailable {
            request: "GetItem",
            cause: "ThrottlingException".to_owned(),
        });
        let (operators, agents) = (error.http(Audience::Operators), error.http(Audience::Agents));
        assert_eq!((operators.status.as_u16(), operators.retry_after), (500, None));
        assert_eq!((agents.status.as_u16(), agents.retry_after), (503, Some("1")));
        assert_eq!(agents.code, operators.code);
        assert!(!error.to_string().contains("Throttling"), "the cause is for the log");
        assert_eq!(error.cause(), Some("DynamoDB GetItem failed: ThrottlingException"));
        let malformed = Error::from(StoreError::from(MalformedItem("epoch"))).http(Audience::Agents);
        assert_eq!((malformed.status.as_u16(), malformed.code), (500, "internal_error"));
    }

    #[test]
    fn contention_is_no_outage() {
        let contended = Error::from(RunError::from(OperationError::Contended));
        for audience in [Audience::Agents, Audience::Operators] {
            let http = contended.http(audience);
            assert_eq!((http.status.as_u16(), http.code, http.retry_after), (503, "contended", Some("1")));
        }
        assert_eq!(contended.cause(), None, "it is no error of the registry");
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let challenge = |error: Error| error.http(Audience::Agents).challenge;
        assert_eq!(challenge(Error::MissingToken), Some("Bearer"));
        assert_eq!(challenge(Error::InvalidToken), Some("Bearer error=\"invalid_token\""));
        assert_eq!(challenge(Error::HashInUse), None);
        assert_eq!(challenge(Error::WorkspaceNotFound), None);
    }

    #[test]
    fn a_card_s_errors_name_its_limits() {
        assert!(matches!(Error::from(AgentCardError::TooLarge), Error::PayloadTooLarge(_)));
        let malformed = Error::from(AgentCardError::Malformed).to_string();
        assert!(malformed.contains(&format!("{MAX_DEPTH} levels")), "{malformed}");
    }
}
