//! Who may see whom, in random forests, against a definition that walks through the tree.

use domain::id::{CommandId, WorkspaceId};
use domain::time::Timestamp;
use domain::tree::{Ancestors, MAX_ANCESTORS, Roots, may_see};
use domain::workspace::{Profile, Status, Workspace};
use fastrand::Rng;

const FORESTS: usize = 500;

/// Each workspace's parent, by index. A parent comes before its children.
type Parents = Vec<Option<usize>>;

/// At most as many workspaces as a path may have, so that no path is too deep.
fn random_parents(dice: &mut Rng) -> Parents {
    let parent = |index: usize, dice: &mut Rng| (index > 0 && dice.u8(..4) > 0).then(|| dice.usize(..index));
    (0..dice.usize(1..=MAX_ANCESTORS)).map(|index| parent(index, dice)).collect()
}

fn forest(parents: &Parents) -> Vec<Workspace> {
    let mut forest: Vec<Workspace> = Vec::new();
    for (index, parent) in parents.iter().enumerate() {
        let id = WorkspaceId::parse(&format!("w{index}")).unwrap();
        let (now, call) = (Timestamp::now(), CommandId::parse("call").unwrap());
        let ancestors =
            parent.map_or_else(Ancestors::default, |parent| Ancestors::of_children(&forest[parent]).unwrap());
        let workspace = Workspace::new(id, Status::Online, Profile::default(), now, call);
        forest.push(Workspace { ancestors, ..workspace });
    }
    forest
}

fn is_above(parents: &Parents, above: usize, below: usize) -> bool {
    parents[below].is_some_and(|parent| parent == above || is_above(parents, above, parent))
}

#[test]
fn g19_who_may_see_whom_agrees_with_a_walk_through_the_tree() {
    let mut dice = Rng::with_seed(0x7472_6565);
    for _ in 0..FORESTS {
        let parents = random_parents(&mut dice);
        let forest = forest(&parents);
        for (one, seen) in forest.iter().enumerate() {
            for (other, target) in forest.iter().enumerate() {
                let are_family = one == other
                    || (parents[one].is_some() && parents[one] == parents[other])
                    || is_above(&parents, one, other)
                    || is_above(&parents, other, one);
                let are_roots = parents[one].is_none() && parents[other].is_none();
                assert_eq!(may_see(seen, target, Roots::Strangers), are_family, "{parents:?} {one} {other}");
                assert_eq!(may_see(seen, target, Roots::Peers), are_family || are_roots, "{parents:?}");
            }
        }
    }
}
