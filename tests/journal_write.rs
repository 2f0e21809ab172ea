//! What the writer puts on tape is what a slow, obvious twin says it should be.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use wiretape::clock::{Clock, ClockReading};
use wiretape::journal::format::decode::{self, Block};
use wiretape::journal::format::{MAX_PACKET_BYTES, MIB};
use wiretape::journal::manifest::Manifest;
use wiretape::journal::{Append, Event, EventKind, Journal, JournalOptions, Keeper, Note, Writer};
use wiretape::packet::{
    EpbFlags, Findings, InterfaceDef, Judgement, LinkType, Loss, LossPlace, Marks, Packet, Verdict,
};
use wiretape::time::{Stamp, StampClock};

const START_NS: u64 = 1_700_000_000_000_000_000;

fn options(dir: &Path) -> JournalOptions {
    let mut options = JournalOptions::new(dir);
    options.segment_bytes = 4 * MIB;
    options.os = "Linux test".into();
    options
}

fn packet(bytes: &[u8], n: u64) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap() + 4,
        stamp: Stamp::new(START_NS + n * 1000, StampClock::KERNEL_SOFTWARE),
        arrival_ns: START_NS + n * 1000 + 77,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags(EpbFlags::INBOUND),
        marks: Marks(Marks::VLAN_RESTORED),
        gso_size: 0,
        lost_before: n % 3,
    }
}

const JUDGED: Judgement = Judgement { verdict: Verdict::ACCEPTED, findings: Findings(Findings::GAP) };

/// Tries until the record is on tape, driving the keeper meanwhile.
fn until_written(keeper: &mut Keeper, mut append: impl FnMut() -> Append) {
    for _ in 0..1000 {
        match append() {
            Append::Written => return,
            Append::NotReady => {
                keeper.step();
            }
            Append::Full => panic!("{:?}", keeper.handle().stats()),
        }
    }
    panic!("never ready: {:?}", keeper.handle().stats());
}

/// What stands on tape, as far as the twin tells it.
#[derive(Debug, PartialEq, Clone)]
enum Told {
    Interface(String),
    Packet { seq: u64, bytes: Vec<u8>, lost: u64 },
    Note(Note),
}

/// Reads every segment of queue 0 in order, checks the layout, and tells its records. Interfaces repeated at
/// the top of a segment are told once.
fn read_back(dir: &Path) -> Vec<Told> {
    let mut told = Vec::new();
    let mut known = 0;
    for index in 0.. {
        let path = dir.join(wiretape::journal::format::segment_name(0, index));
        let Ok(bytes) = std::fs::read(&path) else { break };
        let (mut at, mut id, mut interfaces, mut ended) = (0, 0, 0, false);
        while at < bytes.len() {
            let (block, len) =
                decode::block(&bytes[at..], id).unwrap_or_else(|e| panic!("{} at {at}: {e}", path.display()));
            assert!(!ended, "nothing follows the end");
            assert!(at as u64 / MIB == (at + len - 1) as u64 / MIB, "block at {at} straddles a MiB");
            assert_eq!(
                at != 0 && (at as u64).is_multiple_of(MIB),
                matches!(block, Block::Anchor(_)),
                "{at}: each MiB begins with an anchor"
            );
            match block {
                Block::SegmentHeader(header) => {
                    id = header.segment_id;
                    assert_eq!(header.index, index);
                }
                Block::Interface(def) => {
                    interfaces += 1;
                    if interfaces > known {
                        known = interfaces;
                        told.push(Told::Interface(def.name));
                    }
                }
                Block::Packet(p) => {
                    assert!((p.interface as usize) < interfaces);
                    assert_eq!(p.judgement, JUDGED);
                    assert_eq!(p.arrival_ns, p.stamp.ns + 77);
                    assert_eq!(p.wire_len as usize, p.bytes.len() + 4);
                    told.push(Told::Packet { seq: p.seq, bytes: p.bytes.to_vec(), lost: p.lost_before });
                }
                Block::Loss(loss) => told.push(Told::Note(Note::Loss(loss))),
                Block::Clock(clock) => told.push(Told::Note(Note::Clock(clock))),
                Block::Event(event) => told.push(Told::Note(Note::Event(event))),
                Block::End(_) => ended = true,
                _ => {}
            }
            at += len;
        }
        assert!(ended, "{} is sealed", path.display());
    }
    told
}

#[derive(Debug, Clone)]
enum Op {
    Packet(usize),
    Interface,
    Event(usize),
    Loss,
    Clock,
    Rotate,
    Idle,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (0_usize..1600).prop_map(Op::Packet),
        6 => (0_usize..=70_000).prop_map(Op::Packet),
        1 => Just(Op::Packet(MAX_PACKET_BYTES)),
        1 => Just(Op::Interface),
        2 => (0_usize..1200).prop_map(Op::Event),
        1 => Just(Op::Loss),
        1 => Just(Op::Clock),
        1 => Just(Op::Rotate),
        1 => Just(Op::Idle),
    ];
    proptest::collection::vec(op, 1..400)
}

