//! All queues of a tape as one stream, in the order of their stamps.
//!
//! **Order.** The queues are merged by key, ties by queue number. A packet's key is the highest stamp its queue
//! has shown so far, itself included: a packet whose stamp steps back stays behind its predecessors of
//! the same queue, so no queue is ever reordered. Notes and interface descriptions have the key of the packet before
//! them, so they come as early as their queue allows.
//!
//! **Following live queues: a bounded wait.** As long as each queue has a record ready, or has ended, the order is exact.
//! A queue that is quiet at its live end may still write an earlier stamp than the others show; a record is held for it, but no longer
//! than [`ReadOptions::hold_ns`] after it became the next one. After that it is delivered, and a packet that
//! turns up later with an earlier stamp comes late, but comes. So a quiet queue delays the others by at most that long,
//! and nothing is ever left out. Without following, a quiet end is an end.
//!
//! **Clock readings as barriers** ([`ReadOptions::barriers`], for the queues of one capture). The same reading of the
//! clocks is put on every queue once a second. A queue that has come to a reading waits there until every other one
//! stands at a reading that is not earlier, or has ended; then the readings of that time are delivered, one a queue, and keys begin
//! anew behind them. What is delivered before and after a reading, and in which order, is then a function of the tape alone: with
//! an endless [`ReadOptions::hold_ns`], following a live tape gives what reading it later gives, and a quiet queue delays the
//! others by a second at most, however far its stamps are from the host's clock.

use super::{QueueReader, ReadError, ReadOptions, Record, Step, TapePacket};
use crate::packet::InterfaceDef;

#[derive(Debug)]
struct Lane {
    reader: QueueReader,
    state: LaneState,
    /// Highest stamp this queue has shown (with barriers: since its last reading), its head included.
    key_ns: u64,
    /// The head is a clock reading of this time, and barriers are kept.
    barrier_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// Has to be asked.
    Unknown,
    /// Has a record ready.
    Ready,
    /// Is at its live end.
    Quiet,
    /// Gives nothing more.
    Ended,
}

/// A merge of all queues; see the module's header for the order.
#[derive(Debug)]
pub struct Merged {
    lanes: Vec<Lane>,
    options: ReadOptions,
    /// The lane whose record was delivered last, and stands until the next step.
    delivered: Option<usize>,
    /// The lane whose record is being held, and since when (the caller's clock).
    held: Option<(usize, u64)>,
    /// The time whose readings are being delivered.
    released_ns: Option<u64>,
}

impl Merged {
    pub(super) fn new(readers: Vec<QueueReader>, options: ReadOptions) -> Self {
        let lane = |reader| Lane { reader, state: LaneState::Unknown, key_ns: 0, barrier_ns: None };
        let lanes = readers.into_iter().map(lane).collect();
        Self { lanes, options, delivered: None, held: None, released_ns: None }
    }

    /// Goes to the next record. `now_ns` is any clock that only goes forward (it times the bounded
    /// wait while following; otherwise it is not looked at).
    ///
    /// # Errors
    /// [`ReadError`] of any queue. The others can go on: the next step leaves that queue out if it has no more to give.
    pub fn step(&mut self, now_ns: u64) -> Result<Step, ReadError> {
        if let Some(lane) = self.delivered.take().and_then(|i| self.lanes.get_mut(i)) {
            lane.state = LaneState::Unknown;
            if lane.barrier_ns.take().is_some() {
                lane.key_ns = 0;
            }
        }
        self.ask_all()?;
        let Some(next) = self.earliest() else { return Ok(self.nothing_ready()) };
        if self.must_hold(next, now_ns) {
            return Ok(Step::Wait);
        }
        self.held = None;
        self.delivered = Some(next);
        if let Some(at_ns) = self.lanes.get(next).and_then(|lane| lane.barrier_ns) {
            self.released_ns = Some(at_ns);
        }
        Ok(Step::Record)
    }

