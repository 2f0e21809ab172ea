//! `tape loss`: every loss on a tape, where and when it happened, and what else happened then.
//!
//! A loss stands on tape as a note (place, count, interval); the drop counts in the packets repeat the ring's and
//! the engine's losses in the place of the stream where packets are missing. Both are summed, so that they can be compared.

use super::outcome::{Outcome, TapeError};
use super::range;
use super::when::{Rfc3339, When};
use super::words;
use crate::journal::index::{RangeReader, TimeRange};
use crate::journal::reader::{Place, ReadOptions, Record, Tape};
use crate::journal::{Event, EventKind, Note};
use crate::packet::{Loss, LossPlace};
use crate::time::NS_PER_SEC;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

/// Events this close to a loss are named beside it.
const BESIDE_NS: u64 = NS_PER_SEC;
/// So many events are remembered to be named beside a loss.
const MAX_REMEMBERED_EVENTS: usize = 64;

/// What to list.
#[derive(Clone, Debug)]
pub struct LossOptions {
    /// A journal's directory, or a segment.
    pub path: PathBuf,
    /// Only losses that reach beyond this time.
    pub begin: Option<When>,
    /// Only losses that begin before this time.
    pub end: Option<When>,
    /// One JSON object a loss, and one for the sums.
    pub json: bool,
}

/// Losses by place, and what the packets say.
#[derive(Debug, Default)]
struct Sums {
    intervals: u64,
    by_place: BTreeMap<u8, u64>,
    in_packets: u64,
}

impl Sums {
    /// A tape may say any number: sums stop at the largest.
    fn total(&self) -> u64 {
        self.by_place.values().fold(0, |sum, packets| sum.saturating_add(*packets))
    }
}

/// Lists the losses in the order of time, as far as each queue's own order allows. [`Outcome::Good`] with or without any.
///
/// # Errors
/// [`TapeError`] if the tape cannot be read, or `out` fails.
pub fn run(options: &LossOptions, out: &mut dyn Write) -> Result<Outcome, TapeError> {
    let tape = Tape::open(&options.path)?;
    let stamps_ns = range::on_tape(&tape, options.begin, options.end)?;
    let mut sums = Sums::default();
    let mut events = Remembered::default();
    // A loss is noted when its interval has ended, which may be any time later: so the reading has a begin, but no end.
    let from_ns = stamps_ns.start.saturating_sub(2 * BESIDE_NS);
    let mut reader = RangeReader::open(&tape, TimeRange::new(from_ns..u64::MAX), ReadOptions::default())?;
    while let Some(record) = reader.next_record()? {
        match record {
            Record::Packet(packet) if stamps_ns.contains(&packet.stamp.ns) => {
                sums.in_packets = sums.in_packets.saturating_add(packet.lost_before);
            }
            Record::Note { note: Note::Event(event), at } => events.take(at.queue, event),
            Record::Note { note: Note::Loss(loss), at } if touches(&loss, &stamps_ns) => {
                sums.intervals += 1;
                let sum = sums.by_place.entry(loss.place.0).or_default();
                *sum = sum.saturating_add(loss.packets);
                let written = one(out, options.json, &loss, at, events.of(at.queue));
                written.map_err(TapeError::io("writing the answer"))?;
            }
            _ => {}
        }
    }
    let written = if options.json { writeln!(out, "{}", sums_json(&sums)) } else { print_sums(out, &sums) };
    written.and_then(|()| out.flush()).map_err(TapeError::io("writing the answer"))?;
    Ok(Outcome::Good)
}

/// True if some of the loss can lie in the range.
const fn touches(loss: &Loss, stamps_ns: &Range<u64>) -> bool {
    loss.to_ns >= stamps_ns.start && loss.from_ns < stamps_ns.end
}

/// The last events of each queue that can explain a loss.
#[derive(Debug, Default)]
struct Remembered(BTreeMap<u16, VecDeque<Event>>);

