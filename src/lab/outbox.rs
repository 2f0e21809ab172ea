//! Frames on their way: they leave by time, and of the same time in the order they were made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A frame on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Posted {
    /// When it arrives, ns since the Unix epoch.
    pub(super) at_ns: u64,
    /// What its stamp says.
    pub(super) stamp_ns: u64,
    /// Its line.
    pub(super) line: usize,
    /// Index of the fault whose verdict it must get.
    pub(super) fault: Option<usize>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct InOrder(u64, u64, Posted);

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BinaryHeap<Reverse<InOrder>>,
    posted: u64,
    spare: Vec<Vec<u8>>,
}

impl Outbox {
    /// An empty buffer, used before if there is one.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }
    pub(super) fn post(&mut self, posted: Posted) {
        self.posted += 1;
        self.waiting.push(Reverse(InOrder(posted.at_ns, self.posted, posted)));
    }
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    /// The next frame that arrives before `horizon_ns`.
    pub(super) fn next_before(&mut self, horizon_ns: u64) -> Option<Posted> {
        self.waiting.peek().filter(|next| next.0.0 < horizon_ns)?;
        self.waiting.pop().map(|Reverse(InOrder(_, _, posted))| posted)
    }
}
