//! The writer: appends records of one queue to its segments.
//!
//! May touch the mapping of its segment and a few atomics; nothing else. [`Writer::append`], [`Writer::note`],
//! [`Writer::add_interface`] and [`Writer::idle`] never allocate, lock, log, make a system call or panic.
//! When a segment is full the next one is taken from the keeper's ring; if none is there yet the record is
//! refused with [`Append::NotReady`] (try again), or [`Append::Full`] if the keeper has said that none will come
//! for now. Each later call looks again, so writing resumes by itself.

use super::Note;
use super::format::{
    ANCHOR_BYTES, CLOCK_BYTES, EndOfSegment, FORMAT_VERSION, LOSS_BYTES, MAX_INTERFACE_BYTES, MAX_INTERFACES,
    MAX_PACKET_BYTES, MIN_BLOCK_BYTES, PacketBlock, SegmentHeader, encode, event_block_bytes,
    packet_block_bytes,
};
use super::segment::{Ahead, Fresh, Spent, Tape};
use super::shared::{QueueShared, Shared};
use crate::packet::{InterfaceDef, Judgement, Loss, LossPlace, Packet};
use crate::pcapng::write::{InterfaceStats, MAX_STRING_BYTES};
use crate::time::StampClock;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// It is committed: a reader sees it, a kill of this process cannot take it back.
    Written,
    /// The keeper has not prepared the next segment yet. Nothing was written: try again.
    NotReady,
    /// It is not on tape: the disk is full, the journal has failed, or the record can never be written (a packet
    /// longer than [`MAX_PACKET_BYTES`], an interface that was not added, one interface too many).
    Full,
}

/// Kept free in each segment for the losses that a capture on a full disk ends with, one a place: pad, anchor, losses.
const LAST_NOTE_BYTES: u64 =
    (LOSS_BYTES + MIN_BLOCK_BYTES + ANCHOR_BYTES + LossPlace::ALL.len() * LOSS_BYTES) as u64;

/// Most bytes that one interface description can take: fixed parts, and five strings.
const MAX_DESCRIPTION_BYTES: usize = 128 + 5 * (MAX_STRING_BYTES + 5);

/// The interfaces of a queue, encoded for the top of each segment. Nothing grows after `new`.
#[derive(Debug)]
struct Interfaces {
    blocks: Vec<u8>,
    ends: Vec<usize>,
    stats: Vec<InterfaceStats>,
    delivered: Vec<u64>,
}

impl Interfaces {
    fn new() -> Self {
        Self {
            blocks: Vec::with_capacity(MAX_INTERFACE_BYTES),
            ends: Vec::with_capacity(MAX_INTERFACES),
            stats: Vec::with_capacity(MAX_INTERFACES),
            delivered: Vec::with_capacity(MAX_INTERFACES),
        }
    }

    /// Adds one, unless there is no room for it.
    fn add(&mut self, def: &InterfaceDef, os: &str) -> bool {
        if self.ends.len() >= MAX_INTERFACES
            || self.blocks.len() + MAX_DESCRIPTION_BYTES > MAX_INTERFACE_BYTES
        {
            return false;
        }
        encode::interface(&mut self.blocks, 0, def, os);
        self.ends.push(self.blocks.len());
        self.stats.push(InterfaceStats::default());
        self.delivered.push(0);
        true
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The block of an interface, its CRC for this segment.
    fn block(&mut self, interface: usize, segment_id: u32) -> Option<&[u8]> {
        let start = interface.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        let block = self.blocks.get_mut(start..*self.ends.get(interface)?)?;
        encode::reseed_interface(block, segment_id);
        Some(block)
    }
}

/// Appends the records of one queue. Owned by one worker thread.
#[derive(Debug)]
pub struct Writer {
    queue: u16,
    capture_id: [u8; 16],
    capture_start_ns: u64,
    os: String,
    section: Vec<u8>,
    shared: Arc<Shared>,
    fresh: rtrb::Consumer<Fresh>,
    spent: rtrb::Producer<Spent>,
    tape: Option<Tape>,
    interfaces: Interfaces,
    statistics: Vec<u8>,
    next_seq: u64,
    last_stamp_ns: u64,
    roll_seen: u64,
    /// Interfaces that stand in the current segment: it gets no statistics of others.
    described: usize,
    /// Room was made for the packet that is appended next: until then no roll comes between.
    reserved: bool,
}

/// What a writer is made of.
pub(super) struct WriterParts {
    pub(super) queue: u16,
    pub(super) capture_id: [u8; 16],
    pub(super) capture_start_ns: u64,
    pub(super) hardware: String,
    pub(super) os: String,
    pub(super) application: String,
    pub(super) shared: Arc<Shared>,
    pub(super) fresh: rtrb::Consumer<Fresh>,
    pub(super) spent: rtrb::Producer<Spent>,
}

impl Writer {
    pub(super) fn new(parts: WriterParts) -> Self {
        let mut section = Vec::new();
        encode::section(&mut section, &parts.hardware, &parts.os, &parts.application);
        Self {
            queue: parts.queue,
            capture_id: parts.capture_id,
            capture_start_ns: parts.capture_start_ns,
            os: parts.os,
            section,
            shared: parts.shared,
            fresh: parts.fresh,
            spent: parts.spent,
            tape: None,
            interfaces: Interfaces::new(),
            statistics: Vec::with_capacity(256),
            next_seq: 0,
            last_stamp_ns: 0,
            roll_seen: 0,
            described: 0,
            reserved: false,
        }
    }

