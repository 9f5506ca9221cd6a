//! Create: what a new workspace is, and what its first token is for. It is the one operation that finds no workspace: its
//! write is a PutItem on the condition that the id is free.

use crate::random::{Random, RandomUnavailable};
use crate::token::{IssuedToken, TokenHash};
use crate::workspace::{ApiToken, Owner, OwnerHash, Status, Workspace};

/// Whether a container without a token may claim a new workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// The door is closed.
    Closed,
    /// The door is open.
    Open,
}

impl Bootstrap {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Closed, Self::Open];

    /// As callers send it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// What the first token of a workspace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstTokenRole {
    /// It owns the workspace: the door is closed.
    Owner,
    /// It is an API token: the door is open.
    Api,
    /// There is none: the door is open.
    None,
}

/// A combination of fields that would let anybody claim an external workspace that nobody runs yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWithoutUrl;

/// The contract's table: a new workspace's status, and what its first token is for.
///
/// # Errors
/// [`OpenWithoutUrl`] for an external workspace with an open door and no URL.
pub fn plan(
    external: bool,
    has_url: bool,
    bootstrap: Option<Bootstrap>,
) -> Result<(Status, FirstTokenRole), OpenWithoutUrl> {
    match (external, has_url, bootstrap) {
        (false, _, None | Some(Bootstrap::Closed)) => Ok((Status::Provisioning, FirstTokenRole::Owner)),
        (false, _, Some(Bootstrap::Open)) => Ok((Status::Provisioning, FirstTokenRole::Api)),
        (true, false, None | Some(Bootstrap::Closed)) => Ok((Status::AwaitingAgent, FirstTokenRole::Owner)),
        (true, false, Some(Bootstrap::Open)) => Err(OpenWithoutUrl),
        (true, true, None | Some(Bootstrap::Open)) => Ok((Status::Online, FirstTokenRole::None)),
        (true, true, Some(Bootstrap::Closed)) => Ok((Status::Online, FirstTokenRole::Owner)),
    }
}

/// Gives a new workspace its first token. If none can be generated, the door is sealed, not open: then there is no token,
/// and the error says why.
///
/// # Errors
/// [`RandomUnavailable`] when the door was sealed.
pub fn install_first_token(
    workspace: &mut Workspace,
    role: FirstTokenRole,
    chosen: Option<&TokenHash>,
    random: &Random,
) -> Result<Option<IssuedToken>, RandomUnavailable> {
    if role == FirstTokenRole::None {
        return Ok(None);
    }
    let issued = IssuedToken::new(chosen, random);
    let token = issued.as_ref().ok();
    let hash = token.map_or(OwnerHash::Sealed, |token| OwnerHash::Token(token.hash().clone()));
    let (prefix, minted_at) = (token.and_then(IssuedToken::prefix).cloned(), workspace.created_at);
    match (role, hash) {
        (FirstTokenRole::Api, OwnerHash::Token(hash)) => {
            workspace.api_tokens.insert(hash, ApiToken { prefix, name: None, minted_at, expires: None });
        }
        (_, hash) => workspace.owner = Some(Owner { hash, prefix, minted_at, epoch: workspace.epoch }),
    }
    issued.map(Some)
}

