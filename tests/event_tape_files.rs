//! An event tape's files, made by hand: cut by content, readable at any time, and what a crash leaves is a prefix.

#![expect(clippy::case_sensitive_file_extension_comparisons, reason = "the writer's own names")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use dbn::decode::{DbnDecoder, DbnMetadata as _, DecodeRecord as _};
use dbn::{MboMsg, RecordHeader, Schema, rtype};
use proptest::prelude::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wiretape::events::follow::Span;
use wiretape::events::output::Output;
use wiretape::events::side::SideRow;
use wiretape::events::tape::{
    Capture, Compare, Compared, Cutter, Files, State, Store, cut_capture, parse_manifest, recover,
};
use wiretape::feed::{FeedConfig, FeedProtocol};

const ID: [u8; 16] = *b"capture under te";
const ID_TEXT: &str = "6361707475726520756e646572207465";
const START_NS: u64 = 1_700_000_000_000_000_000;

fn feed() -> FeedConfig {
    let group = "239.1.2.3".parse().unwrap();
    let mut feed = FeedConfig::one_line("itch a", FeedProtocol::MoldUdp64Itch50, group, 26477);
    "XNAS.ITCH".clone_into(&mut feed.dataset);
    feed.publisher_id = 2;
    feed.symbols.insert("AAPL".to_owned(), 7);
    feed
}

fn mbo(n: u64) -> MboMsg {
    let ts_recv = START_NS + n;
    MboMsg {
        hd: RecordHeader::new::<MboMsg>(rtype::MBO, 2, 7, ts_recv - 5),
        order_id: n,
        price: 1_000_000_000,
        size: 100,
        action: b'A'.cast_signed(),
        side: b'B'.cast_signed(),
        ts_recv,
        ts_in_delta: 5,
        sequence: u32::try_from(n).unwrap(),
        ..MboMsg::default()
    }
}

/// One packet's events: a record or some, and now and then a row.
fn made(output: &mut Output, n: u64) {
    output.put(Schema::Mbo, &mbo(n));
    if n.is_multiple_of(3) {
        output.put(Schema::Mbo, &mbo(n + 1_000_000));
    }
    if n.is_multiple_of(5) {
        let session = "S".repeat(usize::try_from(n % 50).unwrap());
        output.side(&SideRow::Epoch { at_ns: START_NS + n, session: &session, first: n, why: "first" });
    }
}

fn symbols(n: u64) -> Vec<(u32, String)> {
    let named = [(7, "AAPL".to_owned()), (8, "MSFT".to_owned()), (9, "é".to_owned())];
    named.into_iter().take(usize::try_from(n).unwrap_or(3).min(3)).collect()
}

/// Feeds packets `0..n` to a cutter.
fn write<S: Store>(cutter: &mut Cutter<S>, packets: u64, mut between: impl FnMut(u64, &mut S)) {
    let feed = feed();
    let mut output = Output::new(&feed);
    let span = |n: u64| Span { first_ns: START_NS, last_ns: START_NS + n };
    for n in 0..packets {
        made(&mut output, n);
        cutter.take_feed(0, (&feed, &symbols(n), &mut output), span(n)).unwrap();
        between(n, cutter.store());
    }
    let last = packets.saturating_sub(1);
    cutter.close_feed(0, (&feed, &symbols(last)), span(last)).unwrap();
}

fn whole(dir: &Path, packets: u64, roll_bytes: u64) {
    let mut capture = Capture::new(ID, &[feed()]);
    capture.roll_bytes = roll_bytes;
    let mut cutter = Cutter::new(1, roll_bytes, Files::create(dir, capture).unwrap());
    write(&mut cutter, packets, |_, _| ());
    cutter.into_store().finish(0).unwrap();
}

