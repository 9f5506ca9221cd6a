//! Counts instructions under valgrind's callgrind: of init, of the first call and of a warm one. Unlike times, they are the
//! same in every run, within a percent. The store is asked over plain HTTP: a handshake's and a cipher's instructions depend
//! on the CPU, and all functions have the same. It leaves each case's profile, of a start with warm calls, for
//! `callgrind_annotate`; with `strip = "none"` that has names.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cases::{Call, Case};
use crate::executables;
use crate::process::Process;
use crate::{Bench, check};

/// The calls over which a warm one's instructions are told.
const WARM: usize = 20;
/// What a function may need more than when its limits were written.
const LEEWAY: f64 = 1.05;
/// Limits are round numbers, so that a change of one is a change.
const ROUND: u64 = 1_000;
/// How often a process is started that turns out too slow.
const ATTEMPTS: usize = 10;
/// Within this time no request to the store can have timed out. A yardstick's have more time.
const IN_TIME: Duration = Duration::from_millis(900);
/// The log line of a function that gave up opening its connection during init.
const GAVE_UP: &str = "could not be asked during init";

/// What a function's zip file may have, in bytes.
const ZIP: usize = 3_700_000;
/// What `register` may need for its init.
const INIT: u64 = 6_000_000;

/// Instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    init: u64,
    first: u64,
    warm: u64,
}

struct Counted {
    case: Case,
    counts: Counts,
    zip_bytes: usize,
}

/// Counts all cases, compares the counts with the limits, or makes them the limits.
pub async fn run(bench: &Bench, cases: Vec<Case>, output: &Path, write_limits: bool) -> Result<(), String> {
    let valgrind = find_valgrind()?;
    let mut all = Vec::new();
    for case in cases {
        eprintln!("counting {}", case.name());
        let zip_bytes = executables::zip_size(&bench.executable(&case)?)?;
        let profile = output.join(format!("callgrind.{}.out", case.name().replace([':', ' '], "-")));
        let counts = count(bench, &case, &valgrind, &profile).await?;
        all.push(Counted { case, counts, zip_bytes });
    }
    println!("{}", markdown(&all)?);
    let functions = all.iter().filter(|one| !one.case.call.is_yardstick());
    let counts = functions.map(|one| (one.case.name(), one.counts)).collect();
    let path = executables::workspace().join("bench/limits.json");
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if write_limits {
        let text = serde_json::to_string_pretty(&limits_of(&counts)).map_err(|error| failed(&error))?;
        return fs::write(&path, text + "\n").map_err(|error| failed(&error));
    }
    let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let limits = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    compare(&counts, &limits).map_err(|exceeded| {
        format!("{}\nIf this is meant, write new limits with --write-limits.", failed(&exceeded))
    })
}

fn find_valgrind() -> Result<PathBuf, String> {
    // Its path, because what it runs gets no PATH.
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&path).map(|directory| directory.join("valgrind")).find(|path| path.is_file());
    found.ok_or_else(|| "there is no valgrind, which counts instructions: install it".to_owned())
}

async fn count(bench: &Bench, case: &Case, valgrind: &Path, output: &Path) -> Result<Counts, String> {
    let mut totals = [0; 3];
    for (total, calls) in totals.iter_mut().zip([0, 1, 1 + WARM]) {
        let mut attempts = 0;
        *total = loop {
            attempts += 1;
            match total_of(bench, case, calls, valgrind, output).await? {
                Some(total) => break total,
                None if attempts < ATTEMPTS => {}
                None => return Err(format!("{}: too slow here, even for valgrind", case.name())),
            }
        };
    }
    let [init, with_one, with_more] = totals;
    Ok(Counts {
        init,
        first: with_one.saturating_sub(init),
        warm: with_more.saturating_sub(with_one) / WARM as u64,
    })
}

/// The instructions of a process with so many calls. `None`: valgrind made it so slow that a request may have timed out, and
/// been made again.
async fn total_of(
    bench: &Bench,
    case: &Case,
    calls: usize,
    valgrind: &Path,
    output: &Path,
) -> Result<Option<u64>, String> {
    let events = bench.prepare(case, calls).await?;
    let mut command = Command::new(valgrind);
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", output.display()));
    command.arg(bench.executable(case)?);
    let name = case.call.function();
    let process = Process::start(command, &bench.plain_variables(name), events);
    let process = process.map_err(|error| format!("valgrind does not start {name}: {error}"))?;
    let answers = process.wait().map_err(|error| format!("{name}: {error}\n{}", process.log()))?;
    let took_long = answers.iter().any(|answer| answer.took > IN_TIME) && !case.call.is_yardstick();
    if took_long || process.log().contains(GAVE_UP) {
        return Ok(None);
    }
    check(case, &process, &answers)?;
    process.end()?;
    let text = fs::read_to_string(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok()).ok_or("valgrind has counted nothing")?;
    Ok(Some(total))
}

