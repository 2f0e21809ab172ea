//! Sent = on tape + counted as lost, exactly, at each place where packets can be lost. (The ring under every thread
//! layout: `tests/end_to_end.rs`. The NIC cannot be made to lose on a veth pair: its count is the driver's.)

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "manners/support.rs"]
#[allow(dead_code, reason = "its other users use the rest")]
mod support;

use common::run_in_netns;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::*;
use wiretape::journal::EventKind;
use wiretape::journal::reader::Record;
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, send};
use wiretape::packet::{Judgement, Marks};

fn plan(frame_len: usize) -> PlainPlan {
    PlainPlan::new(11, &[Shape { frame_len, tags: Vec::new(), ipv6: false }])
}

/// Sends frames 0, 1, 2, … until `frames` are sent or `stop` is set; how many were sent.
fn flood(plan: &PlainPlan, frames: u64, pace: Pace, stop: &AtomicBool) -> u64 {
    let mut id = 0;
    let options = SendOptions {
        interface: Lab::SENDER.to_owned(),
        pace,
        max_frames: Some(frames),
        max_duration: Some(Duration::from_secs(60)),
        qdisc_bypass: true,
    };
    let make = |out: &mut Vec<u8>| {
        plan.append(id, out);
        id += 1;
        true
    };
    send(&options, make, stop).unwrap().frames
}

/// Ids of the packets on tape, each proven by its bytes; and the losses counted beside packets.
fn ids_on(journal: &Path, plan: &PlainPlan) -> (BTreeSet<u64>, u64) {
    let (mut ids, mut beside, mut scratch) = (BTreeSet::new(), 0, Vec::new());
    each_record(journal, |record| {
        if let Record::Packet(p) = record {
            assert!(ids.insert(plan.check(p.bytes, &mut scratch).unwrap()), "on tape once");
            beside += p.lost_before;
        }
    });
    (ids, beside)
}

/// The ledger's rows of one place: packets, first and last moment.
fn ledger(journal: &Path, place: &str) -> Vec<(u64, u64, u64)> {
    let text = must(TAPE, &["loss", "--json", text(journal)]);
    let rows = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    rows.filter(|row| row["place"] == place)
        .map(|row| (number(&row, "/packets"), number(&row, "/from_ns"), number(&row, "/to_ns")))
        .collect()
}

#[test]
fn a_disk_that_fills_and_gets_room_again_loses_what_the_ledger_says() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        small_disk(dir.path(), 72 << 20);
        let (ballast, journal) = (dir.path().join("ballast"), dir.path().join("j"));
        std::fs::write(&ballast, vec![1; 40 << 20]).unwrap();
        let plan = plan(1000);
        let words =
            ["-w", text(&journal), "--segment-size", "4MiB", "--fail-on-loss", "--json", "-B", "8MiB"];
        let live = Live::start(&words);
        let stop = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| flood(&plan, 1_000_000, Pace::PerSecond(15_000), &stop));
            live.wait_for("the disk is full");
            // The prepared segments fill first.
            eventually(
                || {
                    live.signal(libc::SIGUSR1);
                    std::thread::sleep(Duration::from_millis(50));
                    let heard = live.heard();
                    let lost = heard.rsplit("  lost ").next().unwrap().split_whitespace().next().unwrap();
                    (lost.parse::<u64>().unwrap_or(0) > 2000).then_some(())
                },
                || live.heard(),
            );
            std::fs::remove_file(&ballast).unwrap();
            live.wait_for("the journal can be written again");
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            sender.join().unwrap()
        });
        let between = lab.lost_between(sent).unwrap();
        let ran = live.stop();
        // It ended able to write, so it is no failure; but packets were lost, and that was to be told.
        let report = ran.says(3, &["capturing and counting go on"]).json();
        adds_up(&report);
        let (disk, ring) = (number(&report, "/lost/disk"), number(&report, "/lost/ring"));
        assert!(disk > 1000, "{report}");
        let (ids, beside) = ids_on(&journal, &plan);
        assert_eq!(ids.len() as u64, number(&report, "/packets/on_tape"));
        assert_eq!(ids.len() as u64 + disk + ring + between, sent, "{report}");
        assert_eq!(beside, disk + ring, "drop counts beside packets");
        // Frames after the gap are on tape: it resumed.
        let gap = ids.iter().zip(ids.iter().skip(1)).map(|(a, b)| b - a).max().unwrap();
        assert!(gap > 1000 && *ids.last().unwrap() > sent - 1000, "gap of {gap}");
        let rows = ledger(&journal, "disk");
        assert_eq!(rows.iter().map(|r| r.0).sum::<u64>(), disk, "{rows:?}");
        assert!(rows.iter().all(|(_, from, to)| from > &0 && to >= from), "{rows:?}");
        assert_eq!(ledger(&journal, "ring").iter().map(|r| r.0).sum::<u64>(), ring);
        verifies(&journal);
    });
}