fn apply(op: &Op, n: u64, pool: &[u8], writer: &mut Writer, keeper: &mut Keeper, twin: &mut Vec<Told>) {
    let note = match op {
        Op::Packet(len) => {
            let start = usize::try_from(n).unwrap() % 1000;
            let p = packet(&pool[start..start + len], n);
            let seq = writer.packets();
            until_written(keeper, || writer.append(&p, JUDGED));
            twin.push(Told::Packet { seq, bytes: p.bytes.to_vec(), lost: p.lost_before });
            return;
        }
        Op::Interface => {
            let name = format!("if{n}");
            assert_eq!(
                writer.add_interface(&InterfaceDef::named(&name, LinkType::ETHERNET)),
                Append::Written
            );
            twin.push(Told::Interface(name));
            return;
        }
        Op::Rotate => return keeper.handle().rotate(),
        Op::Idle => {
            keeper.step();
            return writer.idle();
        }
        Op::Event(len) => Note::Event(Event {
            at_ns: n,
            kind: EventKind::WARNING,
            value: -3,
            text: "x".repeat((*len).min(Event::MAX_TEXT_BYTES)),
        }),
        Op::Loss => Note::Loss(Loss { place: LossPlace::RING, packets: n, from_ns: 1, to_ns: 2 }),
        Op::Clock => Note::Clock(ClockReading { realtime_ns: n, phc_ns: Some(3), ..ClockReading::default() }),
    };
    until_written(keeper, || writer.note(&note));
    twin.push(Told::Note(note));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn records_of_every_kind_and_size_read_back_in_order(ops in ops()) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("j");
        let (journal, recovery) = Journal::open(options(&dir)).unwrap();
        prop_assert!(recovery.is_clean());
        let (mut writers, mut keeper) = journal.start();
        let mut writer = writers.remove(0);
        assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
        let mut twin = vec![Told::Interface("eth0".into())];
        let pool: Vec<u8> = (0..MAX_PACKET_BYTES + 1000).map(|n| (n % 251).to_le_bytes()[0]).collect();
        for (n, op) in ops.iter().enumerate() {
            apply(op, n as u64, &pool, &mut writer, &mut keeper, &mut twin);
        }
        writer.finish(&[]);
        let report = keeper.finish();
        prop_assert_eq!(&report.events, &vec![]);
        prop_assert_eq!(read_back(&dir), twin);
        let manifest = Manifest::parse(&std::fs::read(dir.join("manifest")).unwrap()).unwrap();
        prop_assert!(manifest.lines.iter().all(|line| line.chain_holds));
        for sealed in manifest.kept() {
            let bytes = std::fs::read(dir.join(&sealed.name)).unwrap();
            prop_assert_eq!(bytes.len() as u64, sealed.size_bytes);
            prop_assert_eq!(*blake3::hash(&bytes).as_bytes(), sealed.blake3);
        }
    }
}

#[test]
fn a_record_that_can_never_be_written_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(options(&dir.path().join("j"))).unwrap();
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    let bytes = vec![0; MAX_PACKET_BYTES + 1];
    assert_eq!(writer.append(&packet(&bytes[..10], 0), JUDGED), Append::Full, "its interface is not known");
    assert_eq!(writer.add_interface(&InterfaceDef::named("a", LinkType::ETHERNET)), Append::Written);
    assert_eq!(writer.append(&packet(&bytes, 0), JUDGED), Append::Full, "it is too long");
    assert_eq!(keeper.handle().stats().refused, 2);
    writer.finish(&[]);
    keeper.finish();
}

