//! End one token: the owner's, an API token, or one that is pending as the next owner's. The others stay.

use crate::operations::command::Command;
use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::time::Timestamp;
use crate::token::{TokenHash, TokenId};
use crate::workspace::{CommandKind, Epoch, NamedBy, Workspace};
use crate::write::Write;

/// A request to end one token.
#[derive(Debug)]
pub struct EndToken {
    /// Who asks.
    pub caller: EndTokenCaller,
    /// Which token ends.
    pub id: TokenId,
    /// The time of the call.
    pub now: Timestamp,
}

/// Who asks to end a token.
#[derive(Clone, Debug)]
pub enum EndTokenCaller {
    /// An operator, by a command that the workspace remembers.
    Operator(Command),
    /// Whoever presents this bearer. Only the owner may, and only an API token. The workspace does not remember it, so that
    /// an owner cannot make it forget an operator's command.
    Bearer(TokenHash),
}

/// The token is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether this call ended it.
    pub was_live: bool,
    /// The epoch that the call made.
    pub epoch: Epoch,
}

impl Operation for EndToken {
    type Answer = Ended;

    /// Writes even when no such token is live: the epoch advances, so that a mint of it that is already on its way cannot land
    /// after the answer.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Ended>, OperationError> {
        match &self.caller {
            EndTokenCaller::Operator(command) => {
                if let Some(last) = command.remembered(workspace) {
                    if last.kind != self.kind() {
                        return Err(Refusal::CommandIdReused.into());
                    }
                    return Ok(Decision::AlreadyDone(Ended { was_live: false, epoch: last.epoch }));
                }
                command.check_epoch(workspace)?;
            }
            EndTokenCaller::Bearer(bearer) => {
                workspace.require_owner(bearer, self.now)?;
                if self.is_owner(workspace) {
                    return Err(Refusal::OperatorOnly.into());
                }
            }
        }
        let mut write = Write::advancing(workspace);
        if self.is_owner(workspace) {
            write = write.no_owner(workspace, None);
        } else if self.is_successor(workspace) {
            write = write.successor(None);
        }
        write = write.no_api_token(self.api_tokens(workspace));
        if let EndTokenCaller::Operator(command) = &self.caller {
            write = write.command(&command.id, self.kind());
        }
        let write = write.revoked_at(self.now);
        let answer = Ended { was_live: self.is_live(workspace), epoch: write.epoch() };
        Ok(Decision::Write(write, answer))
    }

    fn already_applied(&self, found: &Workspace, answer: Ended) -> Option<Ended> {
        match &self.caller {
            EndTokenCaller::Operator(command) => {
                let last = command.remembered(found).filter(|last| last.kind == self.kind())?;
                // At another epoch, another call of the same id made it, and has answered whether it ended the token.
                Some(Ended { was_live: answer.was_live && last.epoch == answer.epoch, epoch: last.epoch })
            }
            EndTokenCaller::Bearer(_) => {
                (answer.was_live && !self.is_live(found)).then_some(Ended { epoch: found.epoch, ..answer })
            }
        }
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        match self.caller {
            EndTokenCaller::Operator(_) => WhenOvertaken::GiveUp,
            EndTokenCaller::Bearer(_) => WhenOvertaken::TryAgain,
        }
    }
}

impl EndToken {
    fn kind(&self) -> CommandKind {
        CommandKind::EndToken { id: self.id.clone() }
    }

    fn is_live(&self, workspace: &Workspace) -> bool {
        self.is_owner(workspace)
            || self.is_successor(workspace)
            || self.api_tokens(workspace).next().is_some()
    }

    fn is_owner(&self, workspace: &Workspace) -> bool {
        workspace.owner.as_ref().is_some_and(|owner| {
            owner.hash.token().is_some_and(|hash| TokenId::of(hash, owner.prefix.as_ref()) == self.id)
        })
    }

    /// A successor that could still take over. An owner ends only the one that it named itself.
    fn is_successor(&self, workspace: &Workspace) -> bool {
        let may_end =
            |by: NamedBy| by == NamedBy::Owner || matches!(self.caller, EndTokenCaller::Operator(_));
        workspace.pending_successor(self.now).is_some_and(|next| {
            may_end(next.named_by) && TokenId::of(&next.hash, next.prefix.as_ref()) == self.id
        })
    }