fn compared(dir: &Path, packets: u64) -> Compared {
    let capture = Capture::read(dir).unwrap().unwrap();
    let mut cutter = Cutter::new(1, capture.roll_bytes, Compare::open(dir, capture, 10).unwrap());
    write(&mut cutter, packets, |_, _| ());
    cutter.into_store().finish().unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(dir.join("itch_a")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Order numbers in a DBN file, by the `dbn` crate, and its symbols.
fn read_mbo(path: &Path) -> (Vec<u64>, Vec<String>) {
    let mut decoder = DbnDecoder::from_file(path).unwrap();
    let metadata = decoder.metadata().clone();
    assert_eq!((metadata.version, metadata.schema), (3, Some(Schema::Mbo)));
    assert_eq!((metadata.dataset.as_str(), metadata.start), ("XNAS.ITCH", START_NS));
    let mut orders = Vec::new();
    while let Some(record) = decoder.decode_record::<MboMsg>().unwrap() {
        assert_eq!(*record, mbo(record.order_id));
        orders.push(record.order_id);
    }
    (orders, metadata.symbols)
}

#[test]
fn sealed_files_are_the_same_however_often_they_are_made_and_the_dbn_crate_reads_them() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    whole(one.path(), 1000, 10_000);
    whole(two.path(), 1000, 10_000);
    let (first, second) = (files(one.path()), files(two.path()));
    assert!(first.len() > 5, "{first:?}");
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(a.file_name(), b.file_name());
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }
    let manifest = |dir: &Path| std::fs::read(dir.join("manifest")).unwrap();
    assert_eq!(manifest(one.path()), manifest(two.path()));
    let (lines, _) = parse_manifest(&manifest(one.path())).unwrap();
    assert_eq!(lines.len(), first.len());
    let mut orders = Vec::new();
    for line in &lines {
        let path = one.path().join(&line.name);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((line.size_bytes, line.blake3), (bytes.len() as u64, *blake3::hash(&bytes).as_bytes()));
        if line.name.ends_with(".dbn") {
            let (found, symbols) = read_mbo(&path);
            assert_eq!(found.len() as u64, line.records);
            assert_eq!(symbols, ["AAPL", "MSFT"], "what DBN cannot carry is left out");
            orders.extend(found);
        }
    }
    let expected =
        (0..1000_u64).flat_map(|n| std::iter::once(n).chain(n.is_multiple_of(3).then_some(n + 1_000_000)));
    assert_eq!(orders, expected.collect::<Vec<_>>());
    assert_eq!(Capture::read(one.path()).unwrap().unwrap().state, State::Sealed);
    let found = compared(one.path(), 1000);
    assert_eq!((found.differences, found.lacking, found.files), (0, 0, first.len() as u64), "{found:?}");
}

#[test]
fn a_file_can_be_read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::create(dir.path(), Capture::new(ID, &[feed()])).unwrap();
    let mut cutter = Cutter::new(1, 1 << 30, files);
    let path = dir.path().join("itch_a/mbo-000000.dbn");
    write(&mut cutter, 50, |n, files| {
        if n % 10 == 9 {
            files.flush().unwrap();
            let (orders, symbols) = read_mbo(&path);
            assert_eq!(orders.iter().filter(|order| **order < 1000).count() as u64, n + 1);
            assert_eq!(symbols, ["AAPL"], "what is configured");
        }
    });
}

#[test]
fn every_cut_of_a_file_leaves_a_prefix_of_whole_records() {
    let made = tempfile::tempdir().unwrap();
    whole(made.path(), 30, 1 << 30);
    let names = ["itch_a/mbo-000000.dbn", "itch_a/side-000000.jsonl"];
    let bytes = names.map(|name| std::fs::read(made.path().join(name)).unwrap());
    for cut in (0..bytes[0].len()).step_by(11) {
        let dir = tempfile::tempdir().unwrap();
        let tape = dir.path().join("events").join(ID_TEXT);
        drop(Files::create(&tape, Capture::new(ID, &[feed()])).unwrap());
        for (name, bytes) in names.iter().zip(&bytes) {
            std::fs::write(tape.join(name), &bytes[..cut.min(bytes.len())]).unwrap();
        }
        // A crash in the middle of a line, and of a rewriting.
        std::fs::write(tape.join("manifest"), "itch_a/mbo-0000").unwrap();
        std::fs::write(tape.join("itch_a/mbo-000000.dbn.new"), &bytes[0][..cut]).unwrap();
        let (cuts, remarks) = recover(dir.path()).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        let found = compared(&tape, 30);
        assert_eq!(found.differences, 0, "cut at {cut}: {found:?}");
        let there: u64 = cuts.iter().map(|cut| cut.records).sum();
        assert_eq!(there + found.lacking, found.records);
        assert_eq!(Capture::read(&tape).unwrap().unwrap().state, State::Cut);
        assert!(!tape.join("itch_a/mbo-000000.dbn.new").exists());
        if cuts.iter().any(|cut| cut.name.ends_with(".dbn")) {
            read_mbo(&tape.join(names[0]));
        }
        assert_eq!(recover(dir.path()).unwrap(), (Vec::new(), Vec::new()), "once is enough");
    }
}

#[test]
fn an_event_tape_that_is_still_written_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let tape = dir.path().join("events").join(ID_TEXT);
    let files = Files::create(&tape, Capture::new(ID, &[feed()])).unwrap();
    assert_eq!(recover(dir.path()).unwrap(), (Vec::new(), Vec::new()));
    assert_eq!(Capture::read(&tape).unwrap().unwrap().state, State::Live);
    drop(files);
    recover(dir.path()).unwrap();
    assert_eq!(Capture::read(&tape).unwrap().unwrap().state, State::Cut);
}

