//! What administrators' commands have in common: an id, so that repeating one has one effect, and the epoch that the
//! caller expects.

use crate::id::CommandId;
use crate::protocol::Refusal;
use crate::workspace::{Epoch, LastCommand, Workspace};

/// For how long a hand-over is pending unless the caller says otherwise, in seconds.
pub const DEFAULT_EXPIRY_SECONDS: u32 = 3_600;

/// An administrator's command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Names it. Repeating a command with the same id has one effect.
    pub id: CommandId,
    /// The epoch that the caller believes the workspace is at.
    pub expected_epoch: Option<Epoch>,
}

impl Command {
    /// The workspace's last command, if it has this command's id.
    pub fn remembered<'a>(&self, workspace: &'a Workspace) -> Option<&'a LastCommand> {
        workspace.last_command.as_ref().filter(|last| last.id == self.id)
    }

    /// Checks that the workspace is at the epoch that the caller expects, if it expects one.
    ///
    /// # Errors
    /// [`Refusal::EpochChanged`] when it is not.
    pub fn check_epoch(&self, workspace: &Workspace) -> Result<(), Refusal> {
        match self.expected_epoch {
            Some(expected) if expected != workspace.epoch => Err(Refusal::EpochChanged),
            _ => Ok(()),
        }
    }
}
