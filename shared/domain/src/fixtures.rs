//! The workspaces that the tests of the operations decide on.

use crate::agent_card::AgentCard;
use crate::agent_url::AgentUrlPolicy;
use crate::id::{CommandId, WorkspaceId};
use crate::operations::command::Command;
use crate::protocol::{Decision, Operation, OperationError, Refusal};
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::{
    ApiToken, CommandKind, Epoch, LastCommand, NamedBy, Owner, OwnerHash, Profile, Registration, RevokeScope,
    Status, Stored, Successor, Workspace,
};
use crate::write::{Change, Write};

/// The time of every call.
pub const NOW: i64 = 1_000;
/// Where every workspace below last registered from.
pub const STORED_URL: &str = "https://a.example";
pub const OTHER_URL: &str = "https://b.example";
const CARD: &str = r#"{"name":"agent"}"#;

pub fn hash(word: &str) -> TokenHash {
    TokenHash::of(word)
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_epoch_seconds(seconds).unwrap()
}

pub fn now() -> Timestamp {
    at(NOW)
}

pub fn card(text: &str) -> AgentCard {
    AgentCard::parse(text).unwrap()
}

pub fn registration(url: &str) -> Registration {
    Registration { url: AgentUrlPolicy::Public.check(Some(url)).unwrap(), agent_card: card(CARD) }
}

pub fn command(id: &str, expected_epoch: Option<u64>) -> Command {
    Command { id: CommandId::parse(id).unwrap(), expected_epoch: expected_epoch.map(Epoch) }
}

pub fn successor(word: &str, expires: i64) -> Successor {
    Successor { hash: hash(word), prefix: None, named_by: NamedBy::Operator, expires: at(expires) }
}

pub fn api_token() -> ApiToken {
    ApiToken { prefix: None, name: None, minted_at: now(), expires: None }
}

pub fn api_token_until(expires: i64) -> ApiToken {
    ApiToken { expires: Some(at(expires)), ..api_token() }
}

/// An open door at epoch 7, an API token `api`, one that has just expired `expired`, a previous owner `previous`, and the last command `op`: a revoke of
/// everything that made epoch 5.
pub fn open() -> Workspace {
    let id = WorkspaceId::parse("w").unwrap();
    let profile = Profile { name: "w".to_owned(), ..Profile::default() };
    let Registration { url, agent_card } = registration(STORED_URL);
    let workspace = Workspace::new(id, Status::Online, profile, now(), CommandId::parse("r").unwrap());
    Workspace {
        url,
        agent_card: Some(agent_card),
        epoch: Epoch(7),
        previous_owner: Some(hash("previous")),
        api_tokens: [(hash("api"), api_token()), (hash("expired"), api_token_until(NOW))].into(),
        last_command: Some(LastCommand {
            id: CommandId::parse("op").unwrap(),
            kind: CommandKind::Revoke { scope: RevokeScope::All, successor: None },
            epoch: Epoch(5),
        }),
        ..workspace
    }
}

pub fn owned_by(hash: OwnerHash) -> Workspace {
    Workspace { owner: Some(Owner { hash, prefix: None, minted_at: now(), epoch: Epoch(7) }), ..open() }
}

/// [`open`], but owned by `owner`.
pub fn owned() -> Workspace {
    owned_by(OwnerHash::Token(hash("owner")))
}

/// [`open`], but sealed.
pub fn sealed() -> Workspace {
    owned_by(OwnerHash::Sealed)
}

/// With a hand-over to `successor` that has not expired.
pub fn pending(workspace: Workspace) -> Workspace {
    Workspace { successor: Some(successor("successor", NOW + 1)), ..workspace }
}

/// With a hand-over to `successor` that has just expired.
pub fn expired(workspace: Workspace) -> Workspace {
    Workspace { successor: Some(successor("successor", NOW)), ..workspace }
}

/// With `op` as the last command, of this kind, at epoch 5.
pub fn after(workspace: Workspace, kind: CommandKind) -> Workspace {
    let last = LastCommand { id: CommandId::parse("op").unwrap(), kind, epoch: Epoch(5) };
    Workspace { last_command: Some(last), ..workspace }
}

pub fn stored(workspace: Workspace) -> Stored {
    Stored::Workspace(Box::new(workspace))
}

/// What an operation decides: the write if it makes one, and its answer. Panics unless it decides or refuses.
pub fn decide<O: Operation>(
    operation: &O,
    workspace: &Workspace,
) -> Result<(Option<Write>, O::Answer), Refusal> {
    match operation.decide(workspace) {
        Ok(Decision::Write(write, answer)) => {
            assert_eq!(write.seen(), workspace.epoch, "every write is fenced by what was seen");
            Ok((Some(write), answer))
        }
        Ok(Decision::AlreadyDone(answer)) => Ok((None, answer)),
        Err(OperationError::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

/// Whether the write makes this change.
pub fn changes(write: &Write, change: &Change) -> bool {
    write.changes().contains(change)
}

/// The owner that a write sets.
pub fn new_owner(write: &Write) -> Option<&Owner> {
    write
        .changes()
        .iter()
        .find_map(|change| if let Change::SetOwner(owner) = change { Some(owner) } else { None })
}
