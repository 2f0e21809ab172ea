//! The merge of one capture's queues is a function of the tape: whatever the interleaving in which records appeared, following
//! gives what reading later gives.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod journal_tape;

use journal_tape::Segment;
use proptest::prelude::*;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use wiretape::clock::ClockReading;
use wiretape::events::follow::Follower;
use wiretape::journal::Note;
use wiretape::journal::format::EndOfSegment;
use wiretape::journal::reader::{Merged, Record, Step, Tape, follow_capture};

/// What a queue's writer puts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Packet(u64),
    Reading(u64),
}

/// What the merge delivers: queue and record.
type Seen = (u16, Put);

fn put(segment: &mut Segment, what: Put) {
    match what {
        Put::Packet(stamp_ns) => segment.packet(stamp_ns, &[1; 60]),
        Put::Reading(realtime_ns) => {
            segment.note(&Note::Clock(ClockReading { realtime_ns, ..ClockReading::default() }));
        }
    }
}

/// Everything up to the live end or the end, and which of the two it was.
fn drain(merged: &mut Merged, seen: &mut Vec<Seen>) -> Step {
    loop {
        match merged.step(0).unwrap() {
            Step::Record => match merged.record() {
                Some(Record::Packet(p)) => seen.push((p.queue, Put::Packet(p.stamp.ns))),
                Some(Record::Note { note: Note::Clock(reading), at }) => {
                    seen.push((at.queue, Put::Reading(reading.realtime_ns)));
                }
                _ => {}
            },
            step => return step,
        }
    }
}

fn write_all(dir: &Path, queues: &[Vec<Put>]) {
    for (queue, records) in (0_u16..).zip(queues) {
        let mut segment = Segment::new(queue, 0, 0);
        for what in records {
            put(&mut segment, *what);
        }
        segment.end(EndOfSegment::LAST);
        segment.write(dir);
    }
}

fn offline(dir: &Path) -> Vec<Seen> {
    let captures = Tape::open(dir).unwrap().captures().unwrap();
    assert_eq!(captures.len(), 1);
    assert!(captures[0].has_beginning);
    let mut seen = Vec::new();
    assert_eq!(drain(&mut captures[0].merged(), &mut seen), Step::End);
    seen
}

/// Follows while the records appear in the order that `turns` gives; looks after each.
fn live(dir: &Path, queues: &[Vec<Put>], turns: &[usize]) -> Vec<Seen> {
    let mut segments: Vec<Segment> =
        (0_u16..).zip(queues).map(|(queue, _)| Segment::new(queue, 0, 0)).collect();
    let files: Vec<std::fs::File> = segments
        .iter()
        .map(|segment| {
            let path = segment.write_live(dir, 1 << 16);
            std::fs::OpenOptions::new().write(true).open(path).unwrap()
        })
        .collect();
    let mut merged = follow_capture(dir, &vec![0; queues.len()]).unwrap();
    let mut seen = Vec::new();
    let mut next = vec![0; queues.len()];
    let all =
        turns.iter().copied().chain((0..queues.len()).flat_map(|queue| vec![queue; queues[queue].len() + 1]));
    for turn in all {
        let queue = turn % queues.len();
        let Some(what) = queues[queue].get(next[queue]) else {
            if next[queue] == queues[queue].len() {
                segments[queue].end(EndOfSegment::LAST);
                files[queue].write_all_at(&segments[queue].bytes, 0).unwrap();
                next[queue] += 1;
            }
            continue;
        };
        next[queue] += 1;
        put(&mut segments[queue], *what);
        files[queue].write_all_at(&segments[queue].bytes, 0).unwrap();
        drain(&mut merged, &mut seen);
    }
    assert_eq!(drain(&mut merged, &mut seen), Step::End);
    seen
}