#[test]
fn the_keeper_keeps_up_on_its_own_threads_and_seals_everything() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let mut opts = options(&dir);
    opts.queues = 2;
    let (journal, _) = Journal::open(opts).unwrap();
    let (writers, keeper) = journal.start();
    let handle = keeper.handle();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let report = std::thread::scope(|scope| {
        let kept = scope.spawn(|| keeper.run(&stop));
        let threads: Vec<_> = writers
            .into_iter()
            .map(|mut writer| {
                scope.spawn(move || {
                    assert_eq!(
                        writer.add_interface(&InterfaceDef::named("a", LinkType::ETHERNET)),
                        Append::Written
                    );
                    let bytes = [5; 1400];
                    for n in 0..10_000 {
                        while writer.append(&packet(&bytes, n), JUDGED) != Append::Written {
                            std::thread::yield_now();
                        }
                    }
                    writer.finish(&[]);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
        kept.join().unwrap()
    });
    assert_eq!(report.stats.state, wiretape::journal::State::Ok);
    assert_eq!(handle.durable().len(), 2);
    let packets: Vec<_> = read_back(&dir).into_iter().filter(|t| matches!(t, Told::Packet { .. })).collect();
    assert_eq!(packets.len(), 10_000);
    let manifest = Manifest::parse(&std::fs::read(dir.join("manifest")).unwrap()).unwrap();
    assert_eq!(manifest.kept().iter().map(|s| s.packets).sum::<u64>(), 20_000);
    assert_eq!(manifest.lines.len() as u64, report.stats.sealed);
    let mut names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| std::path::Path::new(name).extension().is_some_and(|e| e == "pcapng"));
    assert_eq!(names.len(), manifest.lines.len(), "what was prepared and not used is gone");
}

/// A clock that a test turns by hand, from any thread.
#[derive(Debug, Default)]
struct Hands(std::sync::atomic::AtomicU64);

impl Clock for Hands {
    fn now_ns(&self) -> u64 {
        START_NS + self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn segments_rotate_on_the_keepers_clock_and_retention_deletes_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let hands = Arc::new(Hands::default());
    let mut opts = options(&dir);
    opts.rotate = Some(std::time::Duration::from_secs(10));
    opts.retain_age = Some(std::time::Duration::from_secs(35));
    let (journal, _) = Journal::open_with_clock(opts, hands.clone()).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("a", LinkType::ETHERNET)), Append::Written);
    for n in 0..10 {
        until_written(&mut keeper, || writer.append(&packet(b"hello", n), JUDGED));
        hands.0.fetch_add(10_000_000_001, std::sync::atomic::Ordering::Relaxed);
        while keeper.step() {}
        writer.idle();
        while keeper.step() {}
    }
    writer.finish(&[]);
    let report = keeper.finish();
    assert_eq!(report.stats.sealed, 11, "ten of an interval each, and the one that was open at the end");
    let manifest = Manifest::parse(&std::fs::read(dir.join("manifest")).unwrap()).unwrap();
    assert!(manifest.lines.iter().all(|line| line.chain_holds));
    assert_eq!(report.stats.retired, 11 - manifest.kept().len() as u64);
    assert!((2..6).contains(&manifest.kept().len()), "{}", manifest.kept().len());
    for name in manifest.lines.iter().filter_map(|line| line.retired_name()) {
        assert!(!dir.join(name).exists());
    }
}

#[test]
fn a_segment_has_statistics_of_the_interfaces_that_it_describes_and_of_no_other() {
    // An interface whose description did not fit made the segment end, with statistics of that interface in it;
    // tshark and capinfos refuse a file whose statistics name an interface that it does not describe.
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let (journal, _) = Journal::open(options(&dir)).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    let mut def = InterfaceDef::named("a", LinkType::ETHERNET);
    assert_eq!(writer.add_interface(&def), Append::Written);
    until_written(&mut keeper, || writer.append(&packet(b"first", 0), JUDGED));
    let large = vec![5; 19_900];
    for n in 0..204 {
        // Fills the segment but for less than a long description takes.
        until_written(&mut keeper, || writer.append(&packet(&large, n), JUDGED));
    }
    def.filter = "udp port 4".repeat(300);
    for n in 0..300 {
        def.name = format!("b{n}");
        assert_eq!(writer.add_interface(&def), Append::Written);
    }
    while keeper.step() {}
    writer.finish(&[]);
    keeper.finish();
    let mut rolled = 0;
    for index in 0.. {
        let Ok(bytes) = std::fs::read(dir.join(wiretape::journal::format::segment_name(0, index))) else {
            break;
        };
        let (mut at, mut id, mut described) = (0, 0, 0);
        while at < bytes.len() {
            let (block, len) = decode::block(&bytes[at..], id).unwrap();
            match block {
                Block::SegmentHeader(header) => id = header.segment_id,
                Block::Interface(_) => described += 1,
                Block::Statistics(s) => assert!(s.interface < described, "segment {index}: {}", s.interface),
                _ => {}
            }
            at += len;
        }
        rolled = index;
    }
    assert!(rolled > 0, "the descriptions made it roll");
}

#[test]
fn a_roll_between_reserving_and_appending_waits_for_the_packet() {
    // The anchor that reserving had put promised the packet's stamp; then a roll put the segment's end there.
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let (journal, _) = Journal::open(options(&dir)).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("a", LinkType::ETHERNET)), Append::Written);
    for n in 0..200 {
        let packet = packet(&[5; 10_000], n);
        until_written(&mut keeper, || {
            writer.reserve(packet.bytes.len(), packet.interface, packet.lost_before, packet.stamp.ns)
        });
        while keeper.step() {}
        // The 104th of 10,076 bytes and more is the first behind the anchor at 1 MiB.
        if (103..106).contains(&n) {
            keeper.handle().rotate();
        }
        assert_eq!(writer.append(&packet, JUDGED), Append::Written);
        while keeper.step() {}
    }
    writer.finish(&[]);
    keeper.finish();
    let mut anchors = 0;
    for index in 0.. {
        let Ok(bytes) = std::fs::read(dir.join(wiretape::journal::format::segment_name(0, index))) else {
            break;
        };
        let (mut at, mut id, mut promised) = (0, 0, 0);
        while at < bytes.len() {
            let (block, len) = decode::block(&bytes[at..], id).unwrap();
            match block {
                Block::SegmentHeader(header) => id = header.segment_id,
                Block::Anchor(anchor) => {
                    anchors += 1;
                    promised = anchor.next_stamp_ns;
                }
                Block::Packet(p) => {
                    assert!(promised == 0 || promised == p.stamp.ns);
                    promised = 0;
                }
                _ => assert_eq!(promised, 0, "segment {index} at byte {at}"),
            }
            at += len;
        }
    }
    assert!(anchors > 0);
}
