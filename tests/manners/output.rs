//! What goes to which stream, and in which form.

use crate::common::{need_tool, run_in_netns, shared_dir};
use crate::support::*;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use wiretape::lab::net::Lab;

#[test]
fn tcpdumps_three_lines_come_first_word_for_word() {
    if !need_tool("tcpdump") {
        return;
    }
    run_in_netns(|_| {
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.args(["-i", Lab::RECEIVER, "-nn", "-c", "20", "--immediate-mode"]);
        let (ours, theirs) = (Live::start(&["-c", "20"]), Live::spawn(tcpdump));
        send_in(&mixed(20));
        let (ours, theirs) = (ours.ended(), theirs.ended());
        let expected = "20 packets captured\n20 packets received by filter\n0 packets dropped by kernel\n";
        assert!(theirs.err.ends_with(expected), "{theirs:?}");
        assert!(ours.out.is_empty(), "{ours:?}");
        // Notices before it are marked with the program's name; nothing of the report is.
        let report: String =
            ours.err.split_inclusive('\n').skip_while(|l| l.starts_with("wiretape: ")).collect();
        assert!(report.starts_with(expected), "{ours:?}");
    });
}

/// Every number of a value is a whole one.
fn whole(value: &Value) {
    match value {
        Value::Number(n) => assert!(n.is_i64() || n.is_u64(), "{n}"),
        Value::Array(all) => all.iter().for_each(whole),
        Value::Object(all) => all.values().for_each(whole),
        _ => {}
    }
}

#[test]
fn json_is_all_that_stands_on_standard_output_and_its_numbers_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("feed.pcap"), dir.path().join("j"));
    must(WIRETAPE, &["gen", "-w", text(&file), "-c", "2000", "--faults"]);
    let report = report_of(&["-r", text(&file), "-w", text(&journal)]);
    whole(&report);
    assert!(report["began_ns"].is_u64() && report["packets"]["seen_bytes"].is_u64());
    for words in [&["info"][..], &["verify"], &["loss"], &["read"], &["decode"]] {
        let ran = ran(TAPE, &[words, &["--json", text(&journal)]].concat());
        assert_eq!(ran.code, 0, "{words:?} {ran:?}");
        for line in ran.out.lines() {
            whole(&serde_json::from_str(line).unwrap_or_else(|e| panic!("{words:?}: {e}: {line}")));
        }
    }
}

#[test]
fn no_escape_bytes_where_nobody_looks_or_colour_is_not_wanted() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        let live = Live::start(&["--duration", "1200ms"]);
        let captured = live.ended();
        for ran in [captured, ran(WIRETAPE, &["capture", "--bogus"]), ran(TAPE, &["--help"])] {
            assert!(!ran.err.contains('\x1b') && !ran.out.contains('\x1b'), "{ran:?}");
            assert!(!ran.err.contains('\r'), "no status line: {ran:?}");
        }
        if !need_tool("script") {
            return;
        }
        // At a terminal: one line, rewritten; never longer than the terminal is wide, and no colour with NO_COLOR.
        let log = dir.path().join("terminal");
        let command = format!("stty cols 60; {WIRETAPE} capture -i {} --duration 2200ms", Lab::RECEIVER);
        let ran: Ran = Command::new("script")
            .args(["-qec", &command, text(&log)])
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into();
        let shown = ran.out;
        assert!(!shown.contains('\x1b'), "{shown:?}");
        let updates: Vec<_> = shown.split('\r').filter(|l| l.contains(" packets  ")).collect();
        assert!(updates.len() >= 2, "{shown:?}");
        for update in updates {
            assert!(!update.contains('\n') && update.chars().count() < 60, "{update:?}");
        }
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_tool_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("a.pcap"), dir.path().join("j"));
    pcap(&file, &(0..20).flat_map(|_| mixed(1000)).collect::<Vec<_>>());
    report_of(&["-r", text(&file), "-w", text(&journal)]);
    for words in ["read", "read --json", "read -x"] {
        let script = format!("{{ {TAPE} {words} {} || echo code $? >&2; }} | head -1", text(&journal));
        let ran = ran("sh", &["-c", &script]);
        assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
        assert!(ran.err.is_empty(), "{words}: {ran:?}");
    }
    let script = format!("{{ {WIRETAPE} capture --help || echo code $? >&2; }} | head -1");
    assert!(ran("sh", &["-c", &script]).err.is_empty());
    let script = format!("{{ {WIRETAPE} capture -r {} --json || echo code $? >&2; }} | true", text(&file));
    let ran = ran("sh", &["-c", &script]);
    assert!(!ran.err.contains("code") && !ran.err.contains("panicked"), "{ran:?}");
}

#[test]
fn quiet_leaves_the_report_and_nothing_else() {
    run_in_netns(|_| {
        let ran = capture(&["-i", Lab::RECEIVER, "-q", "--duration", "200ms"]);
        assert!(ran.says(0, &[]).err.starts_with("0 packets captured\n"), "{ran:?}");
    });
}

#[test]
fn the_histogram_log_is_read_back_by_hdrhistograms_own_reader_with_the_same_counts() {
    let dir = tempfile::tempdir().unwrap();
    let hlog = dir.path().join("latency.hlog");
    run_in_netns(|_| {
        let live = Live::start(&["--hlog", text(&hlog), "--json"]);
        send_in(&mixed(500));
        let report = live.stop().says(0, &[]).json();
        let mut counts = BTreeMap::new();
        let bytes = std::fs::read(&hlog).unwrap();
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let decoded = base64(interval.encoded_histogram());
                let histogram: Histogram<u64> = deserializer.deserialize(&mut &decoded[..]).unwrap();
                counts
                    .insert(interval.tag().unwrap().as_str().to_owned(), (histogram.len(), histogram.max()));
            }
        }
        let rows = report["latencies"].as_array().unwrap();
        assert_eq!(rows.len(), counts.len(), "{counts:?}");
        for row in rows {
            let step = row["step"].as_str().unwrap().replace('→', "-to-");
            let tag = row["clock"].as_str().map_or(step.clone(), |clock| format!("{step}.{clock}"));
            let positive = number(row, "/count") - number(row, "/negative");
            let (count, max) = counts[&tag];
            assert!(count == positive || count == number(row, "/count"), "{tag}: {count} in {row}");
            let shown = number(row, "/max_ns");
            assert!(max.abs_diff(shown) <= shown / 500 + 1, "{tag}: {max} in {row}");
        }
        capture(&["-i", Lab::RECEIVER, "--hlog", "/nonexistent/a.hlog"]).says(1, &["/nonexistent/a.hlog"]);
    });
}

/// Plain base64, without a dependency for one test.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut have, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|b| *b != b'=') {
        let value = ALPHABET.iter().position(|a| *a == byte).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push(u8::try_from(bits >> have & 0xff).unwrap());
        }
    }
    out
}

#[test]
fn every_shared_capture_file_is_read_without_a_panic_or_escape() {
    let Some(shared) = shared_dir() else { return };
    let mut files: Vec<_> = std::fs::read_dir(shared.join("captures"))
        .map(|all| all.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect())
        .unwrap_or_default();
    files.sort();
    for file in files.iter().step_by(7).take(12) {
        let ran = capture(&["-r", text(file)]);
        assert!(ran.code == 0 || ran.code == 1, "{file:?}: {ran:?}");
        assert!(!ran.err.contains("panicked") && !ran.err.contains('\x1b'), "{file:?}: {ran:?}");
    }
}
