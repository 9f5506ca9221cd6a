//! Checks every scenario exhaustively within its bounds, and prints how many states it visited.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a command that prints")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use model::scenario;
use model::table::TABLE;
use model::world::World;
use stateright::{Checker, HasDiscoveries, Model};

/// Checks the registry's guarantees in every order of requests and faults, within each scenario's bounds.
#[derive(Parser)]
struct Arguments {
    /// Check only these scenarios.
    scenarios: Vec<String>,
    /// Faults in one run, instead of the scenario's own number.
    #[arg(long)]
    faults: Option<u8>,
    /// Try each call once more than the scenario does.
    #[arg(long)]
    more: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let known: Vec<_> = scenario::all().iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = arguments.scenarios.iter().find(|name| !known.contains(&name.as_str())) {
        println!("there is no scenario {unknown}, only {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let mut all_hold = true;
    let mut states = 0;
    let begin = Instant::now();
    for mut scenario in scenario::all() {
        if !arguments.scenarios.is_empty() && !arguments.scenarios.iter().any(|name| name == scenario.name) {
            continue;
        }
        scenario.faults = arguments.faults.unwrap_or(scenario.faults);
        if arguments.more {
            scenario = scenario.with_more_tries();
        }
        let (name, about, clients, faults) =
            (scenario.name, scenario.about, scenario.clients.len(), scenario.faults);
        let calls: u8 = scenario.clients.iter().flat_map(|client| &client.steps).map(|step| step.tries).sum();
        let start = Instant::now();
        let checker = World::new(scenario)
            .checker()
            .threads(arguments.threads)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = checker.discoveries();
        println!(
            "{name}: {about}\n  {clients} clients, up to {calls} calls, {faults} faults: {} states, {} steps, depth {}, {:.1} s",
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            start.elapsed().as_secs_f64(),
        );
        states += checker.unique_state_count();
        for property in checker.model().properties() {
            let path = found.get(property.name);
            if path.is_some() == property.expectation.discovery_is_failure() {
                all_hold = false;
                println!("  DOES NOT HOLD: {}", property.name);
                if let Some(path) = path {
                    for (state, action) in path.clone().into_vec() {
                        println!("    {state}\n      {action:?}");
                    }
                }
            }
        }
    }
    let (items, writes, questions) = TABLE.counts();
    println!(
        "{states} states in all, {items} different items, {writes} different writes, {questions} evaluated on the engine, {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