#[test]
fn each_kind_of_difference_is_found_and_named() {
    let change = |what: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        whole(dir.path(), 100, 1 << 30);
        let path = dir.path().join("itch_a/mbo-000000.dbn");
        what(&path);
        compared(dir.path(), 100)
    };
    let rewrite = |path: &Path, with: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(path).unwrap();
        with(&mut bytes);
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let size = std::mem::size_of::<MboMsg>();
    let found = change(&|path| {
        rewrite(path, &|bytes| {
            let at = bytes.len() - 3 * size + 20;
            bytes[at] ^= 1;
        });
    });
    // A hundred records and one of each third packet: 134.
    assert_eq!((found.differences, found.listed.len()), (1, 1));
    let (listed, json) = (&found.listed[0], wiretape::events::tape::record_json(&found.listed[0].now));
    assert_eq!((listed.file.as_str(), listed.record), ("itch_a/mbo-000000.dbn", Some(131)));
    assert!(json.contains("\"order_id\":\"98\"") && listed.on_tape != listed.now, "{json}");
    for (what, expected) in [
        (
            &(|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - size)) as &dyn Fn(&mut Vec<u8>),
            "ends too early",
        ),
        (&|bytes: &mut Vec<u8>| bytes.extend([14; 4]), "goes on behind"),
        (&|bytes: &mut Vec<u8>| bytes[8] ^= 1, "another head"),
    ] {
        let found = change(&|path| rewrite(path, what));
        assert_eq!(found.differences, 1, "{found:?}");
        assert!(found.listed[0].what.contains(expected), "{found:?}");
    }
    let found = change(&|path| std::fs::remove_file(path).unwrap());
    assert!(found.listed[0].what.contains("missing"), "{found:?}");
    let found = change(&|path| std::fs::write(path.with_file_name("mbo-000009.dbn"), "more").unwrap());
    assert!(found.listed[0].what.contains("nothing is made now"), "{found:?}");
    let found = change(&|path| {
        let manifest = path.parent().unwrap().parent().unwrap().join("manifest");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replace(" 134 ", " 135 ")).unwrap();
    });
    assert!(found.listed[0].what.contains("manifest"), "{found:?}");
}

#[test]
fn a_tape_that_was_given_up_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let capture = Capture::new(ID, &[feed()]);
    drop(Files::create(dir.path(), capture.clone()).unwrap());
    assert_eq!(cut_capture(dir.path(), capture, State::Stopped, "no space").unwrap(), []);
    let found = Capture::read(dir.path()).unwrap().unwrap();
    assert_eq!((found.state, found.reason.as_str()), (State::Stopped, "no space"));
}

const CHILD_DIR: &str = "WIRETAPE_TEST_EVENTS_CHILD";

/// Not a test by itself: writes events until it is killed.
#[test]
fn child_that_writes_events_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut capture = Capture::new(ID, &[feed()]);
    capture.roll_bytes = 200_000;
    let mut cutter = Cutter::new(1, 200_000, Files::create(Path::new(&dir), capture).unwrap());
    std::io::stderr().write_all(b"\nbegun\n").unwrap();
    write(&mut cutter, u64::from(u32::MAX) / 2, |n, files| {
        if n % 100 == 0 {
            files.flush().unwrap();
        }
    });
}

#[test]
fn what_a_kill_leaves_is_a_prefix_of_what_is_made_later() {
    let rounds: u64 = std::env::var("WIRETAPE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let mut most = 0;
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let tape = dir.path().join("events").join(ID_TEXT);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_writes_events_until_it_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD_DIR, &tape)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "begun"));
        std::thread::sleep(Duration::from_millis((round * 7919) % 120));
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, remarks) = recover(dir.path()).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        let (lines, _) = parse_manifest(&std::fs::read(tape.join("manifest")).unwrap()).unwrap();
        let there: u64 = lines.iter().map(|line| line.records).sum();
        // So many packets that everything there has been made, and then some.
        let found = compared(&tape, there + 1000);
        assert_eq!(found.differences, 0, "round {round}: {found:?}");
        assert_eq!(there + found.lacking, found.records);
        for line in lines.iter().filter(|line| line.name.ends_with(".dbn")) {
            assert_eq!(read_mbo(&tape.join(&line.name)).0.len() as u64, line.records);
        }
        most = most.max(there);
    }
    assert!(most > 100, "{most} records at most: the child never came to write");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn how_often_files_are_flushed_changes_nothing(packets in 1_u64..400, every in 1_u64..50, roll in 500_u64..20_000) {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        whole(one.path(), packets, roll);
        let mut capture = Capture::new(ID, &[feed()]);
        capture.roll_bytes = roll;
        let mut cutter = Cutter::new(1, roll, Files::create(two.path(), capture).unwrap());
        write(&mut cutter, packets, |n, files| {
            if n % every == 0 {
                files.sync().unwrap();
            }
        });
        cutter.into_store().finish(0).unwrap();
        for (a, b) in files(one.path()).iter().zip(&files(two.path())) {
            prop_assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
        }
        prop_assert_eq!(files(one.path()).len(), files(two.path()).len());
    }
}
