//! Every capture file that is shared by all checkouts, through the whole program: `wiretape capture -r FILE -w DIR`
//! ends in order, keeps each whole record, and what is on tape is what tshark finds in the file.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod corpus {
    pub(crate) mod engine;
    pub(crate) mod tshark;
}
#[path = "file_source/made.rs"]
mod made;
#[path = "file_source/reading.rs"]
mod reading;

use common::{need_tool, shared_dir};
use corpus::engine::{Taped, capture, packets};
use corpus::tshark::{self, Row};
use made::{Ng, Order};
use reading::{Outcome, read_path};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wiretape::journal::reader::Tape;
use wiretape::journal::verify::{VerifyOptions, verify};
use wiretape::packet::LinkType;
use wiretape::tape::decode::{self, DecodeOptions};
use wiretape::tape::outcome::Outcome as Answer;
use wiretape::time::StampClock;

/// Where we and tshark differ, and why that is right.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "link-type-unknown-to-tshark",
        "tshark 4.0 opens no file whose link type it does not know; we record any link type",
    ),
    (
        "not-a-packet",
        "tshark counts custom, local and system-event blocks of pcapng as frames (they have no interface); \
         they are no packets",
    ),
    (
        "atm-pseudo-header",
        "for SunATM (link type 123) tshark takes the 4 bytes of pseudo header off both lengths; \
         we keep the record as it is in the file",
    ),
    (
        "fraction-overflow",
        "a fraction of 1,159,821,166 µs overflows tshark's 32-bit nanoseconds; we add it to the seconds exactly",
    ),
];

/// As many files at once: the engine waits for its clock most of the time, tshark never does.
const WORKERS: usize = 2;

fn captures() -> Option<PathBuf> {
    let captures = shared_dir()?.join("captures");
    if !captures.is_dir() {
        common::skip(&format!("no directory {}", captures.display()));
        return None;
    }
    Some(captures)
}

