//! A MoldUDP64 feed of ITCH 5.0 messages with planned faults, and the list of what a judge must find in it.
//!
//! Pure and deterministic: the same plan gives the same frames. The feed is built data packet
//! by data packet; a [`Fault`] is tied to the number of one. Whatever is made is written
//! down at once in [`Answers`], so they are right for as many frames as were taken.
//!
//! How faults and sequence numbers go together:
//! - a packet of a gap takes its numbers and is never made into a frame;
//! - a packet with a short ITCH message is soundly framed: its numbers are used, its verdict is bad;
//! - a frame damaged below that is an extra, bad copy, sent before the sound one: it uses no numbers.

use super::answers::{Answers, Injected};
use super::frame::UdpFrame;
use super::market::Market;
use super::plan::{Fault, FeedPlan, PlanError};
use super::random::SplitMix64;
use crate::feed::moldudp64::{self, Encoder, Session};
use crate::packet::Verdict;
use std::collections::VecDeque;

/// Makes the frames of a plan, one a call.
#[derive(Debug)]
pub struct FeedGenerator {
    plan: FeedPlan,
    header: UdpFrame,
    random: SplitMix64,
    market: Market,
    session: u32,
    next_sequence: u64,
    /// Number of the next data packet.
    packet: u64,
    /// Index of the next fault.
    fault: usize,
    ended: bool,
    ready: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    held: Option<Vec<u8>>,
    payload: Vec<u8>,
    made: u64,
    answers: Answers,
}

impl FeedGenerator {
    /// Checks the plan.
    ///
    /// # Errors
    /// [`PlanError`], naming the fault that cannot be.
    pub fn new(plan: FeedPlan) -> Result<Self, PlanError> {
        plan.check()?;
        let header = UdpFrame {
            source_mac: [2, 0, 0, 0, 0, 1],
            tags: plan.tags.clone(),
            source: plan.source,
            destination: plan.group,
            source_port: plan.port,
            port: plan.port,
        };
        Ok(Self {
            header,
            random: SplitMix64::new(plan.seed),
            market: Market::new(!plan.seed, plan.symbols),
            session: plan.first_session,
            next_sequence: 1,
            packet: 0,
            fault: 0,
            ended: false,
            ready: VecDeque::new(),
            spare: Vec::new(),
            held: None,
            payload: Vec::new(),
            made: 0,
            answers: Answers::new(plan.seed, plan.group, plan.port),
            plan,
        })
    }

    /// Appends the next frame; `false` if there is none.
    pub fn next_frame(&mut self, out: &mut Vec<u8>) -> bool {
        while self.ready.is_empty() && !self.ended {
            self.step();
        }
        let Some(frame) = self.ready.pop_front() else { return false };
        out.extend_from_slice(&frame);
        self.spare.push(frame);
        true
    }

    /// What a judge must find in the frames made so far (all of them, once [`FeedGenerator::next_frame`] said `false`).
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The next data packet with its fault and the heartbeat after it, or the end.
    fn step(&mut self) {
        if self.packet == self.plan.data_packets {
            self.end();
            return;
        }
        let at = self.packet;
        self.packet += 1;
        let planned = self.plan.faults.get(self.fault).filter(|planned| planned.at == at).map(|p| p.fault);
        self.fault += usize::from(planned.is_some());
        if planned == Some(Fault::SessionChange) {
            self.session = self.session.wrapping_add(1);
            self.next_sequence = 1;
        }
        let first_sequence = self.next_sequence;
        let messages = self.data_payload(planned);
        if let Some(fault) = planned {
            self.inject(fault, first_sequence, messages);
        }
        if !matches!(planned, Some(Fault::Gap(_) | Fault::Reorder)) {
            self.data_frame(messages);
            if let Some(late) = self.held.take() {
                self.emit(late);
            }
            if self.plan.heartbeat_every != 0 && self.packet.is_multiple_of(self.plan.heartbeat_every) {
                self.heartbeat();
            }
        }
    }

    /// Makes the payload of the next data packet; answers how many messages it has.
    fn data_payload(&mut self, planned: Option<Fault>) -> u16 {
        let last = self.packet == self.plan.data_packets;
        let messages = match planned {
            Some(Fault::Gap(messages)) => messages.max(1),
            _ => u16::try_from(self.random.between(2, u32::from(self.plan.max_messages))).unwrap_or(2),
        };
        let short = (planned == Some(Fault::ItchShort)).then_some(messages / 2);
        self.payload.clear();
        let mut packet = Encoder::begin(&mut self.payload, session_bytes(self.session), self.next_sequence);
        for index in 0..messages {
            let closing = if last { messages - 1 - index } else { u16::MAX };
            packet.message_with(|out| {
                match closing {
                    0 => self.market.event(b'C', out),
                    1 => self.market.event(b'M', out),
                    _ => self.market.say(out),
                }
                if short == Some(index) {
                    out.pop();
                }
            });
        }
        packet.finish();
        self.next_sequence += u64::from(messages);
        messages
    }

