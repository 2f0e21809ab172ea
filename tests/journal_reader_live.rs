//! Readers beside a running writer, and over what it leaves behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wiretape::clock::{Clock, SystemClock};
use wiretape::journal::format::MIB;
use wiretape::journal::reader::{
    Merged, Opening, ReadOptions, Record, SegmentReader, SegmentStep, Step, Tape,
};
use wiretape::journal::verify::{State, VerifyOptions, VerifyReport, verify};
use wiretape::journal::{Append, Journal, JournalOptions, Writer};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use wiretape::time::{Stamp, StampClock};

fn options(dir: &Path, queues: u16) -> JournalOptions {
    let mut options = JournalOptions::new(dir);
    options.segment_bytes = 4 * MIB;
    options.queues = queues;
    options.sync_interval = Duration::from_millis(20);
    options
}

/// Length and bytes follow from the number.
fn body(n: u64, out: &mut Vec<u8>) {
    out.clear();
    out.resize(usize::try_from(n * 37 % 1500).unwrap(), n.to_le_bytes()[0]);
    out.extend_from_slice(&n.to_le_bytes());
}

fn append(writer: &mut Writer, n: u64, bytes: &mut Vec<u8>, stamp_ns: u64) {
    body(n, bytes);
    let packet = Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(stamp_ns, StampClock::USER),
        arrival_ns: stamp_ns,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks(0),
        gso_size: 0,
        lost_before: 0,
    };
    loop {
        match writer.append(&packet, Judgement::NOT_JUDGED) {
            Append::Written => return,
            Append::NotReady => std::thread::yield_now(),
            Append::Full => panic!("the disk is full"),
        }
    }
}

fn write_queue(mut writer: Writer, packets: u64) -> Writer {
    let mut bytes = Vec::new();
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    for n in 0..packets {
        append(&mut writer, n, &mut bytes, SystemClock.now_ns());
        if n % 64 == 0 {
            std::thread::yield_now();
        }
    }
    writer
}

/// Follows to the end, and checks every packet; answers how many came of each queue.
fn follow(mut merged: Merged, queues: usize) -> Vec<u64> {
    let mut next = vec![0; queues];
    let mut expected = Vec::new();
    let mut last_ns = 0;
    loop {
        match merged.step(SystemClock.monotonic_ns()).unwrap() {
            Step::Record => {
                let Some(Record::Packet(p)) = merged.record() else { continue };
                let own = &mut next[usize::from(p.queue)];
                assert_eq!(p.seq, *own, "queue {} at {:?}", p.queue, p.place());
                *own += 1;
                body(p.seq, &mut expected);
                assert_eq!(p.bytes, expected);
                last_ns = last_ns.max(p.stamp.ns);
            }
            Step::Wait => std::thread::sleep(Duration::from_millis(1)),
            Step::End => return next,
        }
    }
}

fn check(dir: &Path) -> VerifyReport {
    verify(dir, &VerifyOptions::default(), &mut |_| {}).unwrap()
}

#[test]
fn live_readers_see_every_packet_whole_once_and_in_order() {
    const PACKETS: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(options(dir.path(), 2)).unwrap();
    let (mut writers, keeper) = journal.start();
    for writer in &mut writers {
        writer.idle();
    }
    let read = ReadOptions { follow: true, hold_ns: 5_000_000, ..ReadOptions::default() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let keeping = scope.spawn(move || keeper.run(stop));
        let tape = Tape::open(dir.path()).unwrap();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let merged = tape.merged(read);
                scope.spawn(move || follow(merged, 2))
            })
            .collect();
        let writing: Vec<_> =
            writers.into_iter().map(|w| scope.spawn(move || write_queue(w, PACKETS))).collect();
        for writer in writing {
            writer.join().unwrap().finish(&[]);
        }
        for reader in readers {
            assert_eq!(reader.join().unwrap(), [PACKETS, PACKETS]);
        }
        stop.store(true, Ordering::Release);
        keeping.join().unwrap();
    });
    let report = check(dir.path());
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(report.packets, 2 * PACKETS);
    assert!(report.segments.len() > 6);
    assert!(report.segments.iter().all(|s| s.state == State::Sealed));
    let merged = Tape::open(dir.path()).unwrap().merged(ReadOptions::default());
    assert_eq!(follow(merged, 2), [PACKETS, PACKETS]);
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_journal_left_by_a_crash_is_verified_live_and_again_when_it_was_recovered_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let image = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(options(dir.path(), 1)).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    let _ = writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET));
    let mut bytes = Vec::new();
    for n in 0..8_000 {
        keeper.step();
        append(&mut writer, n, &mut bytes, 1_000_000 + n);
    }
    keeper.step();
    // What a SIGKILL now would leave.
    copy_dir(dir.path(), image.path());
    let report = check(image.path());
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(report.packets, 8_000);
    assert!(report.segments.iter().any(|s| s.state == State::Live));
    writer.finish(&[]);
    keeper.finish();

    let (journal, recovery) = Journal::open(options(image.path(), 1)).unwrap();
    assert!(!recovery.is_clean());
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    let _ = writer.add_interface(&InterfaceDef::named("eth1", LinkType::ETHERNET));
    for n in 0..100 {
        keeper.step();
        append(&mut writer, n, &mut bytes, 2_000_000 + n);
    }
    writer.finish(&[]);
    keeper.finish();
    let report = check(image.path());
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(report.packets, 8_100);
    assert!(report.segments.iter().any(|s| s.recovered));
    let mut merged = Tape::open(image.path()).unwrap().merged(ReadOptions::default());
    let mut stamps = vec![];
    while let Some(record) = merged.next_record().unwrap() {
        if let Record::Packet(p) = record {
            stamps.push(p.stamp.ns);
        }
    }
    assert_eq!(stamps.len(), 8_100);
    assert!(stamps.is_sorted());
}

#[test]
fn retired_segments_are_known_and_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), 1);
    options.retain_bytes = Some(24 * MIB);
    let (journal, _) = Journal::open(options).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    let _ = writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET));
    let mut bytes = Vec::new();
    for n in 0..40_000 {
        if n % 16 == 0 {
            keeper.step();
        }
        append(&mut writer, n, &mut bytes, 1_000_000 + n);
    }
    writer.finish(&[]);
    keeper.finish();
    let report = check(dir.path());
    assert!(report.is_good(), "{:#?}", report.problems);
    let retired = report.segments.iter().filter(|s| s.state == State::Retired).count();
    assert!(retired > 2, "{:#?}", report.segments);
}

#[test]
fn searching_a_live_segment_for_its_end_outlives_the_sealing() {
    // A follower that starts looks for the last anchor by halves, beyond what is committed. Sealing cut the file
    // under the mapping meanwhile, and the look raised SIGBUS. Anchors are read with pread(2) instead.
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(options(dir.path(), 1)).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let writer = write_queue(writers.remove(0), 1000);
    let path = dir.path().join("q00-000000.pcapng");
    let mut segment = SegmentReader::open(&path, Opening::Auto).unwrap();
    assert!(segment.is_live() && segment.read_head().unwrap());
    writer.finish(&[]);
    while keeper.step() {}
    assert!(std::fs::metadata(&path).unwrap().len() < MIB, "it is sealed and short");
    assert_eq!(segment.last_anchor().unwrap(), None);
    while segment.step().unwrap() == SegmentStep::Record {}
    assert_eq!(segment.counted().packets, 1000);
    keeper.finish();
}
