//! Tap to tap: the same packets in two journals (or files), found by their content.
//!
//! Both inputs are read once, beside each other, each in the order of its stamps, and merged by stamp. A packet waits for its like at
//! the other tap for at most the longest delay that is allowed, in either direction; the n-th copy of a packet belongs to the
//! n-th copy at the other tap. Memory is bounded: if more wait than there is room for, the oldest is given up, and counted so.
//!
//! A packet that was not matched near an end of the other input is neither lost nor extra: it may lie outside. How near is told
//! by the delays that were seen.

use super::super::in_order::InOrder;
use super::super::input::Input;
use super::super::outcome::{Outcome, TapeError};
use super::super::select::Selection;
use super::super::words;
use super::clocks::Clocks;
use super::identity::{self, Identity, Nameless};
use super::{DistributionJson, Distributions, json, put};
use crate::time::{Stamp, StampClock, delta_ns};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How far stamps may step back in one input, ns.
const HORIZON_NS: u64 = 10_000_000;
/// Packets handed over at once, and how many such hand-overs may wait.
const BATCH: usize = 4_096;
const BATCHES: usize = 8;
/// So many lost packets are named by their stamps.
const NAMED: usize = 10;

/// How to match.
#[derive(Clone, Debug)]
pub struct TapsOptions {
    /// Longest delay, in either direction, ns.
    pub max_delay_ns: u64,
    /// Most packets that wait.
    pub max_pending: usize,
    /// JSON in place of text.
    pub json: bool,
}

/// Matches the packets of `first` with those of `second` and writes the answer to `out`, and an interval log to `hlog`.
///
/// # Errors
/// [`TapeError`] of an input, the filter or an output.
pub fn run(
    (first, second): (&Input, &Input),
    selection: &Selection,
    options: &TapsOptions,
    out: &mut dyn Write,
    hlog: Option<&mut dyn Write>,
) -> Result<Outcome, TapeError> {
    let (taps, read) = std::thread::scope(|scope| {
        let (sender_1, receiver_1) = sync_channel(BATCHES);
        let (sender_2, receiver_2) = sync_channel(BATCHES);
        let readers = [
            scope.spawn(move || read(first, selection, &sender_1)),
            scope.spawn(move || read(second, selection, &sender_2)),
        ];
        let taps = Taps::new(options).merge([Feeder::new(receiver_1), Feeder::new(receiver_2)]);
        let read = readers.map(|reader| {
            reader.join().unwrap_or_else(|_| Err(TapeError::Refused("a reader broke off".to_owned())))
        });
        (taps, read)
    });
    let [one, other] = read;
    let (taps, read) = (taps?, [one?, other?]);
    let text = if options.json { taps.json(&read)? } else { taps.text(&read) };
    put(out, &text)?;
    if let Some(hlog) = hlog {
        taps.delays.write_log(hlog)?;
    }
    Ok(Outcome::Good)
}

/// A packet, as the other tap may know it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    identity: Identity,
    stamp: Stamp,
}

/// What reading an input left.
#[derive(Clone, Debug, Default, Serialize)]
struct Read {
    /// Packets with a stamp and an identity.
    packets: u64,
    /// No IP packet.
    not_ip: u64,
    /// Cut by the capture, or merged by the kernel.
    not_whole: u64,
    /// Without a stamp.
    without_time: u64,
    /// Stamped long before packets that stand ahead of them: matched in their place all the same.
    late: u64,
    /// The clocks.
    clocks: Clocks,
}

