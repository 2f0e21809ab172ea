//! The tools over journals: what they say, what they write, how they end.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![cfg(feature = "tape")]

mod journal_tape;

use journal_tape::{Segment, one_of_each};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wiretape::clock::SystemClock;
use wiretape::journal::format::EndOfSegment;
use wiretape::journal::reader::TapePacket;
use wiretape::packet::InterfaceDef;
use wiretape::tape::input::Input;
use wiretape::tape::outcome::{Outcome, TapeError};
use wiretape::tape::pcapng_out::PcapngOut;
use wiretape::tape::select::Selection;
use wiretape::tape::{extract, follow, info, loss, verify};

fn json_lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    bytes
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

fn journal(dir: &Path) {
    one_of_each(0, 0, 0).seal(dir);
    one_of_each(1, 0, 0).seal(dir);
    one_of_each(0, 1, 6).write_live(dir, 8192);
}

#[test]
fn info_counts_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut options = info::InfoOptions { path: dir.path().to_owned(), json: true, scan: None };
    let mut out = vec![];
    assert_eq!(info::run(&options, &mut out).unwrap(), Outcome::Good);
    let value = &json_lines(&out)[0];
    assert_eq!(value["packets"], 18);
    assert_eq!((&value["first_ns"], &value["last_ns"]), (&100.into(), &106.into()));
    assert_eq!(value["segments"].as_array().unwrap().iter().filter(|s| s["live"] == true).count(), 1);
    assert_eq!(value["scan"]["verdicts"]["accepted"], 18);
    assert_eq!(value["scan"]["clocks"]["sw"], 18);
    assert_eq!(value["scan"]["lost"]["ring"], 9);
    assert_eq!(value["interfaces"][0]["queues"], serde_json::json!([0, 1]));
    options.json = false;
    let mut out = vec![];
    assert_eq!(info::run(&options, &mut out).unwrap(), Outcome::Good);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("packets     18\n") && text.contains("lost        ring: 9 packets"), "{text}");
}

#[test]
fn verify_says_good_and_names_what_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut options = verify::Options { path: dir.path().to_owned(), json: false, expected_head: None };
    let mut out = vec![];
    assert_eq!(verify::run(&options, &mut |_| {}, &mut out).unwrap(), Outcome::Good);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("verified: every block, hash and link of the chain holds\n"), "{text}");
    let head = text.lines().find_map(|l| l.strip_prefix("head      ")).unwrap();
    options.expected_head = Some(verify::parse_head(head.split(' ').next().unwrap()).unwrap());
    assert_eq!(verify::run(&options, &mut |_| {}, &mut vec![]).unwrap(), Outcome::Good);
    std::fs::remove_file(dir.path().join("q01-000000.pcapng")).unwrap();
    options.json = true;
    let mut out = vec![];
    assert_eq!(verify::run(&options, &mut |_| {}, &mut out).unwrap(), Outcome::Bad);
    let value = &json_lines(&out)[0];
    assert_eq!(value["good"], false);
    assert_eq!(value["problems"][0]["file"], "q01-000000.pcapng");
    assert_eq!(value["problems"][0]["kind"], "missing");
    assert!(verify::parse_head("12").is_err());
}

#[test]
fn loss_lists_each_interval_with_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut options = loss::LossOptions { path: dir.path().to_owned(), begin: None, end: None, json: true };
    let mut out = vec![];
    assert_eq!(loss::run(&options, &mut out).unwrap(), Outcome::Good);
    let lines = json_lines(&out);
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["place"], &lines[0]["packets"]), (&"ring".into(), &3.into()));
    assert_eq!((&lines[0]["from_ns"], &lines[0]["to_ns"]), (&104.into(), &105.into()));
    assert_eq!(lines[3]["sums"]["lost_packets"], 9);
    options.json = false;
    let mut out = vec![];
    assert_eq!(loss::run(&options, &mut out).unwrap(), Outcome::Good);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("the engine did not keep up") && text.contains("lost in all: 9"), "{text}");
}

#[test]
fn loss_lists_only_what_reaches_into_the_asked_stretch() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let intervals = |begin: Option<&str>, end: Option<&str>| {
        let when = |text: Option<&str>| text.map(|t| t.parse().unwrap());
        let options =
            loss::LossOptions { path: dir.path().to_owned(), begin: when(begin), end: when(end), json: true };
        let mut out = vec![];
        assert_eq!(loss::run(&options, &mut out).unwrap(), Outcome::Good);
        json_lines(&out).last().unwrap()["sums"]["intervals"].clone()
    };
    // Every loss is from 104 to 105.
    assert_eq!(intervals(Some("@0.000000105"), None), 3);
    assert_eq!(intervals(Some("@0.000000106"), None), 0);
    assert_eq!(intervals(None, Some("@0.000000104")), 0);
    assert_eq!(intervals(None, Some("5ns")), 3, "the tape begins at 100");
    assert_eq!(intervals(Some("-1ns"), None), 3, "the tape ends at 106");
}

