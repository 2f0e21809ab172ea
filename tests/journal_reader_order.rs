//! What readers promise: every committed record once, in order, and nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod journal_tape;

use journal_tape::{Segment, one_of_each};
use proptest::prelude::*;
use std::path::Path;
use wiretape::journal::format::EndOfSegment;
use wiretape::journal::index::{RangeReader, TimeRange, span};
use wiretape::journal::reader::{BlockError, OnDamage, ReadError, ReadOptions, Record, Step, Tape};
use wiretape::packet::{InterfaceDef, LinkType};

/// Stamp, queue, sequence number.
type Seen = (u64, u16, u64);

fn scan(dir: &Path) -> Vec<Seen> {
    let tape = Tape::open(dir).unwrap();
    let mut seen = vec![];
    for queue in tape.queues() {
        let mut reader = tape.queue(queue, ReadOptions::default());
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(p) = record {
                seen.push((p.stamp.ns, p.queue, p.seq));
            }
        }
    }
    seen
}

fn merged(dir: &Path) -> Vec<Seen> {
    let mut reader = Tape::open(dir).unwrap().merged(ReadOptions::default());
    let mut seen = vec![];
    while let Some(record) = reader.next_record().unwrap() {
        if let Record::Packet(p) = record {
            seen.push((p.stamp.ns, p.queue, p.seq));
        }
    }
    seen
}

/// Writes queues of stamps, cut into segments of `per_segment`; the last one of each queue is left live.
fn write(dir: &Path, queues: &[Vec<u64>], per_segment: usize, size: usize) {
    let bytes = vec![5; size];
    for (queue, stamps) in (0_u16..).zip(queues) {
        let chunks: Vec<&[u64]> = stamps.chunks(per_segment).collect();
        let mut seq = 0;
        for (index, chunk) in (0_u32..).zip(&chunks) {
            let mut segment = Segment::new(queue, index, seq);
            for stamp in *chunk {
                segment.packet(*stamp, &bytes);
            }
            seq += chunk.len() as u64;
            if usize::try_from(index).unwrap() + 1 == chunks.len() {
                let len = segment.bytes.len().next_multiple_of(1 << 20) + 4096;
                segment.write_live(dir, len);
            } else {
                segment.end(0);
                segment.write(dir);
            }
        }
    }
}

#[test]
fn every_kind_of_record_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = one_of_each(3, 9, 40).seal(dir.path());
    for tape in [Tape::open(dir.path()).unwrap(), Tape::open(path).unwrap()] {
        let mut reader = tape.queue(3, ReadOptions::default());
        let mut kinds = String::new();
        while let Some(record) = reader.next_record().unwrap() {
            kinds.push(match record {
                Record::Interface { index, def, at } => {
                    assert_eq!((index, def.name.as_str(), at.queue, at.segment), (0, "eth0", 3, 9));
                    'i'
                }
                Record::Packet(p) => {
                    assert_eq!((p.queue, p.segment, p.link), (3, 9, LinkType::ETHERNET));
                    assert_eq!(p.arrival_ns, p.stamp.ns + 5);
                    assert_eq!(p.wire_len as usize, p.bytes.len() + 4);
                    assert_eq!(p.as_packet().lost_before, u64::from(p.seq % 7 == 3));
                    'p'
                }
                Record::Note { .. } => 'n',
                Record::Statistics { .. } => 's',
                Record::End { end, .. } => {
                    assert_eq!((end.packets, end.next_seq), (6, 46));
                    'e'
                }
            });
        }
        assert_eq!(kinds, "inpppppnnpse");
    }
}

#[test]
fn a_live_segment_cut_anywhere_shows_whole_records_only() {
    let dir = tempfile::tempdir().unwrap();
    let segment = one_of_each(0, 0, 0);
    let path = dir.path().join(segment.name());
    let mut last = 0;
    for committed in (0..=segment.bytes.len()).step_by(4) {
        // As a writer leaves it that was killed: the block under way has all its bytes, but for the first word.
        let mut bytes = segment.bytes[..committed].to_vec();
        bytes.resize(8192, 0);
        let starts = starts(&segment.bytes);
        if let Some(torn) = starts.iter().rfind(|s| **s < committed && next(&segment.bytes, **s) > committed)
        {
            bytes[*torn..*torn + 4].fill(0);
        }
        std::fs::write(&path, &bytes).unwrap();
        let seen = scan(dir.path());
        assert!(seen.len() >= last && seen.len() <= 6, "at {committed}");
        last = seen.len();
    }
    assert_eq!(last, 6);
}

fn next(bytes: &[u8], at: usize) -> usize {
    at + u32::from_le_bytes(*bytes[at + 4..].first_chunk().unwrap()) as usize
}

fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut all = vec![0];
    while next(bytes, *all.last().unwrap()) < bytes.len() {
        all.push(next(bytes, *all.last().unwrap()));
    }
    all
}