    /// Index of the queue.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Packets written so far, which is also the sequence number of the next.
    pub fn packets(&self) -> u64 {
        self.next_seq
    }

    /// Makes the next interface known; packets name it by its place in the order of these calls.
    /// It stands at the top of every later segment. Never [`Append::NotReady`].
    pub fn add_interface(&mut self, def: &InterfaceDef) -> Append {
        if !self.interfaces.add(def, &self.os) {
            return self.refuse();
        }
        // Without a segment, or if this one has no room left, the top of the next one will have it.
        let written = self.put_interface(self.interfaces.len() - 1);
        if !written {
            self.close(0, false);
        }
        Append::Written
    }

    /// True if the interface stands in the current segment, or there is no segment.
    fn put_interface(&mut self, interface: usize) -> bool {
        let known = self.interfaces.len();
        let ahead = self.ahead(0);
        let Some(tape) = &mut self.tape else { return true };
        let Some(block) = self.interfaces.block(interface, tape.segment_id()) else { return false };
        let written = tape.put_whole(block, tape.record_limit(known), ahead);
        if written {
            self.described = known;
        }
        written
    }

    /// Appends a packet and what validation said of it.
    pub fn append(&mut self, packet: &Packet<'_>, judgement: Judgement) -> Append {
        let interface = usize::try_from(packet.interface).unwrap_or(usize::MAX);
        if packet.bytes.len() > MAX_PACKET_BYTES || interface >= self.interfaces.len() {
            return self.refuse();
        }
        let block = PacketBlock {
            bytes: packet.bytes,
            wire_len: packet.wire_len,
            stamp: packet.stamp,
            arrival_ns: packet.arrival_ns,
            interface: packet.interface,
            flags: packet.flags,
            marks: packet.marks,
            gso_size: packet.gso_size,
            lost_before: packet.lost_before,
            judgement,
            seq: self.next_seq,
        };
        let len = packet_block_bytes(packet.bytes.len(), packet.lost_before);
        let answer =
            self.put(len, packet.stamp.ns, LAST_NOTE_BYTES, |out, id| encode::packet(out, id, &block));
        if answer != Append::Written {
            return answer;
        }
        let stamp_ns = (packet.stamp.clock != StampClock::NONE).then_some(packet.stamp.ns);
        self.next_seq += 1;
        self.last_stamp_ns = self.last_stamp_ns.max(stamp_ns.unwrap_or(0));
        if let Some(delivered) = self.interfaces.delivered.get_mut(interface) {
            *delivered += 1;
        }
        if let Some(tape) = &mut self.tape {
            tape.count_packet(stamp_ns);
        }
        Append::Written
    }

    /// Appends a note.
    pub fn note(&mut self, note: &Note) -> Append {
        self.note_sparing(note, LAST_NOTE_BYTES)
    }

