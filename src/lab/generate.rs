//! A feed of one line or more with planned faults, and the list of what a judge must find in it.
//!
//! Pure and deterministic: the same plan gives the same frames. The feed is published data packet by
//! data packet, at times that the plan's rhythm gives; each line takes the packet its own way. A [`Fault`] is tied to the
//! number of a data packet, and begins only when the one before has settled: publishing pauses for a few hold times
//! between two faults, so that no fault can hide another. Whatever is made is written down at once in [`Answers`].
//!
//! How faults and sequence numbers go together:
//! - a packet of a gap takes its numbers and is never made into a frame on the lines that lose it;
//! - a packet with a short ITCH message is soundly framed: its numbers are used, its verdict is bad;
//! - a frame damaged below that is an extra, bad copy, sent before the sound one: it uses no numbers;
//! - what no line brings says nothing of orders: no later message depends on it.

use super::answers::{Answers, Injected};
use super::fault::{Damage, Fault};
use super::flow::{Flow, Head, Messages, flow, mold_session};
use super::line::{Line, Way};
use super::market::Wish;
use super::outbox::{Outbox, Posted};
use super::plan::{FeedPlan, PlanError, PlannedFault};
use super::random::SplitMix64;
use crate::events::rules::Rule;
use crate::feed::FeedProtocol;
use crate::packet::Verdict;
use std::ops::Range;

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;
/// From an event at the exchange until its packet leaves, ns.
const PUBLISHING_NS: u64 = 2_000;
/// How far a stamp steps back, ns.
const STAMP_BACK_NS: u64 = 1_000_000;

/// A frame that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// When it arrives, ns since the Unix epoch; never before the one before.
    pub at_ns: u64,
    /// What its stamp is to say: the same, but for [`Fault::StampBack`].
    pub stamp_ns: u64,
    /// Index of its line.
    pub line: usize,
}

