//! `tape feeds` and `tape bursts` over real captures and made journals.
#![cfg(feature = "tape")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod tape_common;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tape_common::{Made, START_NS, feed, missing, tape, tape_ok, write_journal};
use wiretape::packet::LinkType;

/// The lines of the table of what independent decoders found, by file: kind, key, value.
type Expected = BTreeMap<String, Vec<[String; 3]>>;

fn captures() -> Option<(PathBuf, Expected)> {
    let root = std::env::var_os("WIRETAPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("captures");
    let Ok(table) = std::fs::read_to_string(root.join("EXPECTED.tsv")) else {
        missing("captures/EXPECTED.tsv");
        return None;
    };
    let mut by_file = Expected::new();
    for line in table.lines().skip(1) {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [file, kind, key, value] = columns.try_into().unwrap();
        by_file.entry(file).or_default().push([kind, key, value]);
    }
    assert!(by_file.len() > 5, "the table was read");
    Some((root, by_file))
}

fn feeds(path: &Path) -> Value {
    serde_json::from_str(&tape_ok(&["feeds", "-K", "--json", path.to_str().unwrap()])).unwrap()
}

/// How the table's words for a stream are called here.
fn field(word: &str) -> &'static str {
    match word {
        "pkts" => "packets",
        "hb" => "heartbeats",
        "msgs" => "messages",
        "first" => "first",
        "next" => "next",
        "gaps" => "gaps",
        "missing" => "missing",
        "dups" => "duplicates",
        other => panic!("the table has a new word: {other}"),
    }
}

/// The stream that a key of the table names: `src>dst/…`, and a session among what follows.
fn stream<'r>(report: &'r Value, key: &str) -> Option<&'r Value> {
    let (route, rest) = key.split_once('/').unwrap_or((key, ""));
    let (src, dst) = route.split_once('>')?;
    let session = rest.rsplit("sess").next().unwrap_or("").trim_matches('\'');
    report["streams"].as_array()?.iter().find(|s| {
        s["src"] == src && s["dst"] == dst && s["session"].as_str().is_some_and(|name| name.contains(session))
    })
}

/// Compares one capture's report with its lines of the table; answers what is wrong.
fn compare(report: &Value, expected: &[[String; 3]]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    for stream in report["streams"].as_array().unwrap() {
        for (name, count) in stream["types"].as_object().unwrap() {
            *types.entry(name).or_default() += count.as_u64().unwrap();
        }
        for must_be_none in ["rejected", "unknown_types"] {
            if stream[must_be_none] != 0 {
                wrong.push(format!("{must_be_none}: {}", stream[must_be_none]));
            }
        }
    }
    let mut named = 0;
    for [kind, key, value] in expected {
        match kind.as_str() {
            "packets" if report["packets"].as_u64() == value.parse().ok() => {}
            "messages" if types.get(key.as_str()).map(u64::to_string).as_ref() == Some(value) => named += 1,
            "stream" => {
                let Some(stream) = stream(report, key) else {
                    wrong.push(format!("no stream {key}"));
                    continue;
                };
                for (word, number) in value.split(' ').filter_map(|pair| pair.split_once('=')) {
                    let found = stream[field(word)].to_string();
                    if found != number {
                        wrong.push(format!("{key}: {word} is {number}, not {found}"));
                    }
                }
            }
            _ => wrong.push(format!("{kind} {key} {value}")),
        }
    }
    if types.len() > named {
        wrong.push(format!("types beyond the table: {types:?}"));
    }
    wrong
}

#[test]
fn every_capture_has_the_messages_and_streams_that_independent_decoders_found() {
    let Some((root, by_file)) = captures() else { return };
    for (file, expected) in by_file {
        let report = feeds(&root.join(&file));
        let wrong = compare(&report, &expected);
        assert!(wrong.is_empty(), "{file}:\n{}\n{report:#}", wrong.join("\n"));
    }
}

#[test]
fn a_journal_shows_its_gap_and_its_two_queues_as_one_stream() {
    let dir = tempfile::tempdir().unwrap();
    // One sequence over both queues, with messages 41 to 45 missing.
    let mut packets = feed(0);
    for n in 0..40_u64 {
        let sequence = 1 + n * 2 + u64::from(n >= 20) * 5;
        let mut made = Made::new(tape_common::mold_frame(sequence, 2, 0), START_NS + n * 1_000);
        made.queue = u16::try_from(n % 2).unwrap();
        packets.push(made);
    }
    write_journal(dir.path(), 2, &packets, |_| LinkType::ETHERNET);
    let report = feeds(dir.path());
    assert_eq!(report["packets"], 40);
    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1);
    let stream = &streams[0];
    let numbers = ["packets", "messages", "first", "next", "gaps", "missing", "duplicates", "rejected"];
    let found: Vec<u64> = numbers.iter().map(|name| stream[name].as_u64().unwrap()).collect();
    assert_eq!(found, [40, 80, 1, 86, 1, 5, 0, 0]);
    assert_eq!(stream["types"]["S len12"], 80);
    assert_eq!((&stream["first_ns"], &stream["recognised"]), (&START_NS.into(), &true.into()));
    let text = tape_ok(&["feeds", dir.path().to_str().unwrap()]);
    assert!(text.contains("gaps 1, missing 5, duplicates 0"), "{text}");
}

/// Three packets in 3 µs, a second later five in 300 µs, and a lone one between.
fn bursty(dir: &Path) -> Vec<u64> {
    let second = 1_000_000_000;
    let mut at = vec![0, 1_000, 3_000, second / 2];
    at.extend((0..5).map(|n| second + n * 75_000));
    let frame = |n: usize| tape_common::mold_frame(1 + n as u64, 1, 0);
    let packets: Vec<Made> =
        at.iter().enumerate().map(|(n, at)| Made::new(frame(n), START_NS + at)).collect();
    write_journal(dir, 1, &packets, |_| LinkType::ETHERNET);
    at
}

#[test]
fn bursts_finds_the_busiest_window_of_each_length_and_says_when_and_of_what() {
    let dir = tempfile::tempdir().unwrap();
    let at = bursty(dir.path());
    let path = dir.path().to_str().unwrap();
    let report: Value = serde_json::from_str(&tape_ok(&["bursts", "--json", "--line-rate", path])).unwrap();
    let peak = |window: usize| &report["windows"][window]["scopes"][0]["peaks"][0];
    // Five in a millisecond, three (of either burst) in 10 µs.
    assert_eq!((&peak(0)["packets"], &peak(0)["to_ns"]), (&5.into(), &(START_NS + at[8]).into()));
    assert_eq!((&peak(2)["packets"], &peak(2)["to_ns"]), (&3.into(), &(START_NS + at[2]).into()));
    // A frame of 14 + 20 + 8 + 20 + 2 + 12 bytes and the wire's 24.
    assert_eq!(peak(0)["bytes"], 5 * (76 + 24));
    assert_eq!(peak(0)["bits_per_second"], 4_000_000);
    assert_eq!(peak(0)["mostly"], "239.1.2.3:26477");
    assert_eq!(report["windows"][0]["scopes"].as_array().unwrap().len(), 2);
    let text = tape_ok(&["bursts", path, "--window", "100us", "--top", "1", "--by", "packets"]);
    assert!(text.contains("windows of 100.000 µs") && text.contains("mostly 239.1.2.3:26477 (3)"), "{text}");
    assert_eq!(tape(&["bursts", path, "--window", "0ms"]).status.code(), Some(2));
}