#[test]
fn a_disk_that_stays_full_ends_with_1_and_every_packet_counted() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        small_disk(dir.path(), 20 << 20);
        let journal = dir.path().join("j");
        let plan = plan(1000);
        let live = Live::start(&["-w", text(&journal), "--segment-size", "4MiB", "--json", "-B", "8MiB"]);
        let sent = flood(&plan, 40_000, Pace::PerSecond(15_000), &AtomicBool::new(false));
        let between = lab.lost_between(sent).unwrap();
        let ran = live.stop();
        let report = ran.says(1, &["the disk is full"]).json();
        adds_up(&report);
        let (disk, ring) = (number(&report, "/lost/disk"), number(&report, "/lost/ring"));
        assert!(disk > 0, "{report}");
        assert_eq!(ids_on(&journal, &plan).0.len() as u64 + disk + ring + between, sent, "{report}");
        verifies(&journal);
    });
}

#[test]
fn dropping_the_oldest_makes_room_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        small_disk(dir.path(), 32 << 20);
        let journal = dir.path().join("j");
        let plan = plan(1000);
        let words = [
            "-w",
            text(&journal),
            "--segment-size",
            "4MiB",
            "--on-full",
            "drop-oldest",
            "--json",
            "-B",
            "32MiB",
        ];
        let live = Live::start(&words);
        let sent = flood(&plan, 60_000, Pace::PerSecond(12_000), &AtomicBool::new(false));
        let between = lab.lost_between(sent).unwrap();
        let report = live.stop().says(0, &[]).json();
        adds_up(&report);
        let (disk, ring) = (number(&report, "/lost/disk"), number(&report, "/lost/ring"));
        assert_eq!(number(&report, "/packets/on_tape") + disk + ring + between, sent, "{report}");
        assert!(number(&report, "/journal/segments_retired") > 3, "{report}");
        let (ids, _) = ids_on(&journal, &plan);
        assert!(*ids.last().unwrap() > sent - 1000 && *ids.first().unwrap() > 1000, "the newest are kept");
        verifies(&journal);
    });
}

#[test]
fn a_journal_directory_that_is_removed_is_told_and_every_packet_counted() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        let journal = dir.path().join("j");
        let plan = plan(1000);
        let live = Live::start(&["-w", text(&journal), "--segment-size", "4MiB", "--json", "-B", "8MiB"]);
        // The keeper may be adding a segment at that moment.
        eventually(|| std::fs::remove_dir_all(&journal).ok(), || "removed".to_owned());
        let sent = flood(&plan, 30_000, Pace::PerSecond(15_000), &AtomicBool::new(false));
        let between = lab.lost_between(sent).unwrap();
        let report = live.stop().says(1, &["no segment can be prepared"]).json();
        adds_up(&report);
        let lost = number(&report, "/lost/disk") + number(&report, "/lost/ring");
        assert_eq!(number(&report, "/packets/on_tape") + lost + between, sent, "{report}");
        assert!(number(&report, "/lost/disk") > 0, "{report}");
    });
}