#[test]
fn damage_is_an_error_with_its_place_and_can_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = Segment::new(0, 0, 0);
    for n in 0..50 {
        segment.packet(100 + n, &vec![6; 50_000]);
    }
    segment.end(0);
    let blocks = starts(&segment.bytes);
    // A byte of a packet: only that packet is lost. A length: everything up to the next anchor.
    let (flip, cut) = (blocks[5], blocks[30]);
    let mut bytes = segment.bytes.clone();
    bytes[flip + 40] ^= 1;
    bytes[cut + 4] ^= 0xff;
    let path = segment.write(dir.path());
    std::fs::write(&path, bytes).unwrap();
    let tape = Tape::open(dir.path()).unwrap();
    let mut strict = tape.queue(0, ReadOptions::default());
    let damage = loop {
        match strict.step() {
            Ok(step) => assert_eq!(step, Step::Record),
            Err(ReadError::Damaged(damage)) => break damage,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!((damage.path.as_path(), damage.offset), (path.as_path(), flip as u64));
    assert!(matches!(damage.error, BlockError::Block(_)));
    let mut lenient = tape.queue(0, ReadOptions { on_damage: OnDamage::Skip, ..ReadOptions::default() });
    let mut seqs = vec![];
    while let Some(record) = lenient.next_record().unwrap() {
        if let Record::Packet(p) = record {
            seqs.push(p.seq);
        }
    }
    let offsets: Vec<u64> = lenient.damages().iter().map(|d| d.offset).collect();
    assert_eq!(offsets, [flip as u64, cut as u64]);
    let lost = |seq: &u64| *seq == 2 || (25..40).contains(seq);
    assert_eq!(seqs, (0..50).filter(|seq| !lost(seq)).collect::<Vec<_>>());
}

#[test]
fn following_goes_from_segment_to_segment_and_ends_where_the_capture_did() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = one_of_each(0, 0, 0);
    first.write_live(dir.path(), 1 << 16);
    let options = ReadOptions { follow: true, ..ReadOptions::default() };
    let mut reader = Tape::open(dir.path()).unwrap().queue(0, options);
    let mut seqs = vec![];
    let mut drain = |expected: Step| {
        loop {
            match reader.step().unwrap() {
                Step::Record => {
                    if let Some(Record::Packet(p)) = reader.record() {
                        seqs.push(p.seq);
                    }
                }
                step => {
                    assert_eq!(step, expected);
                    break seqs.len();
                }
            }
        }
    };
    assert_eq!(drain(Step::Wait), 6);
    first.packet(107, &[1; 20]);
    // In place, as the writer does it: the mapping stays the same file.
    rewrite(&dir.path().join(first.name()), &first.bytes);
    assert_eq!(drain(Step::Wait), 7);
    first.end(0);
    rewrite(&dir.path().join(first.name()), &first.bytes);
    assert_eq!(drain(Step::Wait), 7);
    let mut second = one_of_each(0, 1, 7);
    second.end(EndOfSegment::LAST);
    second.write(dir.path());
    assert_eq!(drain(Step::End), 13);
    assert_eq!(seqs, (0..13).collect::<Vec<_>>());
}

fn rewrite(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

#[test]
fn an_abandoned_segment_is_left_for_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    one_of_each(0, 0, 0).write_live(dir.path(), 1 << 16);
    // Only prepared: not a reason to leave.
    let mut second = Segment::new(0, 1, 6);
    second.write_live(dir.path(), 1 << 16);
    let options = ReadOptions { follow: true, ..ReadOptions::default() };
    let mut reader = Tape::open(dir.path()).unwrap().queue(0, options);
    let count = |reader: &mut wiretape::journal::reader::QueueReader| {
        let mut packets = 0;
        while reader.step().unwrap() == Step::Record {
            packets += u32::from(matches!(reader.record(), Some(Record::Packet(_))));
        }
        packets
    };
    assert_eq!(count(&mut reader), 6);
    second.packet(200, &[1; 60]);
    rewrite(&dir.path().join(second.name()), &second.bytes);
    assert_eq!(count(&mut reader), 1);
}

#[test]
fn a_quiet_queue_holds_the_others_back_only_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let mut quiet = Segment::new(0, 0, 0);
    quiet.packet(100, &[1; 60]);
    quiet.write_live(dir.path(), 1 << 16);
    let mut busy = Segment::new(1, 0, 0);
    for stamp in [101, 103] {
        busy.packet(stamp, &[1; 60]);
    }
    busy.write_live(dir.path(), 1 << 16);
    let options = ReadOptions { follow: true, hold_ns: 50, ..ReadOptions::default() };
    let mut merged = Tape::open(dir.path()).unwrap().merged(options);
    let mut step = |now: u64| loop {
        match merged.step(now).unwrap() {
            Step::Record => {
                if let Some(Record::Packet(p)) = merged.record() {
                    break Some(p.stamp.ns);
                }
            }
            _ => break None,
        }
    };
    assert_eq!(step(0), Some(100));
    assert_eq!(step(0), None, "the quiet queue may still write 100.5");
    assert_eq!(step(49), None);
    quiet.packet(101, &[1; 60]);
    rewrite(&dir.path().join(quiet.name()), &quiet.bytes);
    assert_eq!(step(49), Some(101), "ties go to the lower queue");
    assert_eq!(step(49), None, "101 of queue 1 is held for queue 0 again");
    assert_eq!(step(60), None);
    assert_eq!(step(99), Some(101));
    assert_eq!(step(99), None);
    assert_eq!(step(149), Some(103));
    assert_eq!(step(999), None);
}