/// Makes the frames of a plan, one a call.
#[derive(Debug)]
pub struct FeedGenerator {
    plan: FeedPlan,
    random: SplitMix64,
    flow: Box<dyn Flow>,
    lines: Vec<Line>,
    outbox: Outbox,
    /// When the next packet leaves, ns since the Unix epoch.
    now_ns: u64,
    head: Head,
    /// Number of the next data packet.
    packet: u64,
    /// Index of the next fault.
    fault: usize,
    /// Data packets that must go as usual before the next fault.
    unsettled: u32,
    /// No fault before then, ns.
    quiet_until_ns: u64,
    /// The crossed book is uncrossed then, ns.
    crossed_until_ns: Option<u64>,
    /// Lost data packets of [`Fault::GapBetween`] still to come.
    between: u32,
    ended: bool,
    messages: Messages,
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
        let lines = plan.lines.iter().enumerate().map(|(number, line)| Line::new(&plan, number, line));
        Ok(Self {
            random: SplitMix64::new(plan.seed),
            flow: flow(&plan),
            lines: lines.collect(),
            outbox: Outbox::default(),
            now_ns: plan.start_ns,
            head: Head { session: plan.first_session, first: 1, ..Head::default() },
            packet: 0,
            fault: 0,
            unsettled: 0,
            quiet_until_ns: 0,
            crossed_until_ns: None,
            between: 0,
            ended: false,
            messages: Messages::default(),
            payload: Vec::new(),
            made: 0,
            answers: Answers::new(&plan),
            plan,
        })
    }

    /// Appends the next frame; `None` if there is none.
    pub fn next_frame(&mut self, out: &mut Vec<u8>) -> Option<Made> {
        loop {
            // Nothing that is still to be published arrives before it is published.
            let horizon_ns = if self.ended { u64::MAX } else { self.now_ns };
            if let Some(posted) = self.outbox.next_before(horizon_ns) {
                return Some(self.deliver(posted, out));
            }
            if self.ended {
                return None;
            }
            self.step();
        }
    }

    /// What a judge must find in all frames: right once [`FeedGenerator::next_frame`] said `None`.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// True once every frame was made.
    pub fn is_done(&self) -> bool {
        self.ended && self.outbox.is_empty()
    }

    /// The plan.
    pub fn plan(&self) -> &FeedPlan {
        &self.plan
    }

    fn deliver(&mut self, posted: Posted, out: &mut Vec<u8>) -> Made {
        let Posted { at_ns, stamp_ns, line, fault, bytes } = posted;
        if let Some(fault) = fault.and_then(|fault| self.answers.faults.get_mut(fault)) {
            fault.frames.push(self.made);
        }
        self.made += 1;
        self.answers.packets += 1;
        self.answers.bytes += bytes.len() as u64;
        self.answers.lines[line].packets += 1;
        out.extend_from_slice(&bytes);
        self.outbox.give_back(bytes);
        Made { at_ns, stamp_ns, line }
    }

    /// The next data packet with its fault and the heartbeat after it, or the end.
    fn step(&mut self) {
        let busy =
            self.crossed_until_ns.is_some() || self.lines.iter().any(|line| line.dead_until_ns.is_some());
        let waiting = self.fault < self.plan.faults.len() || self.unsettled > 0 || busy;
        if self.packet >= self.plan.data_packets && !waiting {
            self.end();
            return;
        }
        self.revive();
        let planned = if busy { None } else { self.due_fault() };
        if let Some(planned) = planned {
            self.fault += 1;
            self.before(planned.fault);
        }
        self.publish(planned);
        if let Some(planned) = planned {
            self.after(planned);
        } else if self.unsettled > 0 {
            self.unsettled -= 1;
            self.quiet_until_ns = self.now_ns + self.settling_ns();
        }
        // Not among packets that belong together, and not before a new space has begun with messages.
        if self.unsettled == 0
            && self.plan.heartbeat_every != 0
            && self.packet.is_multiple_of(self.plan.heartbeat_every)
        {
            self.heartbeat();
        }
        let spacing_ns = self.plan.rhythm.spacing_ns(self.packet, &mut self.random);
        // What is out of order must be so within the hold time.
        let short_ns = self.hold_ns() / 8;
        self.now_ns += if self.unsettled > 0 { spacing_ns.min(short_ns) } else { spacing_ns }.max(1);
    }

    /// The next fault, if its time has come. If it has but the one before has not settled, publishing pauses, and one
    /// packet goes as usual.
    fn due_fault(&mut self) -> Option<PlannedFault> {
        let planned = *self.plan.faults.get(self.fault)?;
        let ready = planned.fault.wish().is_none() || self.flow.is_open();
        if planned.at > self.packet || self.unsettled > 0 || !ready {
            return None;
        }
        if self.now_ns < self.quiet_until_ns {
            self.now_ns = self.quiet_until_ns;
            return None;
        }
        Some(planned)
    }

    fn hold_ns(&self) -> u64 {
        u64::from(self.plan.limits.hold_ms.max(1)) * NS_PER_MS
    }

    /// Long enough for a gap to be declared whatever the lines' ways.
    fn settling_ns(&self) -> u64 {
        let slowest = self.plan.lines.iter().map(|line| line.delay_ns + line.jitter_ns).max().unwrap_or(0);
        2 * self.hold_ns() + slowest
    }

    /// What must be before the packet with the fault is published.
    fn before(&mut self, fault: Fault) {
        let limits = self.plan.limits;
        match fault {
            Fault::SessionChange | Fault::Restart => {
                // What the slowest line still brings of the old space must not come into the new one.
                self.now_ns += self.settling_ns();
                self.head.session = self.head.session.wrapping_add(u32::from(fault == Fault::SessionChange));
                (self.head.first, self.head.offset) = (1, 0);
                self.flow.reopen();
                for (line, answers) in self.lines.iter_mut().zip(&mut self.answers.lines) {
                    line.begin_space(answers);
                }
            }
            Fault::HeartbeatMissing => self.now_ns += exceeded_ns(limits.heartbeat_ms),
            Fault::Silence => {
                let end_ns = self.now_ns + exceeded_ns(limits.silence_ms);
                let every_ns = u64::from(limits.heartbeat_ms.min(limits.line_dead_ms).max(3)) * NS_PER_MS / 3;
                while self.now_ns + every_ns < end_ns {
                    self.now_ns += every_ns;
                    self.heartbeat();
                }
                self.now_ns = end_ns;
            }
            _ => {}
        }
    }

    /// What must be after it.
    fn after(&mut self, planned: PlannedFault) {
        let limits = self.plan.limits;
        self.unsettled = planned.fault.span();
        self.quiet_until_ns = self.now_ns + self.settling_ns();
        match planned.fault {
            Fault::GapBetween => self.between = 2,
            Fault::Dead => {
                let until_ns = self.now_ns + exceeded_ns(limits.line_dead_ms);
                if let Some(line) = planned.line.and_then(|line| self.lines.get_mut(line)) {
                    line.dead_until_ns = Some(until_ns);
                }
            }
            Fault::BookCrossed => self.crossed_until_ns = Some(self.now_ns + exceeded_ns(limits.crossed_ms)),
            Fault::Late => {
                self.unsettled = 1;
                self.quiet_until_ns += 4 * self.hold_ns();
            }
            Fault::Future => self.now_ns += exceeded_ns(limits.future_ms),
            _ => {}
        }
    }

    /// Dead lines come back when their time is over.
    fn revive(&mut self) {
        for line in &mut self.lines {
            if line.dead_until_ns.is_some_and(|until_ns| self.now_ns >= until_ns) {
                line.dead_until_ns = None;
                self.unsettled = 2;
            }
        }
    }

    /// Publishes a data packet on all lines.
    fn publish(&mut self, planned: Option<PlannedFault>) {
        let ways: Vec<Way> = (0..self.lines.len()).map(|line| self.way(line, planned)).collect();
        let fault = planned.map(|planned| planned.fault);
        let short = self.fill(fault, &ways);
        let units = self.flow.units(self.messages.len());
        let sent_ns = self.now_ns;
        self.head.sent_ns = match fault {
            Some(Fault::Future) => sent_ns + exceeded_ns(self.plan.limits.future_ms),
            Some(Fault::SentBack) => self.head.sent_ns.saturating_sub(1_000),
            _ => sent_ns,
        };
        if fault == Some(Fault::Stale) {
            self.now_ns += exceeded_ns(self.plan.limits.stale_ms);
        }
        let noted = planned.map(|planned| self.note(planned, units));
        let offset = self.head.offset;
        let mut bytes = 0;
        for (index, way) in ways.iter().enumerate() {
            // What is too old or too young is so once a datagram.
            let whole = matches!(fault, Some(Fault::Stale | Fault::Future));
            bytes = self.send(index, *way, noted, short, whole);
        }
        self.head.offset = offset + bytes;
        self.head.first += units;
        self.packet += 1;
        for answers in &mut self.answers.lines {
            answers.next_sequence = self.head.first;
        }
    }

    fn way(&mut self, line: usize, planned: Option<PlannedFault>) -> Way {
        if self.lines[line].dead_until_ns.is_some() {
            return Way::Lost;
        }
        let Some(planned) = planned else {
            // The second of three packets is lost on both lines, the third on the second line only.
            let lost = match self.between {
                2 => line < 2,
                1 => line == 1,
                _ => false,
            };
            if line + 1 == self.lines.len() {
                self.between = self.between.saturating_sub(1);
            }
            return if lost { Way::Lost } else { Way::Usual };
        };
        let here = planned.line.is_none_or(|at| at == line);
        match planned.fault {
            Fault::Gap(_) | Fault::Dead if here => Way::Lost,
            Fault::GapBetween if line == 0 => Way::Lost,
            Fault::Duplicate if here => Way::Twice,
            Fault::Reorder if here => Way::Held,
            Fault::Late if planned.line.unwrap_or(0) == line => Way::Late(3 * self.hold_ns()),
            Fault::Late => Way::Lost,
            Fault::Differs if here => Way::Differs,
            Fault::StampBack if here => Way::StampBack,
            Fault::Damage(damage) if here => Way::Damaged(damage),
            _ => Way::Usual,
        }
    }

    /// Makes the messages of the next data packet; answers which of them is too short.
    fn fill(&mut self, fault: Option<Fault>, ways: &[Way]) -> Option<usize> {
        let nobody = ways.iter().all(|way| matches!(way, Way::Lost | Way::Late(_)));
        let neutral = nobody || fault == Some(Fault::Short);
        let count = match fault {
            Some(Fault::Gap(messages)) => usize::from(messages.max(1)),
            // A restart must not reach back to what is missing of the old space.
            Some(Fault::Restart | Fault::SessionChange) => 2,
            _ => usize::try_from(self.random.between(2, u32::from(self.plan.max_messages))).unwrap_or(2),
        };
        let last = self.packet + 1 == self.plan.data_packets && fault.is_none() && !neutral;
        let short = (fault == Some(Fault::Short)).then_some(count / 2);
        let uncross = self.crossed_until_ns.is_some_and(|until_ns| self.now_ns >= until_ns);
        if uncross {
            self.crossed_until_ns = None;
            self.unsettled = 1;
        }
        let ahead_ns = if fault == Some(Fault::Future) { exceeded_ns(self.plan.limits.future_ms) } else { 0 };
        self.messages.clear();
        for index in 0..count {
            let wish = match (fault.and_then(Fault::wish), count - 1 - index) {
                (Some(wish), _) if index == 0 => wish,
                (None, _) if uncross && index == 0 => Wish::Uncross,
                (None, 1) if last => Wish::CloseMarket,
                (None, 0) if last => Wish::CloseMessages,
                _ if neutral => Wish::Neutral,
                _ => Wish::Any,
            };
            let event_ns = self.now_ns + ahead_ns - PUBLISHING_NS + 10 * (index as u64).min(100);
            self.messages.push_with(|out| self.flow.say(wish, event_ns, out));
            if short == Some(index) {
                self.messages.shorten_last();
            }
        }
        short
    }

    /// Writes the fault down; answers its index.
    fn note(&mut self, planned: PlannedFault, units: u64) -> usize {
        let fault = planned.fault;
        let rule = self.count_rules(planned);
        let line = |line: usize| self.plan.lines[line].name.clone();
        self.answers.faults.push(Injected {
            fault: fault.name(),
            line: planned.line.map(line),
            at_ns: self.now_ns,
            session: self.session_name(),
            sequence: self.head.first,
            messages: units,
            verdict: None,
            rule,
            frames: Vec::new(),
        });
        self.answers.faults.len() - 1
    }

    /// Counts the rules that a fault breaks; answers the one that names it.
    fn count_rules(&mut self, planned: PlannedFault) -> Option<&'static str> {
        let lines = self.lines.len() as u64;
        let on = if planned.line.is_some() { 1 } else { lines };
        let (rule, times) = match planned.fault {
            Fault::Gap(_) if on == lines => (Rule::Gap, 1),
            Fault::Gap(_) => (Rule::LineGap, 1),
            Fault::Duplicate => (Rule::Duplicate, on),
            Fault::Reorder => (Rule::Reorder, on),
            Fault::Late => {
                self.answers.broken(Rule::Gap, 1);
                (Rule::LateFill, 1)
            }
            Fault::GapBetween => {
                self.answers.broken(Rule::LineGap, 2);
                (Rule::Gap, 1)
            }
            // A send time is that of a datagram, an event time that of a message.
            Fault::Stale | Fault::Future | Fault::SentBack if !self.plan.says_when_sent() => {
                (planned.fault.rule()?, 1)
            }
            Fault::Stale | Fault::Future | Fault::SentBack => (planned.fault.rule()?, lines),
            Fault::Dead => {
                self.answers.broken(Rule::LineGap, 1);
                (Rule::LineDead, 1)
            }
            fault => match fault.rule() {
                Some(rule) => (rule, 1),
                None => return None,
            },
        };
        self.answers.broken(rule, times);
        Some(rule.name())
    }

    fn session_name(&self) -> String {
        match self.plan.protocol {
            FeedProtocol::MoldUdp64Itch50 | FeedProtocol::MoldUdp64 => {
                String::from_utf8_lossy(&mold_session(self.head.session)).into_owned()
            }
            _ => self.head.session.to_string(),
        }
    }

    /// Sends the data packet on a line; answers how many bytes of the stream it takes.
    fn send(
        &mut self,
        index: usize,
        way: Way,
        noted: Option<usize>,
        short: Option<usize>,
        whole: bool,
    ) -> u64 {
        let count = self.messages.len();
        let units = self.flow.units(count);
        let mut line_answers = std::mem::take(&mut self.answers.lines[index]);
        self.lines[index].book(way, units, &mut line_answers);
        line_answers.session = self.session_name();
        if short.is_some() && way != Way::Lost {
            *line_answers.rejected.entry(Verdict::ITCH_SHORT.name()).or_default() += 1;
        }
        self.answers.lines[index] = line_answers;
        let cut = match way {
            Way::Usual if !whole && self.lines[index].recut && self.flow.numbers_messages() => {
                usize::try_from(self.random.between(1, u32::try_from(count).unwrap_or(1))).unwrap_or(count)
            }
            _ => count,
        };
        if way == Way::Differs {
            self.turn_bits();
        }
        let mut bytes = self.datagram(0, 0..cut);
        match way {
            Way::Lost => {}
            Way::Held => self.lines[index].held = Some(self.payload.clone()),
            Way::Late(by_ns) => {
                // Not through the line's queue: what follows overtakes it.
                let at_ns = self.now_ns + self.plan.lines[index].delay_ns + by_ns;
                let frame = self.frame(index);
                self.outbox.post(Posted { at_ns, stamp_ns: at_ns, line: index, fault: None, bytes: frame });
            }
            Way::StampBack => {
                let before_ns = self.lines[index].last_ns();
                let at_ns = self.arrival_ns(index);
                let stamp_ns = before_ns - STAMP_BACK_NS;
                let frame = self.frame(index);
                self.outbox.post(Posted { at_ns, stamp_ns, line: index, fault: None, bytes: frame });
            }
            Way::Damaged(damage) => {
                self.damaged_copy(index, damage, noted);
                self.post(index, None);
            }
            Way::Usual | Way::Twice | Way::Differs => {
                let has_short = short.is_some_and(|at| at < cut);
                self.post(index, noted.filter(|_| has_short));
            }
        }
        if way == Way::Twice {
            self.post(index, None);
        }
        if cut < count {
            bytes += self.datagram(bytes, cut..count);
            let has_short = short.is_some_and(|at| at >= cut);
            self.post(index, noted.filter(|_| has_short));
        }
        if way == Way::Differs {
            self.turn_bits();
        }
        if let Some(noted) = noted.filter(|_| short.is_some()) {
            self.answers.faults[noted].verdict = Some(Verdict::ITCH_SHORT.name());
        }
        if way != Way::Held
            && way != Way::Lost
            && let Some(held) = self.lines[index].held.take()
        {
            self.payload = held;
            self.post(index, None);
        }
        bytes
    }

    /// Turns harmless bits in a message from the middle; turned twice, they are as they were.
    fn turn_bits(&mut self) {
        let message = self.messages.get_mut(self.messages.len() / 2);
        let (at, bits) = self.flow.harmless(message);
        message[at] ^= bits;
    }

    /// Makes the payload of some messages, `beyond` bytes of the stream behind the packet's beginning.
    fn datagram(&mut self, beyond: u64, which: Range<usize>) -> u64 {
        let mut head = self.head;
        head.first += which.start as u64;
        head.offset += beyond;
        self.payload.clear();
        self.flow.packet(&head, &self.messages, which, &mut self.payload)
    }

    /// Posts a copy of the payload that is damaged.
    fn damaged_copy(&mut self, index: usize, damage: Damage, noted: Option<usize>) {
        let sound = self.payload.clone();
        let verdict = self.flow.damage(damage, &mut self.payload);
        let mut frame = self.frame(index);
        if damage == Damage::Checksum {
            let at = self.lines[index].header.header_len() - 2;
            // Neither form of zero, and not the right one.
            let wrong = u16::from_be_bytes([frame[at], frame[at + 1]]) ^ 0x0180;
            let wrong = if wrong == 0 { 0x5555 } else { wrong };
            frame[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
        }
        let at_ns = self.arrival_ns(index);
        self.outbox.post(Posted { at_ns, stamp_ns: at_ns, line: index, fault: noted, bytes: frame });
        *self.answers.lines[index].rejected.entry(verdict.name()).or_default() += 1;
        if let Some(noted) = noted {
            self.answers.faults[noted].verdict = Some(verdict.name());
        }
        self.payload = sound;
    }

    fn arrival_ns(&mut self, index: usize) -> u64 {
        self.lines[index].arrival_ns(self.now_ns, &mut self.random)
    }

    /// Posts the payload on a line.
    fn post(&mut self, index: usize, fault: Option<usize>) {
        let at_ns = self.arrival_ns(index);
        let bytes = self.frame(index);
        self.outbox.post(Posted { at_ns, stamp_ns: at_ns, line: index, fault, bytes });
    }

    fn frame(&mut self, index: usize) -> Vec<u8> {
        let mut frame = self.outbox.buffer();
        let ident = u16::try_from(self.packet & 0xffff).unwrap_or(0);
        self.lines[index].header.append(&mut frame, ident, |out| out.extend_from_slice(&self.payload));
        frame
    }

    /// The next sequence number without messages, on every line that lives.
    fn heartbeat(&mut self) {
        self.payload.clear();
        let head = Head { sent_ns: self.now_ns, ..self.head };
        let units = self.flow.heartbeat(&head, &mut self.payload);
        for index in 0..self.lines.len() {
            let line_answers = &mut self.answers.lines[index];
            if self.lines[index].dead_until_ns.is_some() {
                self.lines[index].book(Way::Lost, units, line_answers);
                continue;
            }
            line_answers.heartbeats += 1;
            // It shows what is missing: what is lost after it is another gap.
            self.lines[index].book(Way::Usual, units, line_answers);
            line_answers.next_sequence = self.head.first + units;
            self.post(index, None);
        }
        self.head.first += units;
    }

    fn end(&mut self) {
        self.heartbeat();
        for _ in 0..self.plan.end_packets {
            self.payload.clear();
            if !self.flow.end(&self.head, &mut self.payload) {
                break;
            }
            for index in 0..self.lines.len() {
                self.answers.lines[index].end_packets += 1;
                self.post(index, None);
            }
        }
        self.ended = true;
    }
}

/// Half as long again as a limit of so many milliseconds, ns.
fn exceeded_ns(limit_ms: u32) -> u64 {
    u64::from(limit_ms.max(1)) * NS_PER_MS * 3 / 2
}

#[cfg(test)]
mod tests;
