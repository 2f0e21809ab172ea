//! What a capture file says of losses is kept, and what the report says of the disk is true.

#![expect(clippy::unwrap_used, reason = "tests")]

mod journal_tape;

use journal_tape::Segment;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use wiretape::journal::Note;
use wiretape::journal::format::EndOfSegment;
use wiretape::journal::reader::{ReadOptions, Record, Tape};
use wiretape::packet::{InterfaceDef, LinkType};

const WIRETAPE: &str = env!("CARGO_BIN_EXE_wiretape");

/// A pcapng file of two interfaces, with drop counts before some packets: a segment of a journal is one.
fn file(dir: &Path) -> std::path::PathBuf {
    let mut segment = Segment::new(0, 0, 0);
    segment.interface(&InterfaceDef::named("eth1", LinkType::ETHERNET));
    for n in 0..100u32 {
        segment.packet_on(u32::from(n % 4 == 0), 1_000_000 + u64::from(n), &[0; 60]);
    }
    let path = dir.join("in.pcapng");
    std::fs::write(&path, &segment.bytes).unwrap();
    path
}

/// Interface, received, delivered.
type Counted = (u32, Option<u64>, Option<u64>);

/// Drop counts of the packets on a tape, in order, and what its last statistics say of each interface.
fn told(tape: &Path) -> (Vec<u64>, Vec<Counted>) {
    let tape = Tape::open(tape).unwrap();
    let mut reader = tape.queue(0, ReadOptions::default());
    let (mut drops, mut statistics) = (Vec::new(), Vec::new());
    while let Some(record) = reader.next_record().unwrap() {
        match record {
            Record::Packet(p) => drops.push(p.lost_before),
            Record::Statistics { interface, stats, .. } => {
                statistics.push((interface, stats.received, stats.delivered));
            }
            _ => {}
        }
    }
    (drops, statistics)
}

#[test]
fn the_drop_counts_and_interfaces_of_a_file_stand_on_the_new_tape_too() {
    // The worker overwrote a file's drop counts with its own losses (none), and gave the file's sums to its first
    // interface.
    let dir = tempfile::tempdir().unwrap();
    let input = file(dir.path());
    let out = dir.path().join("j");
    let done =
        Command::new(WIRETAPE).args(["capture", "-r"]).arg(&input).arg("-w").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (drops, statistics) = told(&out);
    let expected: Vec<u64> = (0..100).map(|n| u64::from(n % 7 == 3)).collect();
    assert_eq!(drops, expected);
    assert_eq!(statistics, [(0, None, Some(75)), (1, None, Some(25))]);
}

#[test]
fn a_disk_without_room_for_a_segment_that_was_never_needed_is_no_failure() {
    // Three segments are prepared ahead; where there is room for one alone, the capture ended with FAILED and exit
    // code 1 although every packet was on tape.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let input = file(dir.path());
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=6m none \"$1\" && exec \"$2\" capture -r \"$3\" -w \"$1/j\" \
                  --segment-size 4MiB --json";
    let done = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .args([disk.as_path(), Path::new(WIRETAPE), input.as_path()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["packets"]["on_tape"], 100, "{stderr}");
    assert_eq!(report["failure"], Value::Null);
}

#[test]
fn a_start_that_is_refused_leaves_no_segment_behind() {
    // The journal is open before the source: a wrong interface or file left a reserved segment, 256 MiB, for nothing.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("j");
    let missing = dir.path().join("missing");
    let done =
        Command::new(WIRETAPE).args(["capture", "-r"]).arg(missing).arg("-w").arg(&out).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let left = std::fs::read_dir(&out).into_iter().flatten();
    let segments = left.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pcapng"));
    assert_eq!(segments.count(), 0);
}

#[test]
fn what_a_full_disk_lost_and_the_end_of_the_capture_stand_on_tape() {
    // The segment was closed when it was full, and none followed: `tape loss` said that nothing was lost, and
    // `tape follow` waited for ever.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut segment = Segment::new(0, 0, 0);
    for n in 0..6000 {
        segment.packet_on(0, 1_000_000 + n, &[7; 1400]);
    }
    let input = dir.path().join("in.pcapng");
    std::fs::write(&input, &segment.bytes).unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=6m none \"$1\" && { \"$2\" capture -r \"$3\" -w \"$1/j\" \
                  --segment-size 4MiB --json; cp -r \"$1/j\" \"$1/../copy\"; }";
    let done = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .args([disk.as_path(), Path::new(WIRETAPE), input.as_path()])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let lost = report["lost"]["disk"].as_u64().unwrap();
    assert!(lost > 0 && report["failure"].is_string());
    let tape = Tape::open(dir.path().join("copy")).unwrap();
    let mut reader = tape.queue(0, ReadOptions::default());
    let (mut packets, mut noted, mut flags) = (0, 0, 0);
    while let Some(record) = reader.next_record().unwrap() {
        match record {
            Record::Packet(_) => packets += 1,
            Record::Note { note: Note::Loss(loss), .. } => noted += loss.packets,
            Record::End { end, .. } => flags = end.flags,
            _ => {}
        }
    }
    assert_eq!((packets + lost, noted, flags), (6000, lost, EndOfSegment::LAST));
}