impl Remembered {
    fn take(&mut self, queue: u16, event: Event) {
        if !explains(event.kind) {
            return;
        }
        let own = self.0.entry(queue).or_default();
        if own.len() == MAX_REMEMBERED_EVENTS {
            own.pop_front();
        }
        own.push_back(event);
    }
    fn of(&self, queue: u16) -> impl Iterator<Item = &Event> {
        self.0.get(&queue).into_iter().flatten()
    }
}

/// Events that can be the cause of a loss.
const fn explains(kind: EventKind) -> bool {
    !matches!(kind, EventKind::START | EventKind::STOP)
}

/// What a place means, for people.
const fn cause(place: LossPlace) -> &'static str {
    match place {
        LossPlace::NIC => "the interface had no room (before any filter; of the whole interface)",
        LossPlace::RING => "the kernel found the ring full: the engine did not keep up",
        LossPlace::SPSC => "the hand-over ring was full",
        LossPlace::SHED => "given up under load, as the policy says",
        LossPlace::DISK => "the journal could not take it",
        _ => "at a place that this program does not know",
    }
}

fn one<'e>(
    out: &mut dyn Write,
    json: bool,
    loss: &Loss,
    at: Place,
    events: impl Iterator<Item = &'e Event>,
) -> io::Result<()> {
    let near = |e: &&Event| {
        e.at_ns.saturating_add(BESIDE_NS) >= loss.from_ns && e.at_ns <= loss.to_ns.saturating_add(BESIDE_NS)
    };
    if json {
        let beside: Vec<Value> = events
            .filter(near)
            .map(|e| json!({ "at_ns": e.at_ns, "kind": e.kind.name(), "value": e.value, "text": e.text }))
            .collect();
        let value = json!({
            "queue": at.queue, "segment": at.segment, "offset_bytes": at.offset, "place": loss.place.name(),
            "packets": loss.packets, "from_ns": loss.from_ns, "to_ns": loss.to_ns, "cause": cause(loss.place),
            "events": beside,
        });
        return writeln!(out, "{value}");
    }
    let from = if loss.from_ns == 0 { "the start".to_owned() } else { Rfc3339(loss.from_ns).to_string() };
    let width = if loss.from_ns == 0 {
        String::new()
    } else {
        format!(" ({})", words::duration(loss.to_ns.saturating_sub(loss.from_ns)))
    };
    let packets = words::count(loss.packets, "packet", "packets");
    writeln!(
        out,
        "{from} .. {}{width}  queue {}  {}: {packets} lost, {}",
        Rfc3339(loss.to_ns),
        at.queue,
        loss.place.name(),
        cause(loss.place)
    )?;
    for event in events.filter(near) {
        writeln!(out, "    beside it: {} {}: {}", Rfc3339(event.at_ns), event.kind.name(), event.text)?;
    }
    Ok(())
}

fn print_sums(out: &mut dyn Write, sums: &Sums) -> io::Result<()> {
    if sums.intervals == 0 && sums.in_packets == 0 {
        return writeln!(out, "nothing was lost");
    }
    for (place, packets) in &sums.by_place {
        writeln!(out, "lost at {}: {}", LossPlace(*place).name(), words::grouped(*packets))?;
    }
    let total = sums.total();
    let intervals = words::count(sums.intervals, "interval", "intervals");
    writeln!(
        out,
        "lost in all: {} in {intervals}; drop counts in packets: {}",
        words::grouped(total),
        words::grouped(sums.in_packets)
    )
}

fn sums_json(sums: &Sums) -> Value {
    let by_place: serde_json::Map<String, Value> =
        sums.by_place.iter().map(|(p, n)| (LossPlace(*p).name().to_owned(), json!(n))).collect();
    json!({ "sums": {
        "intervals": sums.intervals, "lost": by_place, "lost_packets": sums.total(),
        "lost_before_packets": sums.in_packets,
    } })
}
