//! What the routes that mint and end tokens have in common, whoever calls them.

use domain::operations::caller::Caller;
use domain::operations::end_token::{EndToken, Ended};
use domain::operations::mint_token::{MintToken, Minted};
use domain::token::TokenId;
use domain::workspace::TokenName;
use serde::Serialize;
use shared::prelude::*;

#[derive(Serialize)]
struct MintReply {
    workspace_id: String,
    token_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct EndReply {
    status: &'static str,
    workspace_id: String,
    token_id: String,
    revoked: u8,
    epoch: u64,
}

/// Reads a request to mint an API token.
///
/// # Errors
/// [`Error::InvalidRequest`] when a field has a wrong value.
pub fn read_mint(fields: &Fields<'_>, caller: Caller, random: &Random) -> Result<MintToken, Error> {
    let now = Timestamp::now();
    let seconds = fields.integer("expires_in_seconds", 60..=31_536_000)?;
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    Ok(MintToken {
        caller,
        name: fields.parsed_text("name", TokenName::GRAMMAR, TokenName::parse)?,
        expires: seconds.map(|seconds| now.plus_seconds(seconds)),
        chosen: fields.chosen_token()?,
        now,
        random: random.clone(),
    })
}

/// Mints an API token.
///
/// # Errors
/// [`Error`] when the call is refused or the outcome is unknown.
pub async fn mint(store: &Store, id: &WorkspaceId, operation: &MintToken) -> Result<Reply, Error> {
    let Minted { epoch, id: token_id, expires, token } = store.run(id, operation).await?;
    let token_id = token_id.as_str().to_owned();
    if let Some(epoch) = epoch {
        tracing::info!(epoch = epoch.0, token_id, "API token minted");
    }
    let prefix = token.as_ref().map(|token| token.prefix().as_str().to_owned());
    let (workspace_id, auth_token) = (id.as_str().to_owned(), token.map(NewToken::reveal));
    let expires_at = expires.map(Timestamp::rfc3339);
    Reply::created(&MintReply { workspace_id, token_id, auth_token, prefix, expires_at })
}

/// Ends one token.
///
/// # Errors
/// [`Error`] when the call is refused or the outcome is unknown.
pub async fn end(store: &Store, id: &WorkspaceId, operation: &EndToken) -> Result<Reply, Error> {
    let Ended { was_live, epoch } = store.run(id, operation).await?;
    let token_id = operation.id.as_str().to_owned();
    tracing::info!(token_id, revoked = u8::from(was_live), epoch = epoch.0, "token ended");
    let (workspace_id, revoked) = (id.as_str().to_owned(), u8::from(was_live));
    Reply::ok(&EndReply { status: "revoked", workspace_id, token_id, revoked, epoch: epoch.0 })
}

/// The token id in the path.
///
/// # Errors
/// [`Error::InvalidRequest`] when it is missing or does not follow the grammar.
pub fn token_id(request: &HttpRequest) -> Result<TokenId, Error> {
    request.token_id()?.ok_or_else(|| Error::invalid("token_id", "The path must name a token."))
}
