//! A naive judge of MoldUDP64 frames, with sets instead of counters, against the answers.

use super::*;
use crate::lab::answers::LineAnswers;
use crate::lab::frame::{TPID_QINQ, TPID_VLAN, Tag};
use crate::lab::plan::{LinePlan, PlannedFault};
use pnet_packet::Packet;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::udp::{self, UdpPacket};
use std::collections::{BTreeMap, BTreeSet};

const FAULTS: [Fault; 10] = [
    Fault::Gap(7),
    Fault::Duplicate,
    Fault::Reorder,
    Fault::Short,
    Fault::Late,
    Fault::Damage(Damage::Checksum),
    Fault::Damage(Damage::Count),
    Fault::Damage(Damage::Length),
    Fault::Damage(Damage::Truncated),
    Fault::SessionChange,
];

fn plan(first_fault: u64) -> FeedPlan {
    let faults = (first_fault..).step_by(10).zip(FAULTS).map(|(at, fault)| PlannedFault::new(at, fault));
    FeedPlan { data_packets: 200, heartbeat_every: 16, faults: faults.collect(), ..FeedPlan::default() }
}

fn frames(plan: FeedPlan) -> (Vec<(Made, Vec<u8>)>, Answers) {
    let mut generator = FeedGenerator::new(plan).unwrap();
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    while let Some(made) = generator.next_frame(&mut frame) {
        frames.push((made, std::mem::take(&mut frame)));
    }
    assert!(generator.is_done());
    (frames, generator.answers().clone())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// The verdict on a frame, and session, sequence and count if it is sound up to MoldUDP64.
fn look(frame: &[u8], ip_at: usize) -> (&'static str, Option<(String, u64, u64)>) {
    let ip = &frame[ip_at..];
    let (udp, checksum) = if ip[0] >> 4 == 4 {
        let ip = Ipv4Packet::new(ip).unwrap();
        let udp = UdpPacket::new(&ip.packet()[20..]).unwrap();
        let sum = udp::ipv4_checksum(&udp, &ip.get_source(), &ip.get_destination());
        (ip.packet()[20..].to_vec(), sum)
    } else {
        let ip = Ipv6Packet::new(ip).unwrap();
        let udp = UdpPacket::new(&ip.packet()[40..]).unwrap();
        let sum = udp::ipv6_checksum(&udp, &ip.get_source(), &ip.get_destination());
        (ip.packet()[40..].to_vec(), sum)
    };
    assert_eq!(number(&udp[4..6]), udp.len() as u64);
    if number(&udp[6..8]) != u64::from(checksum) && (checksum != 0 || udp[6..8] != [0xff; 2]) {
        return ("udp-bad-checksum", None);
    }
    let mold = &udp[8..];
    if mold.len() < 20 {
        return ("mold-truncated", None);
    }
    let count = if mold[18..20] == [0xff; 2] { 0 } else { number(&mold[18..20]) };
    let place = (String::from_utf8(mold[..10].to_vec()).unwrap(), number(&mold[10..18]), count);
    let (mut rest, mut verdict) = (&mold[20..], "accepted");
    for _ in 0..count {
        let len = usize::try_from(number(&rest[..2])).unwrap();
        let Some(message) = rest.get(2..2 + len) else { return ("mold-bad-length", None) };
        let layout = match message[0] {
            b'S' => 12,
            b'R' => 39,
            b'A' | b'C' => 36,
            b'H' => 25,
            b'I' => 50,
            b'F' | b'Q' => 40,
            b'E' => 31,
            b'X' => 23,
            b'D' => 19,
            b'U' => 35,
            _ => 44,
        };
        if len < layout {
            verdict = "itch-short";
        }
        rest = &rest[2 + len..];
    }
    if rest.is_empty() { (verdict, Some(place)) } else { ("mold-bad-count", None) }
}

/// Judges a line with sets instead of counters, and compares everything with the answers.
fn check_line(frames: &[(u64, &[u8])], faults: &[Injected], answers: &LineAnswers, ip_at: usize) {
    let mut rejected = BTreeMap::new();
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let (mut duplicates, mut late, mut filled, mut idle) = (0, 0, 0, 0);
    for (index, frame) in frames {
        let (verdict, place) = look(frame, ip_at);
        if verdict != "accepted" {
            *rejected.entry(verdict).or_insert(0) += 1;
            let known = faults.iter().any(|f| f.frames.contains(index) && f.verdict == Some(verdict));
            assert!(known, "frame {index}: {verdict}");
        }
        let Some((session, sequence, count)) = place else { continue };
        idle += u64::from(count == 0);
        let seen = seen.entry(session.clone()).or_default();
        let news = (sequence..sequence + count).filter(|&n| seen.insert(n)).count() as u64;
        duplicates += count - news;
        let next = next.entry(session).or_insert(1);
        if news > 0 && sequence < *next {
            late += 1;
            filled += news;
        }
        *next = (*next).max(sequence + count);
    }
    assert_eq!(frames.len() as u64, answers.packets);
    assert_eq!(rejected, answers.rejected);
    assert_eq!(seen.values().map(BTreeSet::len).sum::<usize>() as u64, answers.messages);
    assert_eq!(seen.len() as u64, answers.sessions);
    assert_eq!((duplicates, late), (answers.duplicates, answers.out_of_order));
    assert_eq!(filled, answers.filled);
    assert_eq!(idle, answers.heartbeats + answers.end_packets);
    let holes: Vec<_> =
        seen.iter().flat_map(|(session, seen)| (1..next[session]).map(|n| seen.contains(&n))).collect();
    assert_eq!(holes.iter().filter(|&&came| !came).count() as u64, answers.missing_messages);
    let gaps = holes.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    assert_eq!(gaps as u64 + late, answers.gaps);
    assert_eq!(next[&answers.session], answers.next_sequence);
}

fn check(frames: &[(Made, Vec<u8>)], answers: &Answers, ip_at: usize) {
    assert_eq!(frames.len() as u64, answers.packets);
    assert_eq!(frames.iter().map(|(_, frame)| frame.len()).sum::<usize>() as u64, answers.bytes);
    assert!(frames.windows(2).all(|pair| pair[0].0.at_ns <= pair[1].0.at_ns), "frames come by time");
    for (number, line) in answers.lines.iter().enumerate() {
        let own: Vec<_> = (0..).zip(frames).filter(|(_, (made, _))| made.line == number).collect();
        let own: Vec<_> = own.into_iter().map(|(index, (_, frame))| (index, frame.as_slice())).collect();
        check_line(&own, &answers.faults, line, ip_at);
    }
}

#[test]
fn a_naive_judge_finds_exactly_what_the_answers_say() {
    for seed in 0..50 {
        let plan = FeedPlan { seed, ..plan(1 + seed) };
        let (frames, answers) = frames(plan);
        assert_eq!(answers.faults.len(), FAULTS.len());
        assert_eq!(answers.lines[0].rejected.len(), 5);
        check(&frames, &answers, 14);
    }
}

#[test]
fn two_lines_bring_the_same_messages_their_own_ways() {
    for seed in 0..30 {
        let second = LinePlan { delay_ns: 40_000, jitter_ns: 50_000, recut: true, ..LinePlan::usual(1) };
        let lines = vec![LinePlan { jitter_ns: 30_000, ..LinePlan::usual(0) }, second];
        let mut plan = FeedPlan { seed, lines, ..plan(5) };
        for (at, planned) in plan.faults.iter_mut().enumerate() {
            let of_a_line = planned.fault.is_of_a_line() && !at.is_multiple_of(3);
            planned.line = of_a_line.then_some(at % 2);
        }
        let (frames, answers) = frames(plan);
        check(&frames, &answers, 14);
        // A loss of one line is no loss of the feed: whatever one line misses the other brings, but for the gap on both.
        let mut sent: BTreeSet<(String, u64)> = BTreeSet::new();
        for (_, frame) in &frames {
            if let (_, Some((session, first, count))) = look(frame, 14) {
                sent.extend((first..first + count).map(|number| (session.clone(), number)));
            }
        }
        let both: u64 =
            answers.faults.iter().filter(|f| f.fault == "gap" && f.line.is_none()).map(|f| f.messages).sum();
        let all: u64 = answers.lines[0].messages + answers.lines[0].missing_messages;
        assert_eq!(sent.len() as u64, all - both);
    }
}

#[test]
fn tags_and_ipv6_change_the_headers_only() {
    let (reference, answers) = frames(plan(3));
    let tags = vec![Tag { tpid: TPID_QINQ, tci: 7 }, Tag { tpid: TPID_VLAN, tci: 0xe009 }];
    let line = LinePlan {
        source: "fd00::1".parse().unwrap(),
        group: "ff15::42".parse().unwrap(),
        ..LinePlan::usual(0)
    };
    let (frames, other) = frames(FeedPlan { tags, lines: vec![line], ..plan(3) });
    check(&frames, &other, 22);
    assert_eq!((other.lines[0].messages, &other.faults), (answers.lines[0].messages, &answers.faults));
    assert!(frames.iter().zip(&reference).all(|((_, a), (_, b))| a[22 + 48..] == b[14 + 28..]));
}

#[test]
fn the_same_plan_gives_the_same_frames_and_another_seed_others() {
    assert_eq!(frames(plan(3)), frames(plan(3)));
    assert_ne!(frames(plan(3)).0, frames(FeedPlan { seed: 2, ..plan(3) }).0);
}

#[test]
fn a_plan_that_could_not_be_judged_is_refused() {
    let with = |faults: &[(u64, Fault)]| {
        let faults = faults.iter().map(|&(at, fault)| PlannedFault::new(at, fault)).collect();
        FeedGenerator::new(FeedPlan { data_packets: 20, faults, ..FeedPlan::default() }).map(drop)
    };
    assert_eq!(with(&[(5, Fault::Gap(1)), (5, Fault::Gap(1)), (19, Fault::Duplicate)]), Ok(()));
    assert_eq!(with(&[(5, Fault::Gap(1)), (4, Fault::Duplicate)]), Err(PlanError::Order { index: 1 }));
    assert_eq!(with(&[(0, Fault::Duplicate)]), Err(PlanError::Place { index: 0, at: 0, last: 19 }));
    assert_eq!(with(&[(20, Fault::Duplicate)]), Err(PlanError::Place { index: 0, at: 20, last: 19 }));
    assert_eq!(with(&[(5, Fault::Differs)]), Err(PlanError::Kind { index: 0, name: "differs" }));
    assert_eq!(with(&[(5, Fault::SentBack)]), Err(PlanError::Kind { index: 0, name: "sent-back" }));
    let line = LinePlan { group: "ff15::42".parse().unwrap(), ..LinePlan::usual(0) };
    let mixed = FeedPlan { lines: vec![line], ..FeedPlan::default() };
    assert_eq!(FeedGenerator::new(mixed).map(drop), Err(PlanError::Family));
}