    /// Does a fault to the payload that was just made, and writes it down.
    fn inject(&mut self, fault: Fault, sequence: u64, messages: u16) {
        let answers = &mut self.answers;
        answers.faults.push(Injected {
            fault: fault.name(),
            frame: self.made,
            session: session_name(self.session),
            sequence,
            messages: u64::from(messages),
            verdict: fault.verdict().map(Verdict::name),
        });
        if let Some(verdict) = fault.verdict() {
            *answers.rejected.entry(verdict.name()).or_default() += 1;
        }
        match fault {
            Fault::Gap(_) => {
                answers.gaps += 1;
                answers.missing_messages += u64::from(messages);
            }
            Fault::Duplicate => {
                answers.duplicates += u64::from(messages);
                let copy = self.frame_of_payload();
                self.emit(copy);
            }
            Fault::Reorder => {
                answers.gaps += 1;
                answers.out_of_order += 1;
                answers.filled += u64::from(messages);
                answers.data(messages);
                self.held = Some(self.frame_of_payload());
            }
            Fault::SessionChange => answers.sessions += 1,
            Fault::ItchShort => {}
            Fault::UdpChecksum => {
                let mut copy = self.frame_of_payload();
                let at = self.header.header_len() - 2;
                // Neither form of zero, and not the right one.
                let wrong = u16::from_be_bytes([copy[at], copy[at + 1]]) ^ 0x0180;
                let wrong = if wrong == 0 { 0x5555 } else { wrong };
                copy[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
                self.emit(copy);
            }
            Fault::MoldCount => {
                self.damaged_copy(|payload| {
                    let count = u16::from_be_bytes([payload[18], payload[19]]) - 1;
                    payload[18..20].copy_from_slice(&count.to_be_bytes());
                });
            }
            Fault::MoldLength => {
                self.damaged_copy(|payload| {
                    payload.pop();
                });
            }
            Fault::MoldTruncated => self.damaged_copy(|payload| payload.truncate(moldudp64::HEADER_LEN - 7)),
        }
    }

    /// Emits a frame with right lengths and checksums around a payload that `damage` changed.
    fn damaged_copy(&mut self, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut damaged = self.payload.clone();
        damage(&mut damaged);
        std::mem::swap(&mut self.payload, &mut damaged);
        let copy = self.frame_of_payload();
        self.payload = damaged;
        self.emit(copy);
    }

    fn data_frame(&mut self, messages: u16) {
        self.answers.data(messages);
        let frame = self.frame_of_payload();
        self.emit(frame);
    }

    /// A heartbeat, or the end of the session: the next sequence number without messages.
    fn control_frame(&mut self, write: fn(&mut Vec<u8>, Session, u64)) {
        self.payload.clear();
        write(&mut self.payload, session_bytes(self.session), self.next_sequence);
        let frame = self.frame_of_payload();
        self.emit(frame);
    }

    fn heartbeat(&mut self) {
        self.answers.heartbeats += 1;
        self.control_frame(moldudp64::heartbeat);
    }

    fn end(&mut self) {
        self.heartbeat();
        for _ in 0..self.plan.end_packets {
            self.answers.end_packets += 1;
            self.control_frame(moldudp64::end_of_session);
        }
        self.ended = true;
    }

    fn frame_of_payload(&mut self) -> Vec<u8> {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.clear();
        let ident = u16::try_from(self.made & 0xffff).unwrap_or(0);
        self.header.append(&mut frame, ident, |out| out.extend_from_slice(&self.payload));
        frame
    }

    fn emit(&mut self, frame: Vec<u8>) {
        self.made += 1;
        self.answers.packets += 1;
        self.answers.bytes += frame.len() as u64;
        self.answers.session = session_name(self.session);
        self.answers.next_sequence = self.next_sequence;
        self.ready.push_back(frame);
    }
}

/// Ten digits.
fn session_name(session: u32) -> String {
    format!("{session:010}")
}

/// The same on the wire.
fn session_bytes(session: u32) -> Session {
    let mut bytes = Session::default();
    for (byte, digit) in bytes.iter_mut().zip(session_name(session).bytes()) {
        *byte = digit;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::frame::{TPID_QINQ, TPID_VLAN, Tag};
    use crate::lab::plan::PlannedFault;
    use pnet_packet::Packet;
    use pnet_packet::ipv4::Ipv4Packet;
    use pnet_packet::ipv6::Ipv6Packet;
    use pnet_packet::udp::{self, UdpPacket};
    use std::collections::{BTreeMap, BTreeSet};

    const EVERY_FAULT: [Fault; 9] = [
        Fault::Gap(7),
        Fault::Duplicate,
        Fault::Reorder,
        Fault::ItchShort,
        Fault::UdpChecksum,
        Fault::MoldCount,
        Fault::MoldLength,
        Fault::MoldTruncated,
        Fault::SessionChange,
    ];

    fn plan(first_fault: u64) -> FeedPlan {
        let faults =
            (first_fault..).step_by(10).zip(EVERY_FAULT).map(|(at, fault)| PlannedFault { at, fault });
        FeedPlan { data_packets: 200, heartbeat_every: 16, faults: faults.collect(), ..FeedPlan::default() }
    }

    fn frames(plan: FeedPlan) -> (Vec<Vec<u8>>, Answers) {
        let mut generator = FeedGenerator::new(plan).unwrap();
        let mut frames = Vec::new();
        let mut frame = Vec::new();
        while generator.next_frame(&mut frame) {
            frames.push(std::mem::take(&mut frame));
        }
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
                b'F' => 40,
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

    /// Judges with sets instead of counters, and compares everything with the answers.
    fn check(frames: &[Vec<u8>], answers: &Answers, ip_at: usize) {
        let mut rejected = BTreeMap::new();
        let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let mut next: BTreeMap<String, u64> = BTreeMap::new();
        let (mut duplicates, mut late, mut filled, mut idle) = (0, 0, 0, 0);
        for (index, frame) in frames.iter().enumerate() {
            let (verdict, place) = look(frame, ip_at);
            if verdict != "accepted" {
                *rejected.entry(verdict).or_insert(0) += 1;
                let known =
                    answers.faults.iter().any(|f| f.frame == index as u64 && f.verdict == Some(verdict));
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
        assert_eq!(frames.iter().map(Vec::len).sum::<usize>() as u64, answers.bytes);
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

    #[test]
    fn a_naive_judge_finds_exactly_what_the_answers_say() {
        for seed in 0..50 {
            let plan = FeedPlan { seed, ..plan(1 + seed) };
            let (frames, answers) = frames(plan);
            assert_eq!(answers.faults.len(), EVERY_FAULT.len());
            assert_eq!(answers.rejected.len(), 5);
            check(&frames, &answers, 14);
        }
    }

    #[test]
    fn tags_and_ipv6_change_the_headers_only() {
        let (reference, answers) = frames(plan(3));
        let tags = vec![Tag { tpid: TPID_QINQ, tci: 7 }, Tag { tpid: TPID_VLAN, tci: 0xe009 }];
        let tagged = FeedPlan {
            tags,
            source: "fd00::1".parse().unwrap(),
            group: "ff15::42".parse().unwrap(),
            ..plan(3)
        };
        let (frames, other) = frames(tagged);
        check(&frames, &other, 22);
        assert_eq!((other.messages, &other.faults), (answers.messages, &answers.faults));
        assert!(frames.iter().zip(&reference).all(|(a, b)| a[22 + 48..] == b[14 + 28..]));
    }

    #[test]
    fn the_same_plan_gives_the_same_frames_and_another_seed_others() {
        assert_eq!(frames(plan(3)), frames(plan(3)));
        assert_ne!(frames(plan(3)).0, frames(FeedPlan { seed: 2, ..plan(3) }).0);
    }

    #[test]
    fn a_plan_that_could_not_be_judged_is_refused() {
        let with = |faults: &[(u64, Fault)]| {
            let faults = faults.iter().map(|&(at, fault)| PlannedFault { at, fault }).collect();
            FeedGenerator::new(FeedPlan { data_packets: 20, faults, ..FeedPlan::default() }).map(drop)
        };
        assert_eq!(with(&[(5, Fault::Gap(1)), (7, Fault::Gap(1)), (19, Fault::Duplicate)]), Ok(()));
        assert_eq!(with(&[(5, Fault::Gap(1)), (5, Fault::Duplicate)]), Err(PlanError::Order { index: 1 }));
        assert_eq!(with(&[(0, Fault::Duplicate)]), Err(PlanError::Place { index: 0, at: 0, last: 19 }));
        assert_eq!(with(&[(20, Fault::Duplicate)]), Err(PlanError::Place { index: 0, at: 20, last: 19 }));
        assert_eq!(with(&[(19, Fault::Gap(1))]), Err(PlanError::Neighbour { index: 0, name: "gap" }));
        assert_eq!(
            with(&[(5, Fault::Reorder), (6, Fault::Gap(1))]),
            Err(PlanError::Neighbour { index: 0, name: "reorder" })
        );
        let mixed = FeedPlan { group: "ff15::42".parse().unwrap(), ..FeedPlan::default() };
        assert_eq!(FeedGenerator::new(mixed).map(drop), Err(PlanError::Family));
    }
}
