//! Carries a capture's tape into its room, record by record: the one way in which events are made, live and later.
//!
//! Always true: what the room is given, and in which order, depends on the tape alone ([`Merged`], with barriers).

use super::room::Room;
use crate::feed::FeedConfig;
use crate::journal::Note;
use crate::journal::reader::{Merged, ReadError, Record, Step};
use crate::time::StampClock;
use std::collections::BTreeMap;

/// First and last stamp that was seen, ns since the Unix epoch; 0 before any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Of the first packet with a stamp.
    pub first_ns: u64,
    /// The highest.
    pub last_ns: u64,
}

/// Reads a capture into a room.
#[derive(Debug)]
pub struct Follower {
    merged: Merged,
    room: Room,
    span: Span,
    packets: u64,
    missed: u64,
    next_seq: BTreeMap<u16, u64>,
    reading_ns: Option<u64>,
    /// The last packet came from a capture file: the clock of the host that read it tells nothing of its time.
    from_file: bool,
    finished: bool,
}

impl Follower {
    /// A room for `feeds`, given what `merged` reads.
    pub fn new(merged: Merged, feeds: &[FeedConfig]) -> Self {
        Self {
            merged,
            room: Room::new(feeds),
            span: Span::default(),
            packets: 0,
            missed: 0,
            next_seq: BTreeMap::new(),
            reading_ns: None,
            from_file: false,
            finished: false,
        }
    }

    /// Gives the room the next record. At the end, the room is told so, once. `now_ns` is the clock of [`Merged::step`].
    ///
    /// # Errors
    /// [`ReadError`] of the tape.
    pub fn step(&mut self, now_ns: u64) -> Result<Step, ReadError> {
        let step = self.merged.step(now_ns)?;
        match step {
            Step::Record => self.give(),
            Step::Wait => {}
            Step::End => {
                if !std::mem::replace(&mut self.finished, true) {
                    self.room.finish();
                }
            }
        }
        Ok(step)
    }

    fn give(&mut self) {
        match self.merged.record() {
            Some(Record::Packet(packet)) => {
                let next = self.next_seq.entry(packet.queue).or_default();
                // Segments that retention deleted before they were read.
                self.missed += packet.seq.saturating_sub(*next);
                *next = packet.seq + 1;
                self.packets += 1;
                let stamp_ns = packet.stamp.ns;
                if self.span.first_ns == 0 {
                    self.span.first_ns = stamp_ns;
                }
                self.span.last_ns = self.span.last_ns.max(stamp_ns);
                self.from_file = packet.stamp.clock == StampClock::FILE;
                self.room.packet(&packet.as_packet());
            }
            Some(Record::Note { note: Note::Loss(loss), .. }) => self.room.loss(&loss),
            // The same reading stands on every queue; it is one moment.
            Some(Record::Note { note: Note::Clock(reading), .. })
                if self.reading_ns != Some(reading.realtime_ns) =>
            {
                self.reading_ns = Some(reading.realtime_ns);
                if !self.from_file {
                    self.room.time(reading.realtime_ns);
                }
            }
            _ => {}
        }
    }

    /// Nobody writes any more: a quiet end is an end.
    pub fn stop_following(&mut self) {
        self.merged.stop_following();
    }
    /// The record that the last [`Step::Record`] stands for.
    pub fn record(&self) -> Option<Record<'_>> {
        self.merged.record()
    }
    /// The room.
    pub fn room(&mut self) -> &mut Room {
        &mut self.room
    }
    /// First and last stamp so far.
    pub const fn span(&self) -> Span {
        self.span
    }
    /// Packets given to the room.
    pub const fn packets(&self) -> u64 {
        self.packets
    }
    /// Packets of this capture that were deleted before they could be read.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}
