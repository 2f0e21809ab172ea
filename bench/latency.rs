//! How long from a packet's stamp until it was captured, beside the limit: the numbers of
//! `docs/decisions/capture-modes.md` and `docs/decisions/thread-layout.md`.
//!
//! `cargo bench --bench latency -- [--quick] [--json] [--rounds N] [--seconds S] [--rate N] [--fifo PRIORITY] [--dir DIR]`
//!
//! Root needed: it makes a network namespace with a veth pair. In every round each variant gets the same load
//! (10,000 frames of 256 B a second, evenly paced, from another CPU), one variant after the other, so that drift of
//! the machine meets all of them. The whole program path runs: ring, judging, journal on disk below DIR.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its result")]

#[path = "latency/bare.rs"]
mod bare;
#[path = "latency/rounds.rs"]
mod rounds;

use rounds::{Load, Round, Variant, median, places, ratios, round};
use std::path::{Path, PathBuf};
use wiretape::lab::net::Lab;
use wiretape::metrics::Snapshot;

const LONG_RETIRE: Variant = Variant::V3 { retire_ms: 64 };
const RETIRE: Variant = Variant::V3 { retire_ms: 1 };
/// The limit and its candidate stand next to each other.
const VARIANTS: [Variant; 6] =
    [Variant::Bare, Variant::V2Fused, Variant::V2Split, Variant::V2Poll, RETIRE, LONG_RETIRE];
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

struct Options {
    rounds: usize,
    seconds: f64,
    per_second: u64,
    json: bool,
    fifo: Option<u8>,
    dir: PathBuf,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        rounds: 5,
        seconds: 3.0,
        per_second: 10_000,
        json: false,
        fifo: None,
        dir: std::env::temp_dir(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let wrong = |e: &dyn std::fmt::Display| format!("{word}: {e}");
        match word.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--quick" => (options.rounds, options.seconds) = (1, 1.0),
            "--json" => options.json = true,
            "--rounds" => options.rounds = value()?.parse().map_err(|e| wrong(&e))?,
            "--seconds" => options.seconds = value()?.parse().map_err(|e| wrong(&e))?,
            "--rate" => options.per_second = value()?.parse().map_err(|e| wrong(&e))?,
            "--fifo" => options.fifo = Some(value()?.parse().map_err(|e| wrong(&e))?),
            "--dir" => options.dir = value()?.into(),
            other => return Err(format!("unknown word {other}; see the head of bench/latency.rs")),
        }
    }
    if options.rounds == 0 {
        return Err("--rounds: at least 1".to_owned());
    }
    Ok(options)
}

/// Median, least and most over rounds.
struct Spread {
    min: u64,
    median: u64,
    max: u64,
}

fn spread(values: &[u64]) -> Spread {
    let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), v| (min.min(*v), max.max(*v)));
    Spread { min, median: median(values), max }
}

fn of(rounds: &[Round], variant: Variant) -> impl Iterator<Item = &Round> {
    rounds.iter().filter(move |round| round.variant == variant)
}

fn at(snapshot: &Snapshot, quantile: f64) -> u64 {
    if quantile < 1.0 { snapshot.quantile_ns(quantile) } else { snapshot.max_ns }
}

/// A variant's spread of a quantile over the rounds; none if it has no such step.
fn quantile<'r>(
    rounds: &'r [Round],
    variant: Variant,
    quantile: f64,
    step: impl Fn(&'r Round) -> Option<&'r Snapshot>,
) -> Option<Spread> {
    let values: Vec<_> = of(rounds, variant).filter_map(step).map(|s| at(s, quantile)).collect();
    (!values.is_empty()).then(|| spread(&values))
}

fn table<'r>(title: &str, rounds: &'r [Round], step: impl Fn(&'r Round) -> Option<&'r Snapshot> + Copy) {
    println!("{title}, ns: median over rounds (least … most)");
    print!("{:<24}", "");
    for (name, _) in QUANTILES {
        print!(" {name:>30}");
    }
    println!();
    for variant in VARIANTS {
        if quantile(rounds, variant, 0.5, step).is_none() {
            continue;
        }
        print!("{:<24}", variant.name());
        for (_, q) in QUANTILES {
            if let Some(s) = quantile(rounds, variant, q, step) {
                print!(" {:>30}", format!("{} ({} … {})", s.median, s.min, s.max));
            }
        }
        println!();
    }
    println!();
}

