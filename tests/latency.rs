//! The latency mode is what it says: a packet is in user space nearly as soon as the kernel can show it to anybody,
//! and long before the throughput mode would show it.
//!
//! A claim about time, on machines that do other things too. So: everything is a ratio of medians measured within the
//! same second on the same CPUs; rounds of the two sides alternate; both run at the same real-time priority, so that
//! a neighbour's build cannot take the CPU from one of them; the rounds are short enough that the kernel's limit for
//! real-time threads (0.95 s of each second) does not cut in. Needs root and two CPUs.
//!
//! A build without optimisation adds about 0.1 µs of function calls to each packet's capture, which is the program's
//! only there: in such a build the distance to the bare loop is printed, and the distance to V3 is asserted.
//! `cargo test --release --test latency` asserts both; `bench/latency.rs` measures the same at length.

#[path = "../bench/latency/bare.rs"]
mod bare;
mod common;
#[path = "../bench/latency/rounds.rs"]
mod rounds;

use common::{run_in_netns, skip};
use rounds::{Load, Round, Variant, median, places, ratios, round};

const RETIRE: Variant = Variant::V3 { retire_ms: 1 };
const ROUNDS: usize = 3;

fn measure(load: Load) -> Vec<Round> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut measured = Vec::new();
    for _ in 0..ROUNDS {
        for variant in [Variant::Bare, Variant::V2Fused, RETIRE] {
            measured.push(round(variant, load, dir.path()));
        }
    }
    measured
}

/// What is wrong with what was measured.
fn complaint(measured: &[Round]) -> Option<String> {
    let clock = &measured[0].clock;
    if let Some(other) = measured.iter().find(|round| round.clock != *clock || round.clock == "mixed") {
        return Some(format!("stamps of {} and of {} cannot be compared", clock, other.clock));
    }
    let to_limit = ratios(measured, Variant::V2Fused, Variant::Bare);
    let to_v3 = ratios(measured, RETIRE, Variant::V2Fused);
    for round in measured {
        eprintln!(
            "{:<24} {:>6} of {:>6} p50 {:>8} p99 {:>9} max {:>9} ns, sender late by {:>8} ns at most, load {}",
            round.variant.name(),
            round.captured,
            round.sent,
            round.stamp_to_capture.quantile_ns(0.5),
            round.stamp_to_capture.quantile_ns(0.99),
            round.stamp_to_capture.max_ns,
            round.sender_latest_ns,
            round.load_average
        );
    }
    eprintln!("V2 / bare loop {to_limit:.2?}, V3 / V2 {to_v3:.0?}");
    if !cfg!(debug_assertions) && median(&to_limit) > 1.5 {
        return Some(format!("p50 of V2 over the bare loop's: {to_limit:.2?}, median above 1.5"));
    }
    if median(&to_v3) < 50.0 {
        return Some(format!("p50 of V3 over V2's: {to_v3:.1?}, median below 50"));
    }
    None
}

#[test]
fn v2_is_fifty_times_below_v3_and_if_optimised_within_half_again_of_a_bare_loop() {
    let Some(places) = places() else {
        skip("needs two CPUs: one spins, the other sends");
        return;
    };
    let load = Load { per_second: 10_000, seconds: 0.5, places, fifo: Some(10) };
    run_in_netns(|_| {
        // A machine may be taken away for the length of a whole try, so there are two; the bounds stay.
        let Some(first) = complaint(&measure(load)) else { return };
        eprintln!("once more: {first}");
        if let Some(second) = complaint(&measure(load)) {
            panic!("{first}; once more: {second}");
        }
    });
}
