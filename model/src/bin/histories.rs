//! Records histories of the registry under faults, and checks that each is linearizable.

#![allow(clippy::print_stdout, reason = "a command that prints")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use model::histories::run::{Plan, run};

/// Records histories of the registry under network faults, and checks them against the specification.
#[derive(Parser)]
struct Arguments {
    /// Decides what clients ask for and which fault a request gets. It does not decide in which order requests arrive.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long to run.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Clients of one workspace.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Workspaces at the same time.
    #[arg(long, default_value_t = 12)]
    workspaces: usize,
    /// How many of a hundred requests get a fault, before the gateway and again before the store.
    #[arg(long, default_value_t = 15)]
    percent: u64,
    /// Remove the fence if a write is every so many requests to the store, to see that the check notices; 0 for never.
    #[arg(long, default_value_t = 0)]
    sabotage: u64,
    /// The address of a DynamoDB engine. Without it, one inside this process.
    #[arg(long, env = "DYNAMODB_ENDPOINT")]
    dynamodb_endpoint: Option<String>,
}

/// A run with this many calls answers every kind of success.
const MANY: usize = 2_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let endpoint = arguments.dynamodb_endpoint.filter(|endpoint| !endpoint.is_empty());
    println!("DynamoDB engine of this run: {}", endpoint.as_deref().unwrap_or("embedded"));
    let plan = Plan {
        seed: arguments.seed,
        time: Duration::from_secs(arguments.seconds),
        clients: arguments.clients,
        side_by_side: arguments.workspaces,
        percent: arguments.percent,
        sabotage: arguments.sabotage,
        endpoint,
    };
    let outcome = run(&plan).await;
    println!(
        "seed {}: {} workspaces with {} clients each, {} calls that reached the registry, {} of them overlapping another, {} unconfirmed writes",
        plan.seed, outcome.episodes, plan.clients, outcome.calls, outcome.overlapping, outcome.unconfirmed
    );
    for ((side, fault), count) in &outcome.faults {
        println!("  {side:?} {fault:?}: {count}");
    }
    if outcome.sabotaged > 0 {
        println!("  fences removed: {}", outcome.sabotaged);
    }
    let answers: Vec<_> = outcome.answers.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("  answers: {}", answers.join(", "));
    println!("  the slowest judgement took {} ms", outcome.slowest.as_millis());
    println!("violations: {}, undecided: {}", outcome.violations.len(), outcome.undecided);
    for violation in outcome.violations.iter().take(3) {
        println!("{violation}");
    }
    let never_answered = outcome.never_answered();
    let checked_much = outcome.calls > 0 && (outcome.calls < MANY || never_answered.is_empty());
    if !checked_much {
        println!(
            "this run shows nothing: {} calls, never answered {}",
            outcome.calls,
            never_answered.join(", ")
        );
    }
    if outcome.violations.is_empty() && outcome.undecided == 0 && checked_much {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