fn counts(rounds: &[Round]) {
    println!(
        "{:<24} {:>9} {:>9} {:>6} {:>9} {:>7} {:>20}",
        "", "sent", "captured", "lost", "negative", "stamps", "load average"
    );
    for variant in VARIANTS {
        if of(rounds, variant).next().is_none() {
            continue;
        }
        let sum = |value: fn(&Round) -> u64| of(rounds, variant).map(value).sum::<u64>();
        let clocks: Vec<_> = of(rounds, variant).map(|r| r.clock.as_str()).collect();
        let clock = clocks.first().copied().unwrap_or("?");
        let loads: Vec<_> = of(rounds, variant).map(|r| r.load_average.as_str()).collect();
        println!(
            "{:<24} {:>9} {:>9} {:>6} {:>9} {:>7} {:>20}",
            variant.name(),
            sum(|r| r.sent),
            sum(|r| r.captured),
            sum(|r| r.lost),
            sum(|r| r.stamp_to_capture.negative),
            if clocks.iter().all(|c| *c == clock) { clock } else { "mixed" },
            loads.join(" ")
        );
    }
    println!();
}

fn verdicts(rounds: &[Round]) {
    println!("p50, stamp → capture, compared within each round: median (least … most)");
    let line = |words: &str, ratios: &[f64], goal: &str| {
        if ratios.is_empty() {
            return;
        }
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        println!("{words:<40} {:>9.2} ({least:.2} … {most:.2}){goal}", median(ratios));
    };
    line(
        "wiretape V2 spin, fused / bare loop",
        &ratios(rounds, Variant::V2Fused, Variant::Bare),
        "   goal: at most 1.5",
    );
    line("wiretape V2 spin, split / bare loop", &ratios(rounds, Variant::V2Split, Variant::Bare), "");
    line("wiretape V2 poll / bare loop", &ratios(rounds, Variant::V2Poll, Variant::Bare), "");
    line(
        "wiretape V3 1 ms / V2 spin, fused",
        &ratios(rounds, RETIRE, Variant::V2Fused),
        "   goal: at least 50",
    );
}

fn json(rounds: &[Round], options: &Options) -> serde_json::Value {
    let quantiles = |snapshot: &Snapshot| -> serde_json::Map<String, serde_json::Value> {
        QUANTILES.iter().map(|(name, q)| (format!("{name}_ns"), at(snapshot, *q).into())).collect()
    };
    let rows: Vec<_> = rounds
        .iter()
        .map(|r| {
            serde_json::json!({
                "variant": r.variant.name(),
                "sent": r.sent,
                "captured": r.captured,
                "lost": r.lost,
                "stamp_clock": r.clock,
                "negative": r.stamp_to_capture.negative,
                "stamp_to_capture": quantiles(&r.stamp_to_capture),
                "stamp_to_journal": r.stamp_to_journal.as_ref().map(quantiles),
                "sender_latest_ns": r.sender_latest_ns,
                "load_average": r.load_average,
            })
        })
        .collect();
    serde_json::json!({
        "per_second": options.per_second,
        "seconds": options.seconds,
        "fifo": options.fifo,
        "p50_v2_over_bare": median(&ratios(rounds, Variant::V2Fused, Variant::Bare)),
        "p50_v3_over_v2": median(&ratios(rounds, RETIRE, Variant::V2Fused)),
        "rounds": rows,
    })
}

fn measure(options: &Options, dir: &Path) -> Result<Vec<Round>, String> {
    let places = places().ok_or("needs two CPUs: one spins, the other sends")?;
    let load = Load { per_second: options.per_second, seconds: options.seconds, places, fifo: options.fifo };
    let _lab = Lab::enter().map_err(|error| error.to_string())?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        for variant in VARIANTS.into_iter().filter(|variant| load.suits(*variant)) {
            eprintln!("round {number} of {}: {}", options.rounds, variant.name());
            rounds.push(round(variant, load, dir));
        }
    }
    Ok(rounds)
}

fn main() -> std::process::ExitCode {
    let done = options().and_then(|options| {
        let dir = tempfile::tempdir_in(&options.dir).map_err(|error| error.to_string())?;
        measure(&options, dir.path()).map(|rounds| (options, rounds))
    });
    match done {
        Ok((options, rounds)) if options.json => println!("{:#}", json(&rounds, &options)),
        Ok((_, rounds)) => {
            table("stamp → capture", &rounds, |r| Some(&r.stamp_to_capture));
            table("stamp → journal", &rounds, |r| r.stamp_to_journal.as_ref());
            counts(&rounds);
            verdicts(&rounds);
        }
        Err(why) => {
            eprintln!("latency: {why}");
            return std::process::ExitCode::FAILURE;
        }
    }
    std::process::ExitCode::SUCCESS
}