    /// The record that the last [`Step::Record`] stands for.
    pub fn record(&self) -> Option<Record<'_>> {
        self.delivered.and_then(|i| self.lanes.get(i)).and_then(|lane| lane.reader.record())
    }

    /// The next record, without following; None at the end.
    ///
    /// # Errors
    /// As [`Merged::step`].
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        // `u64::MAX` is later than any hold: nothing is held, and a quiet end is an end.
        Ok(match self.step(u64::MAX)? {
            Step::Record => self.record(),
            Step::Wait | Step::End => None,
        })
    }

    /// From here on a quiet end is an end: nobody writes any more.
    pub fn stop_following(&mut self) {
        self.options.follow = false;
        self.lanes.iter_mut().for_each(|lane| lane.reader.stop_following());
    }

    /// Leaves the current record's queue out from here on.
    pub(in crate::journal) fn end_current(&mut self) {
        if let Some(lane) = self.delivered.take().and_then(|i| self.lanes.get_mut(i)) {
            lane.state = LaneState::Ended;
        }
    }

    /// The interface of the current packet.
    pub fn interface_of(&self, packet: &TapePacket<'_>) -> Option<&InterfaceDef> {
        let lane = self.delivered.and_then(|i| self.lanes.get(i))?;
        lane.reader.segment()?.interface(packet.interface)
    }

    /// The queues' readers: positions, damages, counts.
    pub fn queues(&self) -> impl Iterator<Item = &QueueReader> {
        self.lanes.iter().map(|lane| &lane.reader)
    }

    fn ask_all(&mut self) -> Result<(), ReadError> {
        for lane in &mut self.lanes {
            if matches!(lane.state, LaneState::Ready | LaneState::Ended) {
                continue;
            }
            // Should the step fail, the lane counts as unknown and is asked again, which answers its end.
            lane.state = LaneState::Unknown;
            lane.state = match lane.reader.step()? {
                Step::Record => LaneState::Ready,
                Step::Wait => LaneState::Quiet,
                Step::End => LaneState::Ended,
            };
            if lane.state == LaneState::Ready {
                let stamp_ns = lane.reader.stamp_ns().unwrap_or(0);
                lane.key_ns = lane.key_ns.max(stamp_ns);
                lane.barrier_ns = if self.options.barriers { lane.reader.reading_ns() } else { None };
            }
        }
        Ok(())
    }

    fn earliest(&self) -> Option<usize> {
        let ready = || self.lanes.iter().enumerate().filter(|(_, lane)| lane.state == LaneState::Ready);
        // The readings of one time go together, whatever follows the first of them.
        let released = |lane: &Lane| lane.barrier_ns.is_some() && lane.barrier_ns == self.released_ns;
        if let Some((index, _)) = ready().find(|(_, lane)| released(lane)) {
            return Some(index);
        }
        // `min_by_key` keeps the first of equals, and lanes stand in the order of their queues.
        let free = ready().filter(|(_, lane)| lane.barrier_ns.is_none());
        if let Some((index, _)) = free.min_by_key(|(_, lane)| lane.key_ns) {
            return Some(index);
        }
        ready().min_by_key(|(_, lane)| lane.barrier_ns).map(|(index, _)| index)
    }

    fn nothing_ready(&mut self) -> Step {
        self.held = None;
        let ended = self.lanes.iter().all(|lane| lane.state == LaneState::Ended);
        if ended { Step::End } else { Step::Wait }
    }

    fn must_hold(&mut self, next: usize, now_ns: u64) -> bool {
        if !self.options.follow || !self.lanes.iter().any(|lane| lane.state == LaneState::Quiet) {
            return false;
        }
        let since_ns = match self.held {
            Some((lane, since_ns)) if lane == next => since_ns,
            _ => now_ns,
        };
        self.held = Some((next, since_ns));
        now_ns.saturating_sub(since_ns) < self.options.hold_ns
    }
}