    /// Appends the loss that is still owed when a capture ends: room for it is kept free, even on a full disk.
    pub fn last_loss(&mut self, loss: Loss) -> Append {
        self.note_sparing(&Note::Loss(loss), 0)
    }

    fn note_sparing(&mut self, note: &Note, spare: u64) -> Append {
        let answer = match note {
            Note::Loss(loss) => self.put(LOSS_BYTES, 0, spare, |out, id| encode::loss(out, id, loss)),
            Note::Clock(clock) => self.put(CLOCK_BYTES, 0, spare, |out, id| encode::clock(out, id, clock)),
            Note::Event(event) => {
                let text = encode::kept_text(event);
                self.put(event_block_bytes(text.len()), 0, spare, |out, id| {
                    encode::event(out, id, event, text)
                })
            }
        };
        if answer == Append::Written
            && let Some(tape) = &mut self.tape
        {
            tape.count_note();
        }
        answer
    }

    /// To be called when no packet comes: opens the first segment, and rolls if that was asked for.
    pub fn idle(&mut self) {
        if self.tape.is_none() {
            self.open_next();
        }
        self.roll_if_asked();
    }

    /// What is known of an interface's counts: statistics blocks of the following segments carry it.
    /// `delivered`, `start_ns` and `end_ns` are filled in where they are `None`.
    pub fn set_statistics(&mut self, interface: u32, stats: InterfaceStats) {
        let slot = usize::try_from(interface).ok().and_then(|index| self.interfaces.stats.get_mut(index));
        if let Some(slot) = slot {
            *slot = stats;
        }
    }

    /// Ends the tape of this queue in good order: statistics of each interface (in the order in which they were
    /// added; missing ones are filled in), end-of-segment, hand-over to the keeper.
    pub fn finish(mut self, stats: &[InterfaceStats]) {
        for (slot, stats) in self.interfaces.stats.iter_mut().zip(stats) {
            *slot = *stats;
        }
        if self.tape.is_none() {
            self.open_next();
        }
        self.close(EndOfSegment::LAST, true);
    }