fn limits_of(counts: &BTreeMap<String, Counts>) -> BTreeMap<&str, Counts> {
    let limit = |count: u64| ((count as f64 * LEEWAY) as u64).next_multiple_of(ROUND);
    let limits = |counts: &Counts| Counts {
        init: limit(counts.init),
        first: limit(counts.first),
        warm: limit(counts.warm),
    };
    counts.iter().map(|(name, counts)| (name.as_str(), limits(counts))).collect()
}

fn compare(counts: &BTreeMap<String, Counts>, limits: &BTreeMap<String, Counts>) -> Result<(), String> {
    let mut exceeded = String::new();
    for (name, counts) in counts {
        let Some(limit) = limits.get(name) else {
            let _ = write!(exceeded, "\n- {name}: no limits");
            continue;
        };
        let parts = [
            ("init", counts.init, limit.init),
            ("first call", counts.first, limit.first),
            ("warm call", counts.warm, limit.warm),
        ];
        for (part, count, limit) in parts.into_iter().filter(|(_, count, limit)| count > limit) {
            let _ = write!(exceeded, "\n- {name}: {part}: {count} instructions, limit {limit}");
        }
    }
    for name in limits.keys().filter(|name| !counts.contains_key(*name)) {
        let _ = write!(exceeded, "\n- {name}: has limits and is not measured");
    }
    if exceeded.is_empty() { Ok(()) } else { Err(exceeded) }
}

fn markdown(all: &[Counted]) -> Result<String, String> {
    let find = |call| all.iter().find(|one| one.case.call == call).ok_or("a yardstick is missing");
    let (floor, stock) = (find(Call::Floor)?, find(Call::Stock)?);
    let mut text = String::from(
        "Instructions, without TLS. In brackets the ratios to the floor and to the stock function.\n\n\
         | | init M | first M | init + first M | warm k | warm k per request | zip KiB |\n\
         | --- | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut missed = Vec::new();
    for one in all {
        let (name, counts) = (one.case.name(), one.counts);
        let (millions, thousands) = (|count: u64| count as f64 / 1e6, |count: f64| count / 1e3);
        let requests = one.case.call.store_requests();
        let per_request = |one: &Counted| one.counts.warm as f64 / one.case.call.store_requests() as f64;
        let cold = |one: &Counted| (one.counts.init + one.counts.first) as f64;
        let to_floor = per_request(one) / per_request(floor);
        let (cold_to_floor, cold_to_stock) = (cold(one) / cold(floor), cold(one) / cold(stock));
        let _ = writeln!(
            text,
            "| {name} | {:.2} | {:.2} | {:.2} ({cold_to_floor:.2}, {cold_to_stock:.2}) | {:.0} | {:.0} ({to_floor:.2}) | {:.0} |",
            millions(counts.init),
            millions(counts.first),
            cold(one) / 1e6,
            thousands(counts.warm as f64),
            thousands(per_request(one)),
            one.zip_bytes as f64 / 1024.0,
        );
        if one.case.call.is_yardstick() {
            continue;
        }
        let warm = if requests > 1 { 1.1 } else { 1.25 };
        let bars = [
            ("init + first to the floor's", cold_to_floor, 1.0),
            ("init + first to the stock function's", cold_to_stock, 1.0 / 3.0),
            ("warm, per request to the store, to the floor's", to_floor, warm),
            ("zip, MB", one.zip_bytes as f64 / 1e6, ZIP as f64 / 1e6),
        ];
        let init = ("init, M", millions(counts.init), millions(INIT));
        let of_register = (one.case.call.function() == "register").then_some(init);
        let over = bars.into_iter().chain(of_register).filter(|(_, value, limit)| value > limit);
        missed.extend(over.map(|(what, value, limit)| format!("{name}: {what}: {value:.2}, aim {limit:.2}")));
    }
    if missed.is_empty() {
        text.push_str("\nAll aims are met.\n");
    } else {
        let _ =
            write!(text, "\nAims that are missed (only the limits can fail):\n- {}\n", missed.join("\n- "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, counts: Counts) -> BTreeMap<String, Counts> {
        BTreeMap::from([(name.to_owned(), counts)])
    }

    #[test]
    fn a_count_over_its_limit_and_a_count_without_one_fail() {
        let counts = named("get", Counts { init: 1_000_000, first: 200_000, warm: 100_001 });
        let limits: BTreeMap<_, _> =
            limits_of(&counts).into_iter().map(|(name, limits)| (name.to_owned(), limits)).collect();
        assert_eq!(limits["get"], Counts { init: 1_050_000, first: 210_000, warm: 106_000 });
        assert_eq!(compare(&counts, &limits), Ok(()));
        let more = named("get", Counts { warm: 106_001, ..counts["get"] });
        let said = compare(&more, &limits).unwrap_err();
        assert_eq!(said, "\n- get: warm call: 106001 instructions, limit 106000");
        assert_eq!(compare(&named("put", counts["get"]), &limits).unwrap_err().lines().count(), 3);
    }
}