fn capture_files(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (vec![], vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "pcap" || ext == "pcapng") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Runs `check` over `files`, some at a time; everything that it complains of.
fn over_all(files: &[PathBuf], check: impl Fn(&Path) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            let mut found = vec![];
            while let Some(path) = files.get(next.fetch_add(1, Relaxed)) {
                found.extend(check(path).into_iter().map(|what| format!("{}: {what}", path.display())));
            }
            found
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// One file through the program; whatever is not as it should be.
fn differences(path: &Path) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    let source = read_path(path);
    let output = capture(path, &journal, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut found = vec![];
    // Without a journal there is nothing to look at: the file was refused at once.
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = format!("{stderr}{}", report["failure"]);
    if stderr.contains("panicked") || output.status.code().is_none() {
        found.push(format!("{}: {stderr}", output.status));
    }
    match (&source.error, output.status.code()) {
        (None, Some(0)) => {}
        (Some(damage), Some(1)) if said.contains(&damage.to_string()) => {}
        (damage, code) => {
            found.push(format!("the source says {damage:?}, the program ends with {code:?}: {said}"));
        }
    }
    let taped = packets(&journal);
    found.extend(tape_against_source(&taped, &source));
    found.extend(tape_against_tshark(&taped, &source, path));
    if journal.exists() {
        found.extend(report_against_tape(&report, &taped));
        found.extend(second_thoughts(&journal, &taped));
    }
    found
}

/// Every whole record of the file is on tape, byte for byte.
fn tape_against_source(taped: &[Taped], source: &Outcome) -> Vec<String> {
    let mut found = vec![];
    if taped.len() != source.packets.len() {
        found.push(format!("{} packets on tape, {} in the file", taped.len(), source.packets.len()));
    }
    for (number, (taped, seen)) in taped.iter().zip(&source.packets).enumerate() {
        let same = taped.ns == seen.ns
            && taped.clock == seen.clock
            && taped.bytes == seen.bytes
            && taped.wire_len == seen.wire_len
            && taped.link == seen.link
            && taped.flags == seen.flags
            && taped.lost_before == seen.lost_before;
        if !same {
            found.push(format!("packet {}: on tape {taped:?}, in the file {seen:?}", number + 1));
        }
    }
    found
}

/// Counts, stamps and lengths on tape are those that tshark finds in the file.
fn tape_against_tshark(taped: &[Taped], source: &Outcome, path: &Path) -> Vec<String> {
    let answer = tshark::read(path);
    if answer.unknown_link {
        return vec![];
    }
    let is_packet = |row: &Row| !source.pcapng || row.interface.is_some();
    let rows: Vec<Row> = answer.rows.into_iter().filter(is_packet).collect();
    let mut found = vec![];
    if source.error.is_some() != answer.error.is_some() {
        found.push(format!("we say {:?}, tshark says {:?}", source.error, answer.error));
    }
    if rows.len() != taped.len() {
        found.push(format!("{} packets, tshark has {}", taped.len(), rows.len()));
    }
    for (number, (taped, row)) in taped.iter().zip(&rows).enumerate() {
        if !agrees(taped, row) {
            found.push(format!("packet {}: {taped:?}, tshark {row:?}", number + 1));
        }
    }
    found
}

fn agrees(taped: &Taped, row: &Row) -> bool {
    let pseudo = if taped.link == LinkType(123) { 4 } else { 0 };
    let overflowed =
        taped.link == LinkType(123) && taped.ns == 1_544_488_577 * 1_000_000_000 + 1_159_821_166_000;
    let stamps = match row.ns {
        // A Simple Packet Block has no time, and tshark shows none.
        None => taped.clock == StampClock::NONE,
        Some(ns) => ns == taped.ns || overflowed,
    };
    stamps
        && row.captured + pseudo == taped.bytes.len() as u64
        && row.wire_len + pseudo == u64::from(taped.wire_len)
}

/// The report counts what is on tape, and its sums hold.
fn report_against_tape(report: &Value, taped: &[Taped]) -> Vec<String> {
    let count = taped.len() as u64;
    let mut found = vec![];
    for field in ["received", "seen", "on_tape"] {
        if report["packets"][field] != count {
            found.push(format!("{field} is {}, {count} are on tape", report["packets"][field]));
        }
    }
    for check in report["checks"].as_array().into_iter().flatten() {
        if check["left"] != check["right"] {
            found.push(format!("does not add up: {check}"));
        }
    }
    let mut verdicts = BTreeMap::<&str, u64>::new();
    for packet in taped {
        *verdicts.entry(packet.judgement.verdict.name()).or_default() += 1;
    }
    if serde_json::json!(verdicts) != report["verdicts"] {
        found.push(format!("on tape {verdicts:?}, in the report {}", report["verdicts"]));
    }
    found
}

/// What `tape verify` and `tape decode` say of the journal.
fn second_thoughts(journal: &Path, taped: &[Taped]) -> Vec<String> {
    let mut found = vec![];
    let verified = verify(journal, &VerifyOptions::default(), &mut |_| ()).unwrap();
    if !verified.is_good() || verified.packets != taped.len() as u64 {
        found.push(format!("does not verify: {verified:?}"));
    }
    let (mut out, mut remarks) = (vec![], vec![]);
    let options = DecodeOptions { all: true, ..DecodeOptions::default() };
    let mut passed = 0;
    let answer =
        decode::run(&Tape::open(journal).unwrap(), &options, &mut out, &mut remarks, &mut |_| passed += 1);
    if answer.unwrap() != Answer::Good || !remarks.is_empty() || passed != taped.len() {
        let (out, remarks) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&remarks));
        found.push(format!("decoded otherwise: {out}{remarks}"));
    }
    found
}

#[test]
fn every_capture_file_goes_to_tape_as_tshark_reads_it() {
    let Some(captures) = captures() else { return };
    if !need_tool("tshark") {
        return;
    }
    let files = capture_files(&captures);
    assert!(files.len() > 500, "only {} capture files", files.len());
    let found = over_all(&files, differences);
    let known: Vec<String> = EXCEPTIONS.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(found.is_empty(), "{}\n\nexplained already:\n{}", found.join("\n"), known.join("\n"));
}