/// Under pressure decoding is shed, then payload; no packet is lost for that, and the tape says which are short.
#[test]
fn shed_payload_is_marked_counted_and_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        for threads in ["fused", "split"] {
            let journal = dir.path().join(threads);
            let plan = plan(512);
            let words =
                ["-w", text(&journal), "--shed", "payload:96", "--threads", threads, "--json", "-B", "16MiB"];
            let live = Live::start(&words);
            let before = lab.netlink().link(Lab::RECEIVER).unwrap().counts.rx_packets;
            let sent = std::thread::scope(|scope| {
                let sender = scope.spawn(|| flood(&plan, 80_000, Pace::Flood, &AtomicBool::new(false)));
                for _ in 0..6 {
                    live.signal(libc::SIGSTOP);
                    std::thread::sleep(Duration::from_millis(50));
                    live.signal(libc::SIGCONT);
                    std::thread::sleep(Duration::from_millis(15));
                }
                sender.join().unwrap()
            });
            let arrived = lab.netlink().link(Lab::RECEIVER).unwrap().counts.rx_packets - before;
            assert!(arrived <= sent);
            let report = live.stop().says(0, &[]).json();
            adds_up(&report);
            let (mut short, mut unjudged, mut all) = (0, 0, 0);
            each_record(&journal, |record| {
                let Record::Packet(p) = record else { return };
                all += 1;
                let is_short = p.marks.has(Marks::SHED_PAYLOAD);
                assert_eq!(p.bytes.len(), if is_short { 96 } else { 512 });
                assert_eq!(p.wire_len, 512, "its length on the wire is kept");
                let not_judged = p.judgement == Judgement::NOT_JUDGED;
                assert!(not_judged || !is_short, "decoding goes first");
                short += u64::from(is_short);
                unjudged += u64::from(not_judged);
            });
            assert!(short > 0, "{threads}: there was pressure: {report}");
            assert_eq!(short, number(&report, "/packets/shortened"), "{report}");
            assert_eq!(unjudged, number(&report, "/packets/not_judged"), "{report}");
            assert_eq!(number(&report, "/lost/shed"), 0);
            assert_eq!(all + number(&report, "/lost/ring"), arrived, "{report}");
            let events = events_on(&journal);
            let degraded = texts(&events, EventKind::DEGRADED);
            assert!(degraded.iter().any(|t| t.contains("decoding is shed")), "{degraded:?}");
            assert!(degraded.iter().any(|t| t.contains("payload is shortened")), "{degraded:?}");
            // Those that were judged are judged alike, those that were not are told apart.
            let decoded = ran(TAPE, &["decode", "--json", text(&journal)]);
            assert_eq!(decoded.code, 0, "{decoded:?}");
            let decoded: Value = serde_json::from_str(decoded.out.lines().last().unwrap()).unwrap();
            assert!(decoded.to_string().contains(&unjudged.to_string()), "{decoded}");
            verifies(&journal);
        }
    });
}

#[test]
fn what_comes_after_the_count_is_counted_apart_and_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for words in [["--mode", "latency"], ["--mode", "throughput"]] {
            let journal = dir.path().join(words[1]);
            let plan = plan(512);
            let live = Live::start(&[
                "-w",
                text(&journal),
                "-c",
                "500",
                "--fail-on-loss",
                "--json",
                words[0],
                words[1],
            ]);
            flood(&plan, 5_000, Pace::Flood, &AtomicBool::new(false));
            let report = live.ended().says(0, &[]).json();
            adds_up(&report);
            let (ids, beside) = ids_on(&journal, &plan);
            assert_eq!((ids.len(), ids.last(), beside), (500, Some(&499), 0), "the first 500: {report}");
            let beyond = number(&report, "/packets/beyond_count");
            assert_eq!(number(&report, "/packets/seen"), 500 + beyond);
        }
    });
}

#[test]
fn losses_are_an_error_only_where_that_was_asked() {
    run_in_netns(|_| {
        for (words, code) in [(&["--json"][..], 0), (&["--json", "--fail-on-loss"], 3)] {
            let live = Live::start(&[words, &["-B", "64"]].concat());
            live.signal(libc::SIGSTOP);
            let sent = flood(&plan(512), 2_000, Pace::Flood, &AtomicBool::new(false));
            live.signal(libc::SIGCONT);
            std::thread::sleep(Duration::from_millis(100));
            let report = live.stop().says(code, &[]).json();
            let ring = number(&report, "/lost/ring");
            assert!(ring > 0 && ring + number(&report, "/packets/seen") <= sent, "{report}");
        }
    });
}
