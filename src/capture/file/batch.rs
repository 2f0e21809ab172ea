//! A piece of the file with what was understood of it, lent out whole and recycled.

use crate::capture::{Lease, Walked};
use crate::packet::{EpbFlags, InterfaceDef, LinkType, Loss, Marks, Packet};
use crate::time::Stamp;
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How much of a file is read at once, bytes: a packet every 64 bytes makes 4096 of them, and it fits a core's cache.
const BATCH_BYTES: usize = 256 * 1024;

/// One packet of a batch: where its bytes lie, and what its record said.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Where the captured bytes lie: from the record's first byte, until [`Record::moved_by`].
    pub(super) bytes: Range<usize>,
    pub(super) wire_len: u32,
    pub(super) stamp: Stamp,
    pub(super) interface: u32,
    pub(super) link: LinkType,
    pub(super) flags: EpbFlags,
    pub(super) lost_before: u64,
}

impl Record {
    /// The same, with its bytes counted from the start of the batch, in which it stands at `at`.
    pub(super) fn moved_by(mut self, at: usize) -> Self {
        self.bytes = self.bytes.start + at..self.bytes.end + at;
        self
    }
    /// The same, of at most `snaplen` bytes (0 = any number).
    pub(super) fn shortened(mut self, snaplen: u32) -> Self {
        if snaplen != 0 {
            let longest = usize::try_from(snaplen).unwrap_or(usize::MAX);
            self.bytes.end = self.bytes.end.min(self.bytes.start.saturating_add(longest));
        }
        self
    }
}

/// A piece of the file: bytes, of which the first `parsed` are understood and the first `filled` were read.
#[derive(Debug, Default)]
pub(super) struct Batch {
    data: Vec<u8>,
    filled: usize,
    parsed: usize,
    records: Vec<Record>,
    interfaces: Vec<InterfaceDef>,
}

impl Batch {
    pub(super) const fn parsed(&self) -> usize {
        self.parsed
    }
    pub(super) fn unparsed(&self) -> &[u8] {
        self.data.get(self.parsed..self.filled).unwrap_or_default()
    }
    /// Nothing was understood that anybody would want to have.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.interfaces.is_empty()
    }
    /// Where to read to; `needed` bytes from the first unparsed one on will fit.
    pub(super) fn room(&mut self, needed: usize) -> &mut [u8] {
        let wanted = self.parsed.saturating_add(needed).max(BATCH_BYTES);
        if self.data.len() < wanted {
            self.data.resize(wanted, 0);
        }
        self.data.get_mut(self.filled..).unwrap_or_default()
    }
    pub(super) fn filled(&mut self, read: usize) {
        self.filled = (self.filled + read).min(self.data.len());
    }
    pub(super) fn advance(&mut self, len: usize) {
        self.parsed = (self.parsed + len).min(self.filled);
    }
    pub(super) fn add_interface(&mut self, def: InterfaceDef) {
        self.interfaces.push(def);
    }
    pub(super) fn push(&mut self, record: Record) {
        self.records.push(record);
    }
    /// The packet of a record of this batch; `None` only if its range lies outside.
    pub(super) fn packet(&self, record: &Record) -> Option<Packet<'_>> {
        Some(Packet {
            bytes: self.data.get(record.bytes.clone())?,
            wire_len: record.wire_len,
            stamp: record.stamp,
            arrival_ns: 0,
            interface: record.interface,
            link: record.link,
            flags: record.flags,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: record.lost_before,
        })
    }
    /// Moves what is not understood to the front. Answers by how far.
    pub(super) fn compact(&mut self) -> usize {
        let moved = self.parsed;
        self.data.copy_within(self.parsed..self.filled, 0);
        self.filled -= moved;
        self.parsed = 0;
        moved
    }
    /// Begins with `rest`, which the batch before could not understand for lack of what follows.
    pub(super) fn take_over(&mut self, rest: &[u8]) {
        if let Some(front) = self.room(rest.len()).get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        self.filled(rest.len());
    }
    /// Ready for use again. The data stays as it is, so that it need not be zeroed again.
    fn clear(&mut self) {
        (self.filled, self.parsed) = (0, 0);
        self.records.clear();
        self.interfaces.clear();
        // One giant block must not make every later batch giant.
        self.data.truncate(4 * BATCH_BYTES);
        self.data.shrink_to(4 * BATCH_BYTES);
    }
}

/// Batches that came back.
#[derive(Debug)]
pub(super) struct Pool {
    back: Sender<Batch>,
    returned: Receiver<Batch>,
}

impl Pool {
    pub(super) fn new() -> Self {
        let (back, returned) = channel();
        Self { back, returned }
    }
    pub(super) fn fresh(&mut self) -> Batch {
        let mut batch = self.returned.try_recv().unwrap_or_default();
        batch.clear();
        batch
    }
    pub(super) fn lease(&self, batch: Batch) -> FileLease {
        FileLease { batch, home: self.back.clone() }
    }
}

/// A piece of a capture file, lent out.
#[derive(Debug)]
pub struct FileLease {
    batch: Batch,
    home: Sender<Batch>,
}

impl Lease for FileLease {
    fn taken_ns(&self) -> u64 {
        0
    }
    fn loss(&self) -> Option<Loss> {
        None
    }
    fn interfaces(&self) -> &[InterfaceDef] {
        &self.batch.interfaces
    }
    fn walk(&mut self, mut each: impl FnMut(Packet<'_>) -> ControlFlow<()>) -> Walked {
        let mut walked = Walked::default();
        for record in &self.batch.records {
            let Some(packet) = self.batch.packet(record) else {
                walked.unreadable += 1;
                continue;
            };
            walked.packets += 1;
            if each(packet).is_break() {
                break;
            }
        }
        walked
    }
}

impl Drop for FileLease {
    fn drop(&mut self) {
        // The source may be gone already; then the buffer simply goes too.
        let _ = self.home.send(std::mem::take(&mut self.batch));
    }
}
