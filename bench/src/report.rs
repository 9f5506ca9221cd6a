//! What was measured, compared with the floor and with the bars that the project has set itself.

use std::fmt::{self, Display, Formatter, Write};

use serde::{Serialize, Serializer};

use crate::asks_twice;
use crate::cases::{Call, Case};
use crate::stats::Summary;

#[derive(Serialize)]
pub struct Report {
    rounds: usize,
    warm_calls_per_round: usize,
    engine: String,
    processors: usize,
    pub usual: Vec<Measured>,
    pub growth: Vec<Measured>,
    bars: Vec<Bar>,
}

/// One case. Times in milliseconds.
#[derive(Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub case: Case,
    #[serde(flatten)]
    pub times: Times,
    pub zip_bytes: usize,
    pub user_microseconds: f64,
    /// The store's operations during init, and during one call.
    pub init_requests: Vec<String>,
    pub requests: Vec<String>,
    pub read_units: f64,
    pub write_units: f64,
    to_floor: Option<Ratios>,
    to_stock: Option<Ratios>,
}

#[derive(Default, Serialize)]
pub struct Times {
    #[serde(serialize_with = "summarised")]
    pub init: Vec<f64>,
    #[serde(serialize_with = "summarised")]
    pub first: Vec<f64>,
    /// Init and first answer together.
    #[serde(serialize_with = "summarised")]
    pub cold: Vec<f64>,
    #[serde(serialize_with = "summarised")]
    pub warm: Vec<f64>,
    /// Of a warm answer, what the store took: it is in `warm`, but not the function's.
    #[serde(serialize_with = "summarised")]
    pub store: Vec<f64>,
    #[serde(serialize_with = "summarised")]
    pub peak_kib: Vec<f64>,
}

fn summarised<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    Summary::of(values).serialize(serializer)
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape {
            name: String,
            function: &'static str,
            api_tokens: usize,
            card_kib: usize,
        }
        let shape = Shape {
            name: self.name(),
            function: self.call.function(),
            api_tokens: self.api_tokens,
            card_kib: self.card_kib,
        };
        shape.serialize(serializer)
    }
}

/// Medians, divided by a yardstick's.
#[derive(Clone, Copy, Serialize)]
pub struct Ratios {
    pub init: f64,
    pub first: f64,
    pub cold: f64,
    pub warm: f64,
    pub warm_p99: f64,
    pub peak_memory: f64,
    pub zip: f64,
    pub user_time: f64,
}

/// A limit, and whether it is kept.
#[derive(Serialize)]
struct Bar {
    case: String,
    what: &'static str,
    value: f64,
    limit: f64,
    /// Counted, not measured: it says the same on every machine and with every number of rounds.
    counted: bool,
    met: bool,
}

impl Display for Bar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {:.2}, limit {:.2}", self.case, self.what, self.value, self.limit)
    }
}

impl Measured {
    pub fn new(case: Case) -> Self {
        Self {
            case,
            times: Times::default(),
            zip_bytes: 0,
            user_microseconds: 0.0,
            init_requests: Vec::new(),
            requests: Vec::new(),
            read_units: 0.0,
            write_units: 0.0,
            to_floor: None,
            to_stock: None,
        }
    }

    fn ratios(&self, yardstick: &Self) -> Ratios {
        let median = |of: fn(&Times) -> &[f64]| {
            Summary::of(of(&self.times)).p50 / Summary::of(of(&yardstick.times)).p50
        };
        Ratios {
            init: median(|times| &times.init),
            first: median(|times| &times.first),
            cold: median(|times| &times.cold),
            warm: median(|times| &times.warm),
            warm_p99: Summary::of(&self.times.warm).p99 / Summary::of(&yardstick.times.warm).p99,
            peak_memory: median(|times| &times.peak_kib),
            zip: self.zip_bytes as f64 / yardstick.zip_bytes as f64,
            user_time: self.user_microseconds / yardstick.user_microseconds,
        }
    }
}