#[test]
fn an_interface_described_later_is_known_behind_a_jump() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = Segment::new(0, 0, 0);
    segment.packet(100, &[1; 60]);
    segment.interface(&InterfaceDef::named("raw0", LinkType::RAW));
    for n in 0..100 {
        segment.packet_on(1, 101 + n, &vec![1; 50_000]);
    }
    segment.seal(dir.path());
    let tape = Tape::open(dir.path()).unwrap();
    let mut reader = RangeReader::open(&tape, TimeRange::new(190..191), ReadOptions::default()).unwrap();
    let mut found = vec![];
    while let Some(record) = reader.next_record().unwrap() {
        if let Record::Packet(p) = record {
            assert_eq!((p.link, p.bytes.len()), (LinkType::RAW, 50_000));
            found.push(p.stamp.ns);
        }
    }
    assert_eq!(found, [190]);
}

#[test]
fn a_short_range_of_a_long_tape_touches_little_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let stamps: Vec<u64> = (1..=4000).map(|n| n * 1_000_000_000).collect();
    write(dir.path(), &[stamps], 1500, 30_000);
    let tape = Tape::open(dir.path()).unwrap();
    let total: u64 = tape.segments().iter().map(|s| s.path.metadata().unwrap().len()).sum();
    assert!(total > 100 << 20);
    for at in [5, 1499, 1501, 2700, 3990] {
        let range = TimeRange::new(at * 1_000_000_000..(at + 2) * 1_000_000_000);
        let mut reader = RangeReader::open(&tape, range, ReadOptions::default()).unwrap();
        let mut packets = 0;
        while let Some(record) = reader.next_record().unwrap() {
            packets += u32::from(matches!(record, Record::Packet(_)));
        }
        let touched = reader.touched();
        assert_eq!(packets, 2);
        // The MiB where the range begins, read-ahead, anchors: not the tape.
        assert!(touched.bytes < 4 << 20, "{at}: {touched:?}");
        assert!(touched.blocks < 120, "{at}: {touched:?}");
    }
    assert_eq!(span(&tape).unwrap(), Some((1_000_000_000, 4_000_000_000_000)));
}

#[test]
fn what_is_no_tape_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tape::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("holds no journal"), "{error}");
    assert!(Tape::open(dir.path().join("nowhere")).is_err());
    let file = dir.path().join("text");
    std::fs::write(&file, "hello, this is text and not a segment at all").unwrap();
    assert!(Tape::open(&file).unwrap().merged(ReadOptions::default()).next_record().is_err());
}

/// Stamps that go up, and step back a little now and then.
fn stamps() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((0_u64..50, 0_u64..20), 0..120).prop_map(|steps| {
        let mut now = 1000;
        steps
            .into_iter()
            .map(|(forward, back)| {
                now += forward;
                now - back
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_merge_is_the_stable_sort_by_highest_stamp_so_far(
        queues in prop::collection::vec(stamps(), 1..5),
        per_segment in 1_usize..60,
    ) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &queues, per_segment, 40);
        prop_assume!(queues.iter().any(|q| !q.is_empty()));
        let mut keyed = vec![];
        for (queue, stamps) in (0_u16..).zip(&queues) {
            let mut key = 0;
            for (seq, stamp) in (0_u64..).zip(stamps) {
                key = key.max(*stamp);
                keyed.push((key, queue, (*stamp, queue, seq)));
            }
        }
        keyed.sort_by_key(|(key, queue, _)| (*key, *queue));
        let expected: Vec<Seen> = keyed.into_iter().map(|(_, _, seen)| seen).collect();
        prop_assert_eq!(merged(dir.path()), expected);
    }

    #[test]
    fn the_index_finds_what_a_scan_finds(
        queues in prop::collection::vec(stamps(), 1..3),
        begin in 900_u64..4000,
        len in 0_u64..1500,
        per_segment in 5_usize..60,
    ) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &queues, per_segment, 100_000);
        prop_assume!(queues.iter().any(|q| !q.is_empty()));
        let wanted = begin..begin + len;
        let tape = Tape::open(dir.path()).unwrap();
        let range = TimeRange { stamps_ns: wanted.clone(), margin_ns: 20 };
        let mut reader = RangeReader::open(&tape, range, ReadOptions::default()).unwrap();
        let mut found = vec![];
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(p) = record {
                found.push((p.stamp.ns, p.queue, p.seq));
            }
        }
        found.sort_by_key(|(_, queue, seq)| (*queue, *seq));
        let expected: Vec<Seen> =
            scan(dir.path()).into_iter().filter(|(ns, ..)| wanted.contains(ns)).collect();
        prop_assert_eq!(found, expected);
    }
}