/// When the id is taken: did this call, or the same call before, create the workspace that was found? `first_token` is
/// the hash of the token that this call would have installed.
pub fn already_created(found: &Workspace, asked: &Workspace, first_token: Option<&TokenHash>) -> bool {
    first_token.is_some_and(|token| found.is_live(token, asked.created_at))
        || found.created_op == asked.created_op
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::id::CommandId;
    use crate::workspace::Epoch;

    #[test]
    fn the_create_table() {
        use Bootstrap::{Closed, Open};
        use Status::{AwaitingAgent, Online, Provisioning};
        for has_url in [false, true] {
            assert_eq!(plan(false, has_url, None), Ok((Provisioning, FirstTokenRole::Owner)));
            assert_eq!(plan(false, has_url, Some(Closed)), Ok((Provisioning, FirstTokenRole::Owner)));
            assert_eq!(plan(false, has_url, Some(Open)), Ok((Provisioning, FirstTokenRole::Api)));
        }
        assert_eq!(plan(true, false, None), Ok((AwaitingAgent, FirstTokenRole::Owner)));
        assert_eq!(plan(true, false, Some(Closed)), Ok((AwaitingAgent, FirstTokenRole::Owner)));
        assert_eq!(plan(true, false, Some(Open)), Err(OpenWithoutUrl), "anybody could claim it");
        assert_eq!(plan(true, true, None), Ok((Online, FirstTokenRole::None)));
        assert_eq!(plan(true, true, Some(Open)), Ok((Online, FirstTokenRole::None)));
        assert_eq!(plan(true, true, Some(Closed)), Ok((Online, FirstTokenRole::Owner)));
    }

    fn new() -> Workspace {
        let Workspace { id, profile, created_at, created_op, .. } = open();
        Workspace::new(id, Status::Provisioning, profile, created_at, created_op)
    }

    fn with_token(
        role: FirstTokenRole,
        chosen: Option<&str>,
        random: &Random,
    ) -> (Workspace, Result<Option<IssuedToken>, RandomUnavailable>) {
        let mut workspace = new();
        let issued = install_first_token(&mut workspace, role, chosen.map(hash).as_ref(), random);
        (workspace, issued)
    }

    #[test]
    fn g9_a_first_token_is_the_owners_or_an_api_token() {
        for chosen in [None, Some("new")] {
            let (workspace, issued) = with_token(FirstTokenRole::Owner, chosen, &Random::OS);
            let issued = issued.unwrap().unwrap();
            let owner = workspace.owner.as_ref().unwrap();
            assert!(workspace.is_owner(issued.hash()) && workspace.api_tokens.is_empty());
            assert_eq!((owner.prefix.as_ref(), owner.epoch), (issued.prefix(), Epoch::FIRST));
            assert_eq!(issued.generated().is_some(), chosen.is_none());

            let (workspace, issued) = with_token(FirstTokenRole::Api, chosen, &Random::OS);
            let issued = issued.unwrap().unwrap();
            assert!(workspace.is_api_token(issued.hash(), now()) && workspace.owner.is_none());
        }
        let (workspace, issued) = with_token(FirstTokenRole::None, Some("new"), &Random::OS);
        assert!(issued.unwrap().is_none() && workspace == new());
    }

    /// A door that should have had a token must not stand open for want of one.
    #[test]
    fn g9_without_randomness_the_door_is_sealed() {
        for role in [FirstTokenRole::Owner, FirstTokenRole::Api] {
            let (workspace, issued) = with_token(role, None, &Random::UNAVAILABLE);
            assert!(issued.is_err());
            assert_eq!(workspace.owner.unwrap().hash, OwnerHash::Sealed);
            assert!(workspace.api_tokens.is_empty());
        }
        let (workspace, issued) = with_token(FirstTokenRole::Owner, Some("new"), &Random::UNAVAILABLE);
        assert!(issued.is_ok() && workspace.is_owner(&hash("new")), "a chosen token needs no randomness");
    }

    #[test]
    fn g6_a_create_recognises_its_own_write() {
        let asked = |op: &str| Workspace { created_op: CommandId::parse(op).unwrap(), ..new() };
        let created = |found: &Workspace, op: &str, token: Option<&str>| {
            already_created(found, &asked(op), token.map(hash).as_ref())
        };
        assert!(created(&owned(), "another-call", Some("owner")));
        assert!(created(&open(), "another-call", Some("api")));
        assert!(created(&sealed(), "r", None), "the same call");
        assert!(!created(&owned(), "another-call", Some("new")));
        assert!(!created(&owned(), "another-call", Some("previous")));
        assert!(!created(&sealed(), "another-call", None));
    }
}