impl Report {
    pub fn new(rounds: usize, warm_calls_per_round: usize, engine: String) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            rounds,
            warm_calls_per_round,
            engine,
            processors,
            usual: Vec::new(),
            growth: Vec::new(),
            bars: Vec::new(),
        }
    }

    pub fn compare(&mut self) -> Result<(), String> {
        let find = |call| self.usual.iter().position(|one| one.case.call == call).ok_or("no yardstick");
        let (floor, stock) = (find(Call::Floor)?, find(Call::Stock)?);
        let all = || self.usual.iter().chain(&self.growth);
        let ratios: Vec<_> =
            all().map(|one| (one.ratios(&self.usual[floor]), one.ratios(&self.usual[stock]))).collect();
        for (one, (to_floor, to_stock)) in self.usual.iter_mut().chain(&mut self.growth).zip(ratios) {
            (one.to_floor, one.to_stock) = (Some(to_floor), Some(to_stock));
        }
        let measured = self.usual.iter().filter(|one| !one.case.call.is_yardstick());
        self.bars = measured.flat_map(bars).collect();
        Ok(())
    }

    /// The numbers as tables, for people and for the documentation.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let (rounds, warm) = (self.rounds, self.warm_calls_per_round);
        let _ =
            writeln!(text, "{rounds} starts each, {warm} warm calls after each, engine: {}\n", self.engine);
        let _ = writeln!(
            text,
            "| | init ms (p10-p90) | first ms (p10-p90) | init + first ms | warm p50 ms | of it the store | warm p99 ms | user CPU µs | peak MiB | zip KiB | store requests | RU | WU |\n\
             | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- | --: | --: |"
        );
        for one in &self.usual {
            let [init, first, cold, warm] =
                [&one.times.init, &one.times.first, &one.times.cold, &one.times.warm]
                    .map(|of| Summary::of(of));
            let _ = writeln!(
                text,
                "| {} | {:.1} ({:.1}-{:.1}) | {:.2} ({:.2}-{:.2}) | {:.1} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} | {} | {} | {} |",
                one.case.name(),
                init.p50,
                init.p10,
                init.p90,
                first.p50,
                first.p10,
                first.p90,
                cold.p50,
                warm.p50,
                Summary::of(&one.times.store).p50,
                warm.p99,
                one.user_microseconds,
                Summary::of(&one.times.peak_kib).p50 / 1024.0,
                one.zip_bytes as f64 / 1024.0,
                one.requests.join(", "),
                one.read_units,
                one.write_units,
            );
        }
        let _ = writeln!(
            text,
            "\nRatios to the floor, and of init + first to the stock function:\n\n\
             | | init | first | init + first | to stock | warm p50 | per request | warm p99 | user CPU | peak memory | zip |\n\
             | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
        );
        for one in &self.usual {
            let (Some(ratios), Some(to_stock)) = (one.to_floor, one.to_stock) else { continue };
            let _ = writeln!(
                text,
                "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                one.case.name(),
                ratios.init,
                ratios.first,
                ratios.cold,
                to_stock.cold,
                ratios.warm,
                ratios.warm / one.case.call.store_requests() as f64,
                ratios.warm_p99,
                ratios.user_time,
                ratios.peak_memory,
                ratios.zip,
            );
        }
        if !self.growth.is_empty() {
            let _ = writeln!(
                text,
                "\n| | API tokens | card KiB | init + first ms | warm p50 ms | warm p99 ms | user CPU µs | peak MiB | RU | WU |\n\
                 | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
            );
        }
        for one in &self.growth {
            let warm = Summary::of(&one.times.warm);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.1} | {:.2} | {:.2} | {:.0} | {:.1} | {} | {} |",
                one.case.name(),
                one.case.api_tokens,
                one.case.card_kib,
                Summary::of(&one.times.cold).p50,
                warm.p50,
                warm.p99,
                one.user_microseconds,
                Summary::of(&one.times.peak_kib).p50 / 1024.0,
                one.read_units,
                one.write_units,
            );
        }
        let missed: Vec<_> = self.bars.iter().filter(|bar| !bar.met).collect();
        let _ = writeln!(text, "\n{} of {} bars met", self.bars.len() - missed.len(), self.bars.len());
        for bar in missed {
            let _ = writeln!(text, "- missed: {bar}");
        }
        text
    }

    /// Fails when something counted is over its limit. What is measured is only reported: it is the machine's too.
    pub fn check(&self) -> Result<(), String> {
        let missed = self.bars.iter().filter(|bar| bar.counted && !bar.met).map(Bar::to_string);
        let missed: Vec<_> = missed.collect();
        if missed.is_empty() {
            return Ok(());
        }
        Err(format!("over a limit that does not depend on the machine:\n- {}", missed.join("\n- ")))
    }
}

fn bars(one: &Measured) -> Vec<Bar> {
    let (Some(ratios), Some(to_stock)) = (one.to_floor, one.to_stock) else { return Vec::new() };
    let call = one.case.call;
    let bar = |counted, what, value: f64, limit: f64| Bar {
        case: one.case.name(),
        what,
        value,
        limit,
        counted,
        met: value <= limit,
    };
    let measured = |what, value, limit| bar(false, what, value, limit);
    let counted = |what, value, limit| bar(true, what, value, limit);
    let requests = call.store_requests();
    let mut bars = vec![
        measured("init + first answer, to the floor's", ratios.cold, 1.0),
        measured("init + first answer, to the stock function's", to_stock.cold, 1.0 / 3.0),
        measured("first answer, to the floor's", ratios.first, if asks_twice(call) { 2.0 } else { 1.25 }),
        measured("warm p50 per store request, to the floor's", ratios.warm / requests as f64, 1.2),
        counted("store requests", one.requests.len() as f64, requests as f64),
        counted("zip, to the floor's", ratios.zip, 1.1),
        measured("peak memory, to the floor's", ratios.peak_memory, 1.25),
    ];
    if call == Call::Refresh {
        bars.push(counted("write units", one.write_units, 2.0));
    }
    bars
}