#[test]
fn a_stretch_of_a_long_journal_is_chosen_without_reading_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = vec![5; 30_000];
    let mut next = 1_u64..=1_600;
    let mut fill = |segment: &mut Segment, packets| {
        next.by_ref().take(packets).for_each(|n| segment.packet(n * 1_000_000_000, &bytes));
    };
    let mut first = Segment::new(0, 0, 0);
    fill(&mut first, 800);
    first.seal(dir.path());
    let mut second = Segment::new(0, 1, 800);
    fill(&mut second, 800);
    second.write_live(dir.path(), second.bytes.len().next_multiple_of(1 << 20));
    for (begin, end, expected) in [
        ("@700", "@702", [700, 701]),
        ("@1500", "2s", [1500, 1501]),
        ("-1s", "90s", [1599, 1600]),
        ("4s", "2s", [5, 6]),
    ] {
        let input = Input::open(dir.path()).unwrap();
        let (begin, end) = (begin.parse().ok(), end.parse().ok());
        let selection = Selection { begin, end, ..Selection::default() };
        let mut found = vec![];
        input
            .for_each(&selection, &mut |item| {
                found.push(item.packet.stamp.ns / 1_000_000_000);
                assert_eq!(item.interface.name, "eth0");
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(found, expected);
        let (read, total) = (input.progress().bytes(), input.total_bytes());
        assert!(total > 45 << 20 && read < 4 << 20, "{begin:?}: {read} of {total} bytes were read");
    }
}

fn extract_options(path: &Path, begin: &str, end: &str) -> extract::ExtractOptions {
    extract::ExtractOptions {
        path: path.to_owned(),
        begin: Some(begin.parse().unwrap()),
        end: Some(end.parse().unwrap()),
        margin_ns: 1000,
        output_name: "out.pcapng".to_owned(),
        json: true,
    }
}

/// Block types of a pcapng stream.
fn kinds(bytes: &[u8]) -> Vec<u32> {
    let mut kinds = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        kinds.push(word(at));
        at += word(at + 4) as usize;
    }
    kinds
}

#[test]
fn extract_cuts_out_the_range_and_what_is_wanted_of_it() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let options = extract_options(dir.path(), "@0.000000101", "@0.000000104");
    let (mut out, mut messages) = (vec![], vec![]);
    let done = extract::run(&options, &mut |p| Ok(p.queue == 1), &mut out, &mut messages).unwrap();
    assert_eq!(done, Outcome::Good);
    assert_eq!(kinds(&out), [0x0a0d_0d0a, 1, 6, 6, 6]);
    assert_eq!(json_lines(&messages)[0]["packets"], 3);
    // Relative: the last 2 ns, up to 1 ns from there.
    let options = extract_options(dir.path(), "-2ns", "1ns");
    let mut out = vec![];
    let done = extract::extract(&options, &mut |_| Ok(true), &mut out).unwrap();
    assert_eq!(done.packets, 3, "stamp 104 of three segments");
    assert_eq!(kinds(&out), [0x0a0d_0d0a, 1, 6, 1, 6, 6]);
    let error = extract::extract(&extract_options(dir.path(), "@5", "@4"), &mut |_| Ok(true), &mut vec![]);
    assert!(matches!(error, Err(TapeError::When(_))));
}

#[derive(Default)]
struct Collect(Vec<u64>, usize);

impl follow::Sink for Collect {
    fn packet(
        &mut self,
        p: &TapePacket<'_>,
        def: Option<&InterfaceDef>,
    ) -> Result<ControlFlow<()>, TapeError> {
        assert_eq!(def.unwrap().name, "eth0");
        self.0.push(p.stamp.ns);
        Ok(if self.0.len() == self.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
    fn flush(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
}

#[test]
fn follow_hands_over_what_comes_and_ends_with_the_capture_or_when_enough_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = one_of_each(0, 0, 0);
    let path = segment.write_live(dir.path(), 8192);
    let mut options = follow::FollowOptions::new(dir.path());
    let stop = AtomicBool::new(false);
    options.from_start = true;
    let mut three = Collect(vec![], 3);
    assert_eq!(follow::run(&options, &mut three, &SystemClock, &stop).unwrap(), Outcome::Good);
    assert_eq!(three.0, [100, 101, 102]);
    // Only what comes from now on.
    options.from_start = false;
    let mut new = Collect::default();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow::run(&options, &mut new, &SystemClock, &stop).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        segment.packet(200, &[1; 60]);
        segment.end(EndOfSegment::LAST);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&segment.bytes, 0).unwrap();
        assert_eq!(follower.join().unwrap(), Outcome::Good);
    });
    assert_eq!(new.0, [200]);
    // As pcapng.
    options.from_start = true;
    let mut bytes = vec![];
    let mut pcapng = PcapngOut::new(&mut bytes, "test").unwrap();
    assert_eq!(follow::run(&options, &mut pcapng, &SystemClock, &stop).unwrap(), Outcome::Good);
    assert_eq!(kinds(&bytes), [0x0a0d_0d0a, 1, 6, 6, 6, 6, 6, 6, 6]);
}

#[test]
fn a_reader_of_our_output_that_has_gone_is_a_quiet_end() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut segment = Segment::new(0, 0, 0);
    segment.packet(1, &[0; 60]);
    segment.seal(dir.path());
    let options = info::InfoOptions { path: dir.path().to_owned(), json: false, scan: None };
    assert!(info::run(&options, &mut Gone).unwrap_err().is_broken_pipe());
}
