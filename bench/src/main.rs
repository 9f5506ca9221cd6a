//! Measures the release binaries as Lambda runs them. This program is the Runtime API that they ask for events, and TLS
//! before the store that they talk to: process start, init, first answer and warm answers are the real thing, without
//! a network. Every round starts each function once, the yardsticks among them: a bare one (`floor`) and a usual one
//! (`stock`). So what else the machine does meets all of them alike; what is to be believed are the ratios, not the
//! milliseconds. With `--instructions` it counts, and nothing else that the machine does is in what it says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a tool for the people who build the registry: it may stop at what it did not expect"
)]

mod cases;
mod executables;
mod instructions;
mod plot;
mod process;
mod report;
mod runtime_api;
mod stats;
mod tls_front;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use local::template::Template;
use local::{EmbeddedEngine, engine, table};

use crate::cases::{ADMIN_TOKEN_SHA256, Call, Case, FLOOR, STOCK};
use crate::process::Process;
use crate::report::{Measured, Report};
use crate::tls_front::TlsFront;

const TABLE: &str = "workspaces";
const ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";
const ROOTS: &str = "SSL_CERT_FILE";
/// What the functions trust on AWS's own endpoint. They are in the executable, so the endpoint of a benchmark gives them a file.
const AMAZON_ROOTS: &[u8] = include_bytes!("../../shared/src/lambda/amazon_roots.pem");