/// Reads an input to its end, in the order of its stamps. Ends early if nobody listens.
fn read(input: &Input, selection: &Selection, to: &SyncSender<Vec<Seen>>) -> Result<Read, TapeError> {
    let mut read = Read::default();
    let mut clocks = Clocks::default();
    let mut order = InOrder::new(HORIZON_NS);
    let mut batch = Vec::with_capacity(BATCH);
    input.for_each_noting(
        selection,
        &mut |item| {
            let stamp = item.packet.stamp;
            read.clocks.stamp(stamp.clock);
            if stamp.clock == StampClock::NONE {
                read.without_time += 1;
                return Ok(ControlFlow::Continue(()));
            }
            match identity::of(&item.packet) {
                Ok(identity) => {
                    read.packets += 1;
                    if let Err(seen) = order.push(stamp.ns, Seen { identity, stamp }) {
                        read.late += 1;
                        batch.push(seen);
                    }
                }
                Err(Nameless::NotIp) => read.not_ip += 1,
                Err(Nameless::NotWhole) => read.not_whole += 1,
            }
            while let Some((_, seen)) = order.ready() {
                batch.push(seen);
            }
            Ok(if batch.len() < BATCH || to.send(std::mem::take(&mut batch)).is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
        &mut |note| clocks.note(note),
    )?;
    while let Some((_, seen)) = order.take() {
        batch.push(seen);
    }
    // If nobody listens any more, nobody misses it.
    let _ = to.send(batch);
    clocks.stamps.append(&mut read.clocks.stamps);
    read.clocks = clocks;
    Ok(read)
}

/// One input, packet by packet.
struct Feeder {
    from: Receiver<Vec<Seen>>,
    batch: std::vec::IntoIter<Seen>,
    head: Option<Seen>,
}

impl Feeder {
    fn new(from: Receiver<Vec<Seen>>) -> Self {
        let mut feeder = Self { from, batch: Vec::new().into_iter(), head: None };
        feeder.advance();
        feeder
    }

    /// The next packet becomes the head; answers the one that was.
    fn advance(&mut self) -> Option<Seen> {
        let was = self.head.take();
        self.head = self.batch.next();
        while self.head.is_none() {
            let Ok(batch) = self.from.recv() else { break };
            self.batch = batch.into_iter();
            self.head = self.batch.next();
        }
        was
    }
}

/// Packets of one content that wait, all of one tap; the oldest first.
#[derive(Debug)]
struct Waiting {
    tap: usize,
    stamps: VecDeque<Stamp>,
}

/// What was seen of one tap.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    first_ns: u64,
    last_ns: u64,
    ended: bool,
    any: bool,
}

#[derive(Debug)]
struct Taps {
    max_delay_ns: u64,
    max_pending: usize,
    waiting: HashMap<Identity, Waiting>,
    order: VecDeque<(Identity, usize, u64)>,
    pending: usize,
    spans: [Span; 2],
    delays: Distributions,
    /// Smallest and largest delay.
    seen_ns: Option<(i64, i64)>,
    matched: u64,
    /// By tap: not matched, well within the other's time.
    alone: [u64; 2],
    /// By tap: not matched, near an end of the other; decided at last.
    near_an_end: [Vec<u64>; 2],
    outside: [u64; 2],
    given_up: [u64; 2],
    lost_ns: Vec<u64>,
}

impl Taps {
    fn new(options: &TapsOptions) -> Self {
        Self {
            max_delay_ns: options.max_delay_ns,
            max_pending: options.max_pending,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            pending: 0,
            spans: [Span::default(); 2],
            delays: Distributions::default(),
            seen_ns: None,
            matched: 0,
            alone: [0; 2],
            near_an_end: [Vec::new(), Vec::new()],
            outside: [0; 2],
            given_up: [0; 2],
            lost_ns: Vec::new(),
        }
    }

    fn merge(mut self, mut feeders: [Feeder; 2]) -> Result<Self, TapeError> {
        let [a, b] = &mut feeders;
        for (span, feeder) in self.spans.iter_mut().zip([&*a, &*b]) {
            *span = match feeder.head {
                Some(head) => {
                    Span { first_ns: head.stamp.ns, last_ns: head.stamp.ns, ended: false, any: true }
                }
                None => Span { ended: true, ..Span::default() },
            };
        }
        loop {
            let (tap, feeder) = match (&a.head, &b.head) {
                (Some(one), Some(other)) if one.stamp.ns <= other.stamp.ns => (0, &mut *a),
                (_, Some(_)) => (1, &mut *b),
                (Some(_), None) => (0, &mut *a),
                (None, None) => break,
            };
            let Some(seen) = feeder.advance() else { break };
            self.spans[tap].ended = feeder.head.is_none();
            self.take(tap, seen)?;
        }
        while let Some(oldest) = self.order.pop_front() {
            self.expire(oldest, false);
        }
        self.decide();
        Ok(self)
    }

    fn take(&mut self, tap: usize, seen: Seen) -> Result<(), TapeError> {
        let now_ns = seen.stamp.ns;
        let span = &mut self.spans[tap];
        (span.first_ns, span.last_ns) = (span.first_ns.min(now_ns), span.last_ns.max(now_ns));
        while let Some(oldest) = self.order.front().copied() {
            let is_old = now_ns.saturating_sub(oldest.2) > self.max_delay_ns;
            let is_full = self.pending >= self.max_pending;
            if !is_old && !is_full {
                break;
            }
            self.order.pop_front();
            self.expire(oldest, !is_old);
        }
        if let Some(waiting) = self.waiting.get_mut(&seen.identity)
            && waiting.tap != tap
        {
            let other = waiting.stamps.pop_front();
            if waiting.stamps.is_empty() {
                self.waiting.remove(&seen.identity);
            }
            self.pending -= 1;
            return other.map_or(Ok(()), |other| self.matched(tap, seen.stamp, other));
        }
        let waiting = self.waiting.entry(seen.identity);
        let waiting = waiting.or_insert_with(|| Waiting { tap, stamps: VecDeque::with_capacity(1) });
        waiting.stamps.push_back(seen.stamp);
        self.order.push_back((seen.identity, tap, now_ns));
        self.pending += 1;
        Ok(())
    }

    fn matched(&mut self, tap: usize, stamp: Stamp, other: Stamp) -> Result<(), TapeError> {
        let (first, second) = if tap == 1 { (other, stamp) } else { (stamp, other) };
        let delay_ns = delta_ns(second.ns, first.ns);
        let (low, high) = self.seen_ns.unwrap_or((delay_ns, delay_ns));
        self.seen_ns = Some((low.min(delay_ns), high.max(delay_ns)));
        self.matched += 1;
        self.delays.saw(first.ns);
        self.delays.record("tap-to-tap", (first.clock.name(), second.clock.name()), delay_ns)
    }

    /// If the packet still waits, it waits no longer.
    fn expire(&mut self, (identity, tap, at_ns): (Identity, usize, u64), given_up: bool) {
        let Some(waiting) = self.waiting.get_mut(&identity) else { return };
        if waiting.tap != tap || waiting.stamps.front().is_none_or(|oldest| oldest.ns != at_ns) {
            return;
        }
        waiting.stamps.pop_front();
        if waiting.stamps.is_empty() {
            self.waiting.remove(&identity);
        }
        self.pending -= 1;
        if given_up {
            self.given_up[tap] += 1;
            return;
        }
        let other = self.spans[1 - tap];
        let max_ns = self.max_delay_ns;
        let is_far = at_ns.saturating_add(max_ns) < other.first_ns
            || (other.ended && at_ns > other.last_ns.saturating_add(max_ns));
        let near_begin = at_ns < other.first_ns.saturating_add(max_ns);
        let near_end = other.ended && at_ns.saturating_add(max_ns) > other.last_ns;
        if !other.any || is_far {
            self.outside[tap] += 1;
        } else if near_begin || near_end {
            self.near_an_end[tap].push(at_ns);
        } else {
            self.alone(tap, at_ns);
        }
    }

    fn alone(&mut self, tap: usize, at_ns: u64) {
        self.alone[tap] += 1;
        if tap == 0 && self.lost_ns.len() < NAMED {
            self.lost_ns.push(at_ns);
        }
    }

    /// Near an end of the other input only what the delays that were seen bring inside it is missing there.
    fn decide(&mut self) {
        let (low, high) = self.seen_ns.unwrap_or((0, 0));
        for tap in [0, 1] {
            let other = self.spans[1 - tap];
            // At the other tap it would be stamped so much later (or earlier).
            let (low, high) = if tap == 0 { (low, high) } else { (-high, -low) };
            for at_ns in std::mem::take(&mut self.near_an_end[tap]) {
                let inside = at_ns.saturating_add_signed(low) >= other.first_ns
                    && at_ns.saturating_add_signed(high) <= other.last_ns;
                if inside {
                    self.alone(tap, at_ns);
                } else {
                    self.outside[tap] += 1;
                }
            }
        }
        self.lost_ns.sort_unstable();
    }

    fn json(&self, read: &[Read; 2]) -> Result<String, TapeError> {
        json(&TapsJson {
            matched: self.matched,
            lost: self.alone[0],
            extra: self.alone[1],
            outside: self.outside,
            given_up: self.given_up,
            delays: self.delays.json(),
            first_lost_ns: &self.lost_ns,
            inputs: read,
        })
    }

    fn text(&self, read: &[Read; 2]) -> String {
        let g = words::grouped;
        let mut t = String::new();
        let _ = writeln!(t, "matched  {}", g(self.matched));
        let _ = writeln!(t, "lost     {} (only at the first tap)", g(self.alone[0]));
        let _ = writeln!(t, "extra    {} (only at the second tap)", g(self.alone[1]));
        let _ = writeln!(
            t,
            "outside  {} of the first, {} of the second (before the other began or after it ended)",
            g(self.outside[0]),
            g(self.outside[1])
        );
        if self.given_up != [0, 0] {
            let [first, second] = self.given_up.map(g);
            let _ = writeln!(
                t,
                "given up {first} of the first, {second} of the second: more waited than --max-pending allows"
            );
        }
        for (read, which) in read.iter().zip(["first", "second"]) {
            if read.not_ip + read.not_whole + read.without_time > 0 {
                let _ = writeln!(
                    t,
                    "left out of the {which}: {} not IP, {} not whole, {} without a stamp",
                    g(read.not_ip),
                    g(read.not_whole),
                    g(read.without_time)
                );
            }
        }
        for at_ns in &self.lost_ns {
            let _ = writeln!(t, "  lost: {}", words::moment(*at_ns));
        }
        t.push_str("\ntap to tap, ns (second stamp minus first, signed):\n");
        self.delays.table(&mut t);
        for (read, whose) in read.iter().zip(["first tap: ", "second tap: "]) {
            read.clocks.tell(&mut t, whose);
        }
        t.push_str("  a one-way delay only if both taps' clocks were synchronised: their difference is in every number\n");
        t
    }
}

#[derive(Serialize)]
struct TapsJson<'t> {
    matched: u64,
    lost: u64,
    extra: u64,
    outside: [u64; 2],
    given_up: [u64; 2],
    delays: Vec<DistributionJson<'t>>,
    first_lost_ns: &'t [u64],
    inputs: &'t [Read; 2],
}