fn both(queues: &[Vec<Put>], turns: &[usize]) -> Vec<Seen> {
    let (sealed, followed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_all(sealed.path(), queues);
    let later = offline(sealed.path());
    assert_eq!(live(followed.path(), queues, turns), later);
    later
}

use Put::{Packet, Reading};

#[test]
fn readings_keep_queues_together_however_far_their_stamps_are_from_the_clock() {
    // Stamps of a NIC on TAI, readings on UTC.
    let queues = [
        vec![Reading(10), Packet(1010), Packet(1015), Reading(20), Packet(1021), Reading(30)],
        vec![Reading(10), Packet(1012), Reading(20), Reading(30), Packet(1031)],
    ];
    let expected = [
        (0, Reading(10)),
        (1, Reading(10)),
        (0, Packet(1010)),
        (1, Packet(1012)),
        (0, Packet(1015)),
        (0, Reading(20)),
        (1, Reading(20)),
        (0, Packet(1021)),
        (0, Reading(30)),
        (1, Reading(30)),
        (1, Packet(1031)),
    ];
    assert_eq!(both(&queues, &[0, 0, 0, 0, 0, 1, 1, 1]), expected);
    assert_eq!(both(&queues, &[1, 1, 1, 1, 1, 0, 0]), expected);
}

#[test]
fn a_quiet_queue_lets_the_others_on_with_its_next_reading() {
    let dir = tempfile::tempdir().unwrap();
    let (mut busy, mut quiet) = (Segment::new(0, 0, 0), Segment::new(1, 0, 0));
    for what in [Reading(10), Packet(11), Packet(12), Reading(20), Packet(21)] {
        put(&mut busy, what);
    }
    put(&mut quiet, Reading(10));
    busy.write_live(dir.path(), 1 << 16);
    let path = quiet.write_live(dir.path(), 1 << 16);
    let mut merged = follow_capture(dir.path(), &[0, 0]).unwrap();
    let mut seen = Vec::new();
    assert_eq!(drain(&mut merged, &mut seen), Step::Wait);
    assert_eq!(seen, [(0, Reading(10)), (1, Reading(10))], "the quiet queue may still write 10.5");
    put(&mut quiet, Reading(20));
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&quiet.bytes, 0).unwrap();
    assert_eq!(drain(&mut merged, &mut seen), Step::Wait);
    assert_eq!(seen[2..], [(0, Packet(11)), (0, Packet(12)), (0, Reading(20)), (1, Reading(20))]);
    merged.stop_following();
    assert_eq!(drain(&mut merged, &mut seen), Step::End);
    assert_eq!(seen[6..], [(0, Packet(21))], "what nobody can add to is delivered");
}

#[test]
fn a_queue_that_ended_or_lacks_a_reading_does_not_stop_the_others() {
    let ended =
        [vec![Reading(10), Packet(11)], vec![Reading(10), Packet(12), Reading(20), Packet(21), Reading(30)]];
    let seen = both(&ended, &[1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(
        seen[2..],
        [(0, Packet(11)), (1, Packet(12)), (1, Reading(20)), (1, Packet(21)), (1, Reading(30))]
    );
    let lacking = [
        vec![Reading(10), Packet(11), Packet(25), Reading(30)],
        vec![Reading(10), Reading(20), Packet(22), Reading(30)],
    ];
    let seen = both(&lacking, &[0, 0, 1, 1]);
    assert_eq!(
        seen[2..],
        [
            (0, Packet(11)),
            (0, Packet(25)),
            (1, Reading(20)),
            (1, Packet(22)),
            (0, Reading(30)),
            (1, Reading(30))
        ]
    );
}

#[test]
fn a_clock_that_was_set_back_keeps_the_queues_together() {
    let queues = [
        vec![Reading(1000), Packet(1001), Reading(500), Packet(501), Reading(510)],
        vec![Reading(1000), Reading(500), Packet(502), Reading(510)],
    ];
    let seen = both(&queues, &[1, 1, 0, 0, 0]);
    assert_eq!(
        seen[3..],
        [
            (0, Reading(500)),
            (1, Reading(500)),
            (0, Packet(501)),
            (1, Packet(502)),
            (0, Reading(510)),
            (1, Reading(510)),
        ]
    );
}

#[test]
fn packets_that_retention_deleted_before_events_were_made_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut second = Segment::new(0, 1, 50);
    second.packet(100, &[1; 60]);
    second.end(EndOfSegment::LAST);
    second.write(dir.path());
    let mut follower = Follower::new(follow_capture(dir.path(), &[0]).unwrap(), &[]);
    while follower.step(0).unwrap() == Step::Record {}
    assert_eq!((follower.packets(), follower.missed()), (1, 50));
    let captures = Tape::open(dir.path()).unwrap().captures().unwrap();
    assert!(!captures[0].has_beginning, "what is made later of it would differ, and is not compared");
}

/// A capture: seconds with a reading on each queue (now and then not), packets between, stamps that step back.
fn capture(queues: usize) -> impl Strategy<Value = Vec<Vec<Put>>> {
    let second = (prop::collection::vec((0_u64..1000, 0_u64..30), 0..6), prop::bool::weighted(0.9));
    let queue = prop::collection::vec(second, 0..6).prop_map(|seconds| {
        let mut records = Vec::new();
        for (second, (packets, has_reading)) in (1_u64..).zip(seconds) {
            if has_reading {
                records.push(Reading(second * 1000));
            }
            let mut at: Vec<u64> = packets.iter().map(|(at, _)| *at).collect();
            at.sort_unstable();
            let stamp = |(at, (_, back)): (&u64, &(u64, u64))| Packet(second * 1000 + at - back.min(at));
            records.extend(at.iter().zip(&packets).map(stamp));
        }
        records
    });
    prop::collection::vec(queue, queues)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn following_gives_what_reading_later_gives(
        queues in prop_oneof![capture(1), capture(2), capture(4)],
        turns in prop::collection::vec(0_usize..4, 0..80),
    ) {
        let seen = both(&queues, &turns);
        for (queue, records) in (0_u16..).zip(&queues) {
            let own: Vec<Put> = seen.iter().filter(|(q, _)| *q == queue).map(|(_, put)| *put).collect();
            prop_assert_eq!(&own, records, "each queue in its own order, nothing left out");
        }
    }
}
