//! Every scenario with one fault: what is fast enough for each test run. The command `check` does it with two and more.

use model::scenario::{self, Scenario};
use model::world::World;
use stateright::{Checker, HasDiscoveries, Model};

#[test]
fn every_guarantee_holds_in_every_scenario() {
    for scenario in scenario::all() {
        let checker = World::new(Scenario { faults: 1, ..scenario })
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        checker.assert_properties();
    }
}