/// A sealed segment is a capture file like any other: captured again, it gives the same packets. Only stamps that
/// the first file did not have are now the tape's.
#[test]
fn a_journal_captured_again_gives_the_same_packets() {
    let Some(captures) = captures() else { return };
    let is_large = |path: &Path| path.metadata().is_ok_and(|data| data.len() > 100_000);
    let files: Vec<_> = capture_files(&captures)
        .into_iter()
        .enumerate()
        .filter(|(at, path)| at % 25 == 0 || is_large(path))
        .map(|(_, path)| path)
        .collect();
    let again = |path: &Path| {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        capture(path, &first, &[]);
        let before = packets(&first);
        for segment in Tape::open(&first).unwrap().segments() {
            let output = capture(&segment.path, &second, &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let after = packets(&second);
        let same = |(a, b): (&Taped, &Taped)| {
            let clocks = a.clock == b.clock || a.clock == StampClock::NONE;
            let fields = |p: &Taped| (p.ns, p.wire_len, p.link, p.flags, p.lost_before);
            clocks && fields(a) == fields(b) && a.bytes == b.bytes
        };
        let differ = before.len() != after.len() || !before.iter().zip(&after).all(same);
        if differ { vec![format!("{} packets, again {}", before.len(), after.len())] } else { vec![] }
    };
    let found = over_all(&files, again);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Bug: what another program had lost (`epb_dropcount`) did not go to tape. Cause: the worker knew only its own losses,
/// and set each packet's count to these. Fix: those of a file's packets are added.
#[test]
fn drop_counts_of_a_capture_file_go_to_tape() {
    let mut file = Ng::new(Order::Big);
    file.section();
    file.interface(1, 0, &[]);
    for drops in [0, 7, u64::MAX, u64::MAX] {
        let option = Order::Big.u64(drops);
        file.enhanced(0, 1_000_000, b"packet", 6, &[(4, &option)]);
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, journal) = (dir.path().join("drops.pcapng"), dir.path().join("j"));
    std::fs::write(&path, &file.bytes).unwrap();
    let output = capture(&path, &journal, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<u64> = packets(&journal).iter().map(|packet| packet.lost_before).collect();
    assert_eq!(found, [0, 7, u64::MAX, u64::MAX]);
    for tool in ["loss", "info"] {
        let told = Command::new(env!("CARGO_BIN_EXE_tape")).arg(tool).arg(&journal).output().unwrap();
        assert!(told.status.success(), "{told:?}");
    }
}

/// The rows of `EXPECTED.tsv` for one file: key → value of a kind.
fn expected(captures: &Path, file: &str, kind: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(captures.join("EXPECTED.tsv")).unwrap();
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[0] == file && row[1] == kind)
        .map(|row| (row[2].to_owned(), row[3].to_owned()))
        .collect()
}

/// The ITCH captures, recognised and configured: the report counts what is expected of them, and rejects nothing.
#[test]
fn the_report_on_an_itch_capture_counts_what_is_expected_and_rejects_nothing() {
    let Some(captures) = captures() else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("feeds.toml");
    let feed = "[[feed]]\nname = \"itch\"\nprotocol = \"moldudp64-itch50\"\ngroup = \"233.54.12.111\"\nport = 26477\n";
    std::fs::write(&config, feed).unwrap();
    let configured = ["--no-recognise", "--config", config.to_str().unwrap()];
    let mut seen = 0;
    for path in capture_files(&captures.join("feeds")) {
        let name = format!("feeds/{}", path.file_name().unwrap().to_str().unwrap());
        if !name.contains("nasdaq-itch50") {
            continue;
        }
        for (round, words) in [&[][..], &configured[..]].into_iter().enumerate() {
            let journal = dir.path().join(format!("{seen}-{round}"));
            let output = capture(&path, &journal, words);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            check_itch_report(&captures, &name, &report, round == 0);
        }
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} ITCH captures");
}

fn check_itch_report(captures: &Path, name: &str, report: &Value, recognised: bool) {
    assert_eq!(report["packets"]["rejected"], 0, "{name}: {report}");
    let [feed] = &report["feeds"].as_array().unwrap()[..] else { panic!("{name}: one feed in {report}") };
    assert_eq!(feed["recognised"], recognised, "{name}");
    assert_eq!((&feed["rejected"], &feed["unknown_types"]), (&Value::from(0), &Value::from(0)), "{name}");
    let messages = expected(captures, name, "messages");
    let messages: u64 = messages.values().map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(feed["messages"], messages, "{name}");
    let all: u64 = expected(captures, name, "packets")["all"].parse().unwrap();
    assert_eq!((&report["packets"]["accepted"], &feed["packets"]), (&all.into(), &all.into()), "{name}");
    let (stream, value) = expected(captures, name, "stream").pop_first().unwrap();
    let text = |field: &str| feed[field].as_str().unwrap().to_owned();
    let ends = format!(">{}:{}/sess'{}'", text("dst"), feed["port"], text("session"));
    assert!(stream.starts_with(&text("src")) && stream.ends_with(&ends), "{name}: {stream}");
    let found = format!(
        "pkts={} hb={} msgs={} first={} next={} gaps={} missing={} dups={}",
        feed["packets"],
        feed["heartbeats"],
        feed["messages"],
        feed["first_seq"],
        feed["next_seq"],
        feed["gaps"],
        feed["missing_messages"],
        feed["duplicates"]
    );
    assert_eq!(found, value, "{name}");
}
