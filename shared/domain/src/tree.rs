//! The tree of workspaces, and who may see whom. A workspace keeps the list of its ancestors from its creation on: a tree has
//! no moves. So whether one workspace may see another is a function of the two, without a walk through the tree.

use std::collections::BTreeSet;

use crate::id::WorkspaceId;
use crate::protocol::Refusal;
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::{Stored, Workspace};

/// How many ancestors a workspace may have.
pub const MAX_ANCESTORS: usize = 16;

/// The ancestors of a workspace, from the root down to the parent; none for a root. At most [`MAX_ANCESTORS`], without a
/// repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestors(Vec<WorkspaceId>);

impl Ancestors {
    /// These ids, from the root down to the parent; `None` if they are too many, or one of them comes twice.
    pub fn new(ids: Vec<WorkspaceId>) -> Option<Self> {
        let distinct = ids.iter().collect::<BTreeSet<_>>().len();
        (ids.len() <= MAX_ANCESTORS && distinct == ids.len()).then_some(Self(ids))
    }

    /// The ancestors of this workspace's children; `None` if that were too many.
    pub fn of_children(parent: &Workspace) -> Option<Self> {
        Self::new(parent.ancestors.0.iter().chain([&parent.id]).cloned().collect())
    }

    /// The parent; `None` for a root.
    pub fn parent(&self) -> Option<&WorkspaceId> {
        self.0.last()
    }

    /// From the root down to the parent.
    pub fn as_slice(&self) -> &[WorkspaceId] {
        &self.0
    }

    fn contains(&self, id: &WorkspaceId) -> bool {
        self.0.contains(id)
    }
}

/// Whether two roots may see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Each root is the top of an organisation of its own.
    Strangers,
    /// All workspaces belong to one organisation.
    Peers,
}

/// Whether one workspace may see the address of another: itself, its siblings, its ancestors, its descendants. It works both
/// ways.
pub fn may_see(one: &Workspace, other: &Workspace, roots: Roots) -> bool {
    let are_siblings = match (one.ancestors.parent(), other.ancestors.parent()) {
        (Some(parent), Some(other)) => parent == other,
        (None, None) => roots == Roots::Peers,
        (Some(_), None) | (None, Some(_)) => false,
    };
    one.id == other.id
        || are_siblings
        || one.ancestors.contains(&other.id)
        || other.ancestors.contains(&one.id)
}

/// Decides who may learn a workspace's address: the workspace that was asked about.
///
/// # Errors
/// [`Refusal::InvalidToken`] unless the bearer is live in the caller's workspace. [`Refusal::NotFound`] for a workspace that does
/// not exist, was removed, or that the caller may not see: nothing is learned by asking.
pub fn discover<'a>(
    caller: Option<&Stored>,
    bearer: &TokenHash,
    target: Option<&'a Stored>,
    roots: Roots,
    now: Timestamp,
) -> Result<&'a Workspace, Refusal> {
    let caller = match caller {
        Some(Stored::Workspace(caller)) if caller.is_live(bearer, now) => caller,
        Some(Stored::Workspace(_) | Stored::Tombstone(_)) | None => return Err(Refusal::InvalidToken),
    };
    match target {
        Some(Stored::Workspace(target)) if may_see(caller, target, roots) => Ok(target),
        Some(Stored::Workspace(_) | Stored::Tombstone(_)) | None => Err(Refusal::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::open;

    fn id(number: usize) -> WorkspaceId {
        WorkspaceId::parse(&format!("w{number}")).unwrap()
    }

    #[test]
    fn a_tree_has_a_limited_depth() {
        let mut deepest = Workspace { id: id(0), ..open() };
        for depth in 1..=MAX_ANCESTORS {
            let ancestors = Ancestors::of_children(&deepest).unwrap();
            assert_eq!((ancestors.as_slice().len(), ancestors.parent()), (depth, Some(&deepest.id)));
            deepest = Workspace { id: id(depth), ancestors, ..open() };
        }
        assert_eq!(Ancestors::of_children(&deepest), None);
        assert_eq!(Ancestors::new(vec![id(1), id(2), id(1)]), None, "a circle");
    }
}