    fn refuse(&self) -> Append {
        if let Some(queue) = self.queue_shared() {
            queue.refused.store(queue.refused.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        Append::Full
    }

    fn queue_shared(&self) -> Option<&QueueShared> {
        self.shared.queues.get(usize::from(self.queue))
    }

    fn ahead(&self, next_stamp_ns: u64) -> Ahead {
        Ahead { next_seq: self.next_seq, next_stamp_ns }
    }

    /// Makes room for a packet of `captured_bytes`, so that [`Writer::append`] of it is then [`Append::Written`].
    ///
    /// Asked before a packet is judged, it keeps what is not on tape from being judged: replay equals live.
    pub fn reserve(
        &mut self,
        captured_bytes: usize,
        interface: u32,
        lost_before: u64,
        stamp_ns: u64,
    ) -> Append {
        let interface = usize::try_from(interface).unwrap_or(usize::MAX);
        if captured_bytes > MAX_PACKET_BYTES || interface >= self.interfaces.len() {
            return self.refuse();
        }
        let placed = self.place(packet_block_bytes(captured_bytes, lost_before), stamp_ns, LAST_NOTE_BYTES);
        self.reserved = placed == Append::Written;
        placed
    }

    /// Brings the position to where a record of `len` bytes may stand, in the next segment if need be.
    fn place(&mut self, len: usize, stamp_ns: u64, spare: u64) -> Append {
        // An anchor that was put for a reserved packet has promised its stamp: the packet must follow it.
        if !std::mem::take(&mut self.reserved) {
            self.roll_if_asked();
        }
        let ahead = self.ahead(stamp_ns);
        for _ in 0..2 {
            if self.tape.is_none() && !self.open_next() {
                return self.no_segment();
            }
            let known = self.interfaces.len();
            let Some(tape) = &mut self.tape else { return self.no_segment() };
            if tape.make_room(len as u64, tape.record_limit(known).saturating_sub(spare), ahead) {
                return Append::Written;
            }
            if self.shared.keeps_open && self.fresh.is_empty() && !self.shared.accepts() {
                return Append::Full;
            }
            self.close(0, false);
        }
        // A fresh segment had no room: only if the keeper cut it short at once.
        self.no_segment()
    }

    /// Puts a record into the current segment, or into the next if it does not fit.
    fn put(&mut self, len: usize, stamp_ns: u64, spare: u64, fill: impl Fn(&mut [u8], u32) -> u32) -> Append {
        let placed = self.place(len, stamp_ns, spare);
        if placed != Append::Written {
            return placed;
        }
        let written = self.tape.as_mut().is_some_and(|tape| tape.put_here(len, fill));
        if written { Append::Written } else { self.no_segment() }
    }

    fn no_segment(&self) -> Append {
        if self.shared.accepts() { Append::NotReady } else { Append::Full }
    }

    /// Takes the next segment and writes its top. False if there is none.
    fn open_next(&mut self) -> bool {
        let Ok(fresh) = self.fresh.pop() else { return false };
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            queue: self.queue,
            segment_id: fresh.segment_id,
            capture_id: self.capture_id,
            index: fresh.index,
            first_seq: self.next_seq,
            created_ns: fresh.created_ns,
            live_bytes: fresh.map.len() as u64,
        };
        let mut tape = Tape::new(fresh, self.queue, self.capture_id);
        let ahead = self.ahead(0);
        let limit = tape.hard_limit();
        let mut written = tape.put_headers(&self.section, &header);
        for interface in 0..self.interfaces.len() {
            let block = self.interfaces.block(interface, tape.segment_id()).unwrap_or_default();
            written = written && tape.put_whole(block, limit, ahead);
        }
        if written {
            self.tape = Some(tape);
            self.described = self.interfaces.len();
        } else {
            self.hand_back(Spent { tape, ended: false });
        }
        written
    }

    /// Rolls to the next segment if that was asked for and there is one.
    fn roll_if_asked(&mut self) {
        let Some(asked) = self.queue_shared().map(|queue| queue.roll.load(Ordering::Relaxed)) else { return };
        if asked == self.roll_seen {
            return;
        }
        if let Some(tape) = &self.tape
            && (tape.has_records() || tape.is_suspect())
        {
            if self.fresh.is_empty() {
                return; // Staying on this one is better than losing packets.
            }
            self.close(0, false);
            self.open_next();
        }
        self.roll_seen = asked;
    }

    /// Ends the current segment, if there is one, and hands it to the keeper.
    fn close(&mut self, flags: u32, at_end: bool) {
        let Some(mut tape) = self.tape.take() else { return };
        let ahead = self.ahead(0);
        let limit = tape.hard_limit();
        let mut ended = true;
        for interface in 0..self.described {
            self.encode_statistics(interface, tape.segment_id());
            ended = ended && tape.put_whole(&self.statistics, limit, ahead);
        }
        ended = ended && tape.put_end(flags, self.next_seq);
        debug_assert!(ended || !at_end || tape.hard_limit() < limit, "closing bytes are always kept free");
        self.hand_back(Spent { tape, ended });
    }

    fn encode_statistics(&mut self, interface: usize, segment_id: u32) {
        let mut stats = self.interfaces.stats.get(interface).copied().unwrap_or_default();
        let delivered = self.interfaces.delivered.get(interface).copied();
        stats.delivered = stats.delivered.or(delivered);
        stats.start_ns = stats.start_ns.or(Some(self.capture_start_ns));
        stats.end_ns = stats.end_ns.or(Some(self.last_stamp_ns).filter(|ns| *ns != 0));
        let at_ns = stats.end_ns.unwrap_or(self.capture_start_ns);
        self.statistics.clear();
        let interface = u32::try_from(interface).unwrap_or(u32::MAX);
        encode::statistics(&mut self.statistics, segment_id, interface, at_ns, &stats);
    }

    fn hand_back(&mut self, spent: Spent) {
        // The keeper never lets more segments be out than this ring holds.
        let pushed = self.spent.push(spent).is_ok();
        debug_assert!(pushed, "the ring of spent segments has room for all there are");
    }
}

impl Drop for Writer {
    /// A writer that was not finished leaves its segment as it is; the keeper ends it as recovery would.
    fn drop(&mut self) {
        if let Some(tape) = self.tape.take() {
            self.hand_back(Spent { tape, ended: false });
        }
    }
}