#[derive(Parser)]
#[command(about = "Measures the release binaries as Lambda runs them, against a bare function")]
struct Options {
    /// Few rounds, whose times mean nothing: shows that it works, and checks what is counted.
    #[arg(long)]
    quick: bool,
    /// How often each function is started.
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Warm calls after each start.
    #[arg(long, default_value_t = 50)]
    warm: usize,
    /// Warm calls over which the CPU time of one is told.
    #[arg(long, default_value_t = 2_000)]
    cpu_calls: usize,
    /// Where the executables are, `NAME` or `NAME/bootstrap` each. By default cargo builds them.
    #[arg(long)]
    executables: Option<PathBuf>,
    /// Another DynamoDB engine than the embedded one.
    #[arg(long)]
    dynamodb_endpoint: Option<String>,
    /// Leaves out how cost grows with the card and the API tokens.
    #[arg(long)]
    no_growth: bool,
    /// Counts instructions instead, under valgrind, and fails when a function needs more than bench/limits.json allows.
    #[arg(long)]
    instructions: bool,
    /// Makes what is counted, and a little more, the limits.
    #[arg(long, requires = "instructions")]
    write_limits: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.quick {
        (options.rounds, options.warm, options.cpu_calls) = (2, 5, 20);
    }
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), String> {
    let template = Template::embedded().map_err(|error| error.to_string())?;
    let functions: Vec<_> = template.functions.iter().map(|function| function.name.as_str()).collect();
    let usual = Case::usual(|name| functions.contains(&name));
    if let Some(name) = functions.iter().find(|name| !usual.iter().any(|case| case.call.function() == **name))
    {
        return Err(format!("nothing here calls the function {name}: add a case to bench/src/cases.rs"));
    }
    let growth = if options.no_growth { Vec::new() } else { Case::growth() };

    let names: Vec<_> = functions.iter().copied().chain([FLOOR]).collect();
    let executables = match &options.executables {
        Some(directory) => vec![directory.clone()],
        None => vec![executables::build(&names)?, executables::build_stock()?],
    };
    let output = executables::target().join("bench");
    fs::create_dir_all(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    let bench = Bench::start(options, &template, executables, &output).await?;
    if options.instructions {
        return instructions::run(&bench, usual, &output, options.write_limits).await;
    }

    let mut report = Report::new(options.rounds, options.warm, bench.engine_name.clone());
    report.usual = bench.measure(usual, options.rounds, options.cpu_calls, options.warm).await?;
    report.growth =
        bench.measure(growth, options.rounds.div_ceil(4), options.cpu_calls / 4, options.warm).await?;
    report.compare()?;

    let (json, svg) = (output.join("report.json"), output.join("report.svg"));
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    fs::write(&json, text + "\n").map_err(|error| format!("{}: {error}", json.display()))?;
    fs::write(&svg, plot::svg(&report)).map_err(|error| format!("{}: {error}", svg.display()))?;
    println!("{}\n{}\n{}", report.markdown(), json.display(), svg.display());
    report.check()
}

/// What all measurements share.
struct Bench {
    store: aws_sdk_dynamodb::Client,
    front: TlsFront,
    /// By function.
    variables: BTreeMap<String, BTreeMap<String, String>>,
    /// The directories that they are in.
    executables: Vec<PathBuf>,
    /// The store's, without TLS.
    endpoint: String,
    engine_name: String,
    _engine: Option<EmbeddedEngine>,
}

impl Bench {
    async fn start(
        options: &Options,
        template: &Template,
        executables: Vec<PathBuf>,
        output: &Path,
    ) -> Result<Self, String> {
        let (engine, endpoint, engine_name) = match &options.dynamodb_endpoint {
            Some(endpoint) => (None, endpoint.clone(), endpoint.clone()),
            None => {
                let engine = EmbeddedEngine::start(None).await.map_err(|error| error.to_string())?;
                let endpoint = engine.endpoint().to_owned();
                (Some(engine), endpoint, "embedded".to_owned())
            }
        };
        let ready = table::ensure(&endpoint, TABLE, &template.table).await;
        ready.map_err(|error| error.to_string())?;
        let (front, root) = TlsFront::start(&endpoint).await.map_err(|error| error.to_string())?;
        let common = |roots: &Path| {
            let common = [
                ("TABLE_NAME", TABLE.to_owned()),
                (ENDPOINT, front.url.clone()),
                (ROOTS, roots.display().to_string()),
            ];
            common.map(|(name, value)| (name.to_owned(), value))
        };
        // As many roots as on Lambda: the yardsticks trust the system's, and the functions Amazon's five.
        let (all, few) = (output.join("roots.pem"), output.join("few-roots.pem"));
        tls_front::write_roots(&all, &tls_front::system_roots(), &root)?;
        tls_front::write_roots(&few, AMAZON_ROOTS, &root)?;
        let parameters = BTreeMap::from([("AdminTokenSha256", ADMIN_TOKEN_SHA256.to_owned())]);
        let yardsticks = [FLOOR, STOCK].map(|name| (name.to_owned(), BTreeMap::from(common(&all))));
        let mut variables = BTreeMap::from(yardsticks);
        for function in &template.functions {
            let environment = template.environment(function, &parameters, TABLE);
            let mut environment = environment.map_err(|error| error.to_string())?;
            environment.extend(common(&few));
            variables.insert(function.name.clone(), environment);
        }
        let store = engine::client(&endpoint);
        Ok(Self { store, front, variables, executables, endpoint, engine_name, _engine: engine })
    }

    /// A function's variables, but for a store without TLS.
    fn plain_variables(&self, function: &str) -> BTreeMap<String, String> {
        let mut variables = self.variables[function].clone();
        variables.insert(ENDPOINT.to_owned(), self.endpoint.clone());
        variables.remove(ROOTS);
        variables
    }

    async fn measure(
        &self,
        cases: Vec<Case>,
        rounds: usize,
        cpu_calls: usize,
        warm: usize,
    ) -> Result<Vec<Measured>, String> {
        let mut measured = Vec::new();
        for case in cases {
            let mut one = Measured::new(case);
            self.count(&mut one).await?;
            one.zip_bytes = executables::zip_size(&self.executable(&one.case)?)?;
            measured.push(one);
        }
        // The first round only fills the machine's caches.
        for round in 0..=rounds {
            eprint!("\rround {round} of {rounds}");
            let mut events = Vec::new();
            for one in &measured {
                events.push(self.prepare(&one.case, 1 + warm).await?);
            }
            // Some calls ask for many items and some for none. The machine's caches are full of them now: one start that does
            // not count, so that none that counts comes first after it. It is the last one's, as from round to round: to be
            // started twice in a row would be an advantage.
            if let Some(last) = measured.last_mut() {
                let events = self.prepare(&last.case, 1 + warm).await?;
                self.start_and_call(last, events, false)?;
            }
            for (one, events) in measured.iter_mut().zip(events) {
                self.start_and_call(one, events, round > 0)?;
            }
        }
        eprintln!();
        for one in &mut measured {
            self.take_cpu_time(one, cpu_calls).await?;
        }
        Ok(measured)
    }

    /// What a start and a call ask of the store, and what that consumes.
    async fn count(&self, one: &mut Measured) -> Result<(), String> {
        let events = self.prepare(&one.case, 1).await?;
        self.front.ask_for_capacity(true);
        self.front.take_seen();
        let process = self.spawn(&one.case, Vec::new())?;
        process.wait()?;
        one.init_requests = self.front.take_seen().into_iter().map(|seen| seen.operation).collect();
        check(&one.case, &process, &process.invoke(events)?)?;
        self.front.ask_for_capacity(false);
        for seen in self.front.take_seen() {
            match seen.operation.as_str() {
                "GetItem" => one.read_units += seen.capacity.unwrap_or_default(),
                _ => one.write_units += seen.capacity.unwrap_or_default(),
            }
            one.requests.push(seen.operation);
        }
        Ok(())
    }

    fn start_and_call(&self, one: &mut Measured, events: Vec<Vec<u8>>, counts: bool) -> Result<(), String> {
        self.front.take_seen();
        let process = self.spawn(&one.case, events)?;
        let answers = process.wait()?;
        check(&one.case, &process, &answers)?;
        let seen = self.front.take_seen();
        let (Some((first, warm)), Some(init), true) = (answers.split_first(), process.init(), counts) else {
            return Ok(());
        };
        let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        one.times.init.push(milliseconds(init));
        one.times.first.push(milliseconds(first.took));
        one.times.cold.push(milliseconds(init + first.took));
        one.times.warm.extend(warm.iter().map(|answer| milliseconds(answer.took)));
        let of_warm_calls = seen.get(one.init_requests.len() + one.requests.len()..).unwrap_or_default();
        let per_call = of_warm_calls.chunks(one.requests.len().max(1));
        one.times
            .store
            .extend(per_call.map(|requests| milliseconds(requests.iter().map(|seen| seen.took).sum())));
        one.times.peak_kib.extend(process.peak_memory().map(|kib| kib as f64));
        Ok(())
    }

    async fn take_cpu_time(&self, one: &mut Measured, calls: usize) -> Result<(), String> {
        let (first, rest) = (self.prepare(&one.case, 1).await?, self.prepare(&one.case, calls).await?);
        let process = self.spawn(&one.case, first)?;
        process.wait()?;
        let before = process.user_time().ok_or("no CPU time in /proc")?;
        check(&one.case, &process, &process.invoke(rest)?)?;
        let spent = process.user_time().ok_or("no CPU time in /proc")?.saturating_sub(before);
        one.user_microseconds = spent.as_secs_f64() * 1e6 / calls.max(1) as f64;
        Ok(())
    }

    /// Puts into the table what the calls are about.
    async fn prepare(&self, case: &Case, calls: usize) -> Result<Vec<Vec<u8>>, String> {
        let script = case.script(calls);
        for item in script.items {
            let written = self.store.put_item().table_name(TABLE).set_item(Some(item)).send().await;
            written.map_err(|error| format!("the table cannot be filled: {error:?}"))?;
        }
        Ok(script.events)
    }

    fn spawn(&self, case: &Case, events: Vec<Vec<u8>>) -> Result<Process, String> {
        let name = case.call.function();
        let executable = self.executable(case)?;
        let process = Process::start(Command::new(executable), &self.variables[name], events);
        process.map_err(|error| format!("{name} does not start: {error}"))
    }

    fn executable(&self, case: &Case) -> Result<PathBuf, String> {
        executables::find(&self.executables, case.call.function())
    }
}

fn check(case: &Case, process: &Process, answers: &[runtime_api::Answer]) -> Result<(), String> {
    let result = answers.iter().try_for_each(|answer| case.check(answer));
    result.map_err(|error| format!("{error}\nits log:\n{}", process.log()))
}

/// Whether the bars of the first answer allow it a second request to the store.
fn asks_twice(call: Call) -> bool {
    call.store_requests() > 1
}
