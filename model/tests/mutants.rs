//! Every mutant breaks the guarantee named here, in the scenario named here.

#![allow(
    clippy::print_stdout,
    reason = "shows the counterexamples: cargo test -p model --test mutants -- --nocapture"
)]

use model::audit::Guarantee;
use model::mutant::Mutant;
use model::scenario;
use model::world::World;
use stateright::{Checker, HasDiscoveries, Model};

/// For each mutant: where it is found, what it breaks there, and how many faults that takes.
const FOUND: &[(Mutant, &str, Guarantee, u8)] = &[
    (Mutant::NoFence, "revoke", Guarantee::G3, 0),
    (Mutant::EpochStands, "revoke", Guarantee::G3, 0),
    (Mutant::RefreshByAnybody, "two-workspaces", Guarantee::G1, 0),
    (Mutant::OwnerRefreshUnfenced, "revoke", Guarantee::G3, 0),
    (Mutant::OwnerRefreshUnfenced, "hand-over", Guarantee::G14, 0),
    (Mutant::ApiRefreshUnfenced, "two-revokes", Guarantee::G3, 0),
    (Mutant::RefreshAdvances, "hand-over", Guarantee::Spec, 0),
    (Mutant::ClaimOverTheOwner, "bootstrap", Guarantee::G2, 0),
    (Mutant::ClaimOverAHandOver, "cut-off", Guarantee::G16, 0),
    (Mutant::SealIsOpen, "sealed", Guarantee::G9, 0),
    (Mutant::BearerIgnored, "revoke", Guarantee::G3, 0),
    (Mutant::PreviousOwnerReturns, "chosen", Guarantee::G4, 0),
    (Mutant::PreviousOwnerSucceeds, "cut-off", Guarantee::Spec, 0),
    (Mutant::OwnerMintedAgain, "limit", Guarantee::Spec, 0),
    (Mutant::NoLimit, "limit", Guarantee::Spec, 0),
    (Mutant::SameTokenTwice, "bootstrap", Guarantee::G4, 1),
    (Mutant::ClaimNotRecognised, "bootstrap", Guarantee::G6, 1),
    (Mutant::MintNotRecognised, "limit", Guarantee::G6, 1),
    (Mutant::CreateNotRecognised, "create", Guarantee::G6, 1),
    (Mutant::RevokeNotRecognised, "revoke", Guarantee::G6, 1),
    (Mutant::HandOverNotRecognised, "two-successors", Guarantee::G6, 1),
    (Mutant::CancelNotRecognised, "cancel", Guarantee::G6, 1),
    (Mutant::AnyWriteIsOwn, "bootstrap", Guarantee::G2, 0),
    (Mutant::AnyWriteIsOwn, "hand-over", Guarantee::G6, 0),
    (Mutant::CommandTriesAgain, "cancel", Guarantee::G6, 1),
    (Mutant::ChosenTwice, "limit", Guarantee::G4, 1),
    (Mutant::ClaimAnswersTheSeenEpoch, "bootstrap", Guarantee::Spec, 0),
    (Mutant::RepeatCounts, "revoke", Guarantee::G6, 1),
    (Mutant::SourceLivesOn, "hand-over", Guarantee::G14, 0),
    (Mutant::HandOverEndsTheOwner, "hand-over", Guarantee::G14, 0),
    (Mutant::ExpiredNotCancelled, "cancel", Guarantee::G15, 0),
    (Mutant::CancelOnlyThePending, "hand-over-and-cancel", Guarantee::G15, 0),
    (Mutant::CancelKeepsTheEpoch, "cancel", Guarantee::G15, 0),
    (Mutant::RevokeSparesTheSuccessor, "hand-over", Guarantee::G3, 0),
    (Mutant::RevokeOnlyTheLive, "bootstrap", Guarantee::G3, 0),
    (Mutant::RevokeForgetsTheOwner, "chosen", Guarantee::Spec, 0),
    (Mutant::RevokeCreates, "create", Guarantee::G5, 0),
    (Mutant::RepeatedAgain, "revoke", Guarantee::G6, 1),
    (Mutant::ExpectedEpochIgnored, "two-revokes", Guarantee::G6, 1),
    (Mutant::ExpectedEpochIgnored, "two-successors", Guarantee::Spec, 0),
    (Mutant::ExpectedEpochIgnored, "hand-over-and-cancel", Guarantee::Spec, 0),
    (Mutant::CreateOverwrites, "create", Guarantee::G9, 0),
    (Mutant::SealedCreateTakesAny, "create", Guarantee::Spec, 0),
    (Mutant::RemoveKeepsTheEpoch, "removal", Guarantee::G10, 0),
    (Mutant::RemoveLeavesTheStatus, "removal", Guarantee::G10, 0),
    (Mutant::RemoveNotRecognised, "removal", Guarantee::G6, 0),
    (Mutant::ExpectedEpochIgnored, "removal", Guarantee::Spec, 0),
    (Mutant::RemovedIsLive, "removed", Guarantee::G10, 0),
    (Mutant::HashAuthenticates, "two-workspaces", Guarantee::G11, 0),
    (Mutant::RotateByAnybody, "rotation", Guarantee::G21, 0),
    (Mutant::RotateOverAHandOver, "rotation-and-hand-over", Guarantee::G22, 0),
    (Mutant::BeatTakesOver, "rotation-and-hand-over", Guarantee::G21, 0),
    (Mutant::EndNotRecognised, "one-token", Guarantee::G6, 1),
    (Mutant::EndOnlyTheLive, "one-token", Guarantee::G3, 0),
    (Mutant::LiveEndsTheOwner, "one-token", Guarantee::G21, 0),
    (Mutant::ExpiredIsLive, "expiry", Guarantee::Spec, 0),
    (Mutant::ExpiredIsMinted, "expiry", Guarantee::Spec, 0),
    (Mutant::ProofWithoutEpoch, "same-place", Guarantee::Flip, 0),
    (Mutant::ProofWithoutOwner, "two-revokes", Guarantee::Flip, 0),
    (Mutant::ProofWithoutUrl, "revoke", Guarantee::Flip, 0),
];

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        assert!(FOUND.iter().any(|(found, ..)| found == mutant), "{mutant:?} is not in the table");
    }
    let mut survivors = Vec::new();
    for &(mutant, name, guarantee, faults) in FOUND {
        let scenario = scenario::Scenario { faults, ..scenario::named(name) };
        let checker = World::mutated(scenario, mutant, guarantee)
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        match checker.discovery(guarantee.title()) {
            Some(path) => {
                println!("{mutant:?} breaks {} in `{name}`:", guarantee.title());
                for (state, action) in path.into_vec() {
                    println!("  {state}");
                    if let Some(action) = action {
                        println!("    {action:?}");
                    }
                }
            }
            None => survivors.push((mutant, name, guarantee)),
        }
    }
    assert!(survivors.is_empty(), "no counterexample: {survivors:#?}");
}
