//! Every scenario with one fault, which is fast enough for every test run. The command `check` runs them with two.

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
