//! Records histories of the registry under faults for some time, and says whether each is linearizable.

#![allow(clippy::print_stdout, reason = "a command that prints")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use model::histories::run::{Plan, run};

/// Eight clients and more over HTTP, everything that can go wrong on the wire, and the specification as the judge.
#[derive(Parser)]
struct Arguments {
    /// Decides what clients want and what becomes of a request by its number. It does not decide in what order requests come.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Clients of one workspace.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Workspaces at the same time.
    #[arg(long, default_value_t = 12)]
    workspaces: usize,
    /// Of a hundred requests, how many are spoilt, before the gateway and again before the store.
    #[arg(long, default_value_t = 15)]
    percent: u64,
    /// Take the fence out of the write that is every so many requests to the store, to see that it is noticed; 0: never.
    #[arg(long, default_value_t = 0)]
    sabotage: u64,
    /// A DynamoDB engine; without it, one inside this process.
    #[arg(long, env = "DYNAMODB_ENDPOINT")]
    dynamodb_endpoint: Option<String>,
}

/// Of so many calls every kind of success is told to somebody.
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
        "seed {}: {} workspaces with {} clients each, {} calls that reached the registry, {} of them overlapping another, {} writes that may have been made unheard",
        plan.seed, outcome.episodes, plan.clients, outcome.calls, outcome.overlapping, outcome.strays
    );
    for ((side, fault), count) in &outcome.faults {
        println!("  {side:?} {fault:?}: {count}");
    }
    if outcome.sabotaged > 0 {
        println!("  fences taken out: {}", outcome.sabotaged);
    }
    let answers: Vec<_> = outcome.answers.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("  answers: {}", answers.join(", "));
    println!("  the slowest judgement took {} ms", outcome.slowest.as_millis());
    println!("violations: {}, undecided: {}", outcome.violations.len(), outcome.undecided);
    for violation in outcome.violations.iter().take(3) {
        println!("{violation}");
    }
    let never_told = outcome.never_told();
    let looked_at_much = outcome.calls > 0 && (outcome.calls < MANY || never_told.is_empty());
    if !looked_at_much {
        println!(
            "nothing is shown by this run: {} calls, never told {}",
            outcome.calls,
            never_told.join(", ")
        );
    }
    if outcome.violations.is_empty() && outcome.undecided == 0 && looked_at_much {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
