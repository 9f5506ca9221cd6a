//! Who asks for something that both operators and the owner may do.

use crate::protocol::Refusal;
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::Workspace;

/// Who makes a call. The bearer of an owner is checked on the workspace that the call decides on.
#[derive(Clone, Debug)]
pub enum Caller {
    /// An operator, who was authenticated before.
    Operator,
    /// Whoever presents this bearer.
    Bearer(TokenHash),
}

impl Caller {
    /// Checks that this is an operator or the live owner.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`] for an API token's bearer, [`Refusal::InvalidToken`] for any other.
    pub fn require_owner(&self, workspace: &Workspace, now: Timestamp) -> Result<(), Refusal> {
        match self {
            Self::Operator => Ok(()),
            Self::Bearer(bearer) => workspace.require_owner(bearer, now).map(drop),
        }
    }
}
