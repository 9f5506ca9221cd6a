//! Whether a token opens a route of somebody else's API: one workspace, one bearer, yes or no.

use crate::id::WorkspaceId;
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::{Epoch, LiveToken, Stored};

/// A yes: what the API that asked is told about its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The workspace that the token is live in.
    pub workspace_id: WorkspaceId,
    /// The token.
    pub token: LiveToken,
    /// The workspace's epoch at that moment.
    pub epoch: Epoch,
}

/// A no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody says who calls.
    #[error("there is no bearer")]
    NoBearer,
    /// What should be a bearer is none.
    #[error("the bearer is malformed")]
    MalformedBearer,
    /// Nothing in the request names a workspace.
    #[error("no workspace is named")]
    Unnamed,
    /// What should name a workspace is no workspace's id.
    #[error("the workspace's id is malformed")]
    MalformedId,
    /// The request names several workspaces. Which one the API behind would take cannot be known.
    #[error("several workspaces are named")]
    Several,
    /// The token is not live in this workspace, or there is no such workspace.
    #[error("the token is not live in the workspace")]
    NotLive,
}

/// The one workspace that all these names name.
///
/// # Errors
/// [`Denied`] when there is no name, when one is malformed, or when they disagree.
pub fn named_workspace<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<WorkspaceId, Denied> {
    let mut named = None;
    for name in names {
        let id = WorkspaceId::parse(name).ok_or(Denied::MalformedId)?;
        if named.as_ref().is_some_and(|named| *named != id) {
            return Err(Denied::Several);
        }
        named = Some(id);
    }
    named.ok_or(Denied::Unnamed)
}

/// Decides whether a bearer may act for a workspace, from what the table stores under the workspace's id.
///
/// # Errors
/// [`Denied::NotLive`], also for a workspace that does not exist or was removed: nothing is learned by asking.
pub fn authorize(stored: Option<&Stored>, bearer: &TokenHash, now: Timestamp) -> Result<Authorized, Denied> {
    match stored {
        Some(Stored::Workspace(workspace)) => {
            let token = workspace.live_token(bearer, now).ok_or(Denied::NotLive)?;
            Ok(Authorized { workspace_id: workspace.id.clone(), token, epoch: workspace.epoch })
        }
        Some(Stored::Tombstone(_)) | None => Err(Denied::NotLive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{hash, now, open, owned, pending, sealed, stored};
    use crate::workspace::{TokenKind, Tombstone, Workspace};

    fn kind(workspace: Workspace, word: &str) -> Result<TokenKind, Denied> {
        let authorized = authorize(Some(&stored(workspace)), &hash(word), now())?;
        assert_eq!((authorized.workspace_id.as_str(), authorized.epoch), ("w", Epoch(7)));
        Ok(authorized.token.kind)
    }

    #[test]
    fn a_live_token_is_authorized_and_named() {
        assert_eq!(kind(owned(), "owner"), Ok(TokenKind::Owner));
        assert_eq!(kind(owned(), "api"), Ok(TokenKind::Api));
        assert_eq!(kind(open(), "api"), Ok(TokenKind::Api));
        let owner = authorize(Some(&stored(owned())), &hash("owner"), now()).unwrap();
        assert!(owner.token.id.as_str().starts_with("sha256:"));
    }

    #[test]
    fn nothing_else_is() {
        for (workspace, word) in [
            (owned(), "previous"),
            (owned(), "made up"),
            (owned(), "expired"),
            (open(), "owner"),
            (sealed(), "owner"),
            (sealed(), "sealed"),
            // It opens nothing before its first registration.
            (pending(owned()), "successor"),
        ] {
            assert_eq!(kind(workspace, word), Err(Denied::NotLive), "{word}");
        }
        let tombstone = Stored::Tombstone(Tombstone { id: open().id, epoch: Epoch(8) });
        for stored in [None, Some(&tombstone)] {
            assert_eq!(authorize(stored, &hash("api"), now()), Err(Denied::NotLive));
        }
    }

    #[test]
    fn a_request_names_exactly_one_workspace() {
        let named = |names: &[&str]| named_workspace(names.iter().copied());
        let one = WorkspaceId::parse("w").unwrap();
        assert_eq!(named(&["w"]), Ok(one.clone()));
        assert_eq!(named(&["w", "w", "w"]), Ok(one));
        assert_eq!(named(&[]), Err(Denied::Unnamed));
        assert_eq!(named(&["w", "v"]), Err(Denied::Several));
        assert_eq!(named(&["w", "W"]), Err(Denied::Several));
        for malformed in ["", "w,w", "a b", "w#presence"] {
            assert_eq!(named(&["w", malformed]), Err(Denied::MalformedId), "{malformed}");
            assert_eq!(named(&[malformed]), Err(Denied::MalformedId), "{malformed}");
        }
    }
}