    fn api_tokens<'a>(&'a self, workspace: &'a Workspace) -> impl Iterator<Item = &'a TokenHash> {
        let live = workspace.live_api_tokens(self.now);
        live.filter(|(hash, token)| TokenId::of(hash, token.prefix.as_ref()) == self.id).map(|(hash, _)| hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::{LastCommand, Successor};
    use crate::write::Change;

    fn id(word: &str) -> TokenId {
        TokenId::of(&hash(word), None)
    }

    fn by_operator(word: &str, expected_epoch: Option<u64>) -> EndToken {
        let caller = EndTokenCaller::Operator(command("new-op", expected_epoch));
        EndToken { caller, id: id(word), now: now() }
    }

    fn by(bearer: &str, word: &str) -> EndToken {
        EndToken { caller: EndTokenCaller::Bearer(hash(bearer)), id: id(word), now: now() }
    }

    #[test]
    fn an_operator_ends_any_one_token() {
        let (write, ended) = decide(&by_operator("api", None), &pending(owned())).unwrap();
        let write = write.unwrap();
        assert!(ended.was_live && ended.epoch == write.epoch() && write.epoch() == owned().epoch.next());
        assert!(changes(&write, &Change::RemoveApiToken(hash("api"))));
        assert!(!changes(&write, &Change::ClearOwner) && !changes(&write, &Change::ClearSuccessor));
        let (write, ended) = decide(&by_operator("owner", None), &pending(owned())).unwrap();
        let write = write.unwrap();
        assert!(
            ended.was_live
                && changes(&write, &Change::ClearOwner)
                && changes(&write, &Change::ClearSuccessor)
        );
        assert!(!changes(&write, &Change::RemoveApiToken(hash("api"))));
        let (write, ended) = decide(&by_operator("successor", None), &pending(owned())).unwrap();
        let write = write.unwrap();
        assert!(ended.was_live && changes(&write, &Change::ClearSuccessor));
        assert!(!changes(&write, &Change::ClearOwner));
        for word in ["previous", "expired", "other"] {
            let (write, ended) = decide(&by_operator(word, None), &pending(owned())).unwrap();
            assert!(!ended.was_live && write.is_some(), "{word}");
        }
        assert_eq!(decide(&by_operator("api", Some(6)), &owned()), Err(Refusal::EpochChanged));
    }

    #[test]
    fn g21_an_owner_ends_api_tokens_of_its_own_and_nothing_else() {
        let (write, ended) = decide(&by("owner", "api"), &owned()).unwrap();
        let write = write.unwrap();
        assert!(ended.was_live && changes(&write, &Change::RemoveApiToken(hash("api"))));
        let forgets = |change: &Change| matches!(change, Change::SetLastCommand(_));
        assert!(!write.changes().iter().any(forgets), "an operator's command stays remembered");
        let (write, ended) = decide(&by("owner", "successor"), &pending(owned())).unwrap();
        assert!(
            !ended.was_live && !changes(&write.unwrap(), &Change::ClearSuccessor),
            "an operator named it"
        );
        let next = Successor { named_by: NamedBy::Owner, ..successor("next", NOW + 1) };
        let rotating = Workspace { successor: Some(next), ..owned() };
        let (write, ended) = decide(&by("owner", "next"), &rotating).unwrap();
        assert!(ended.was_live && changes(&write.unwrap(), &Change::ClearSuccessor));
        assert_eq!(decide(&by("owner", "owner"), &owned()), Err(Refusal::OperatorOnly));
        assert_eq!(decide(&by("api", "api"), &owned()), Err(Refusal::InsufficientScope));
        for bearer in ["previous", "expired", "successor", "other"] {
            assert_eq!(decide(&by(bearer, "api"), &pending(owned())), Err(Refusal::InvalidToken), "{bearer}");
        }
    }

    #[test]
    fn g6_ending_a_token_recognises_its_own_write() {
        let call = by_operator("api", None);
        let (write, answer) = decide(&call, &owned()).unwrap();
        let made = |epoch| {
            let last = LastCommand { id: call_id(), kind: call.kind(), epoch };
            Workspace { last_command: Some(last), epoch: Epoch(9), api_tokens: [].into(), ..owned() }
        };
        let epoch = write.unwrap().epoch();
        assert_eq!(call.already_applied(&made(epoch), answer), Some(answer));
        let another = Ended { was_live: false, epoch: Epoch(9) };
        assert_eq!(call.already_applied(&made(Epoch(9)), answer), Some(another));
        assert_eq!(call.already_applied(&owned(), answer), None);
        assert_eq!(decide(&call, &made(epoch)), Ok((None, Ended { was_live: false, epoch })));
        let call = by("owner", "api");
        let (_, answer) = decide(&call, &owned()).unwrap();
        assert!(call.already_applied(&made(epoch), answer).is_some());
        assert_eq!(call.already_applied(&owned(), answer), None);
        assert_eq!(call.when_overtaken(), WhenOvertaken::TryAgain);
    }

    fn call_id() -> crate::id::CommandId {
        command("new-op", None).id
    }
}
