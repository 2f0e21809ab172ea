//! Where packets come from: one trait of leases over kernel rings and capture files.
//!
//! A [`Source`] hands out leases; a lease is read in place, possibly by another
//! thread, and gives its block or frame back when it is dropped, exactly once.
//! This module never sees the journal and never decodes.

pub mod file;

use crate::packet::{InterfaceDef, Loss, Packet};
use std::ops::ControlFlow;
use std::time::Duration;

/// The right to read one ring block or frame (or one batch of a file) until it is dropped.
pub trait Lease: Send {
    /// When the capture thread took it: `CLOCK_REALTIME`, ns since the Unix epoch (0 for file sources).
    fn taken_ns(&self) -> u64;
    /// A loss that was noticed when it was taken; it happened before the first packet of this lease.
    fn loss(&self) -> Option<Loss>;
    /// Interfaces first met in this lease (files only): to be known before its packets are used,
    /// in the order of their indices.
    fn interfaces(&self) -> &[InterfaceDef] {
        &[]
    }
    /// Hands each packet to `each`, in order, until it breaks. Offsets that the kernel (or file) got wrong
    /// end the walk and are counted in the answer: nothing outside the lease is ever read.
    fn walk(&mut self, each: impl FnMut(Packet<'_>) -> ControlFlow<()>) -> Walked;
}

/// What a walk over a lease met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Packets handed over.
    pub packets: u64,
    /// Packets that could not be read because an offset or length lay outside the lease.
    pub unreadable: u64,
}

/// What a source had when it was asked.
#[derive(Debug)]
pub enum Take<L> {
    /// A lease, filled.
    Lease(L),
    /// Nothing yet.
    Idle,
    /// Nothing any more: the file ended, or intake was stopped and the ring is drained.
    End,
}

/// What a source counted so far (all since it was opened).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Packets that passed the filter, those dropped for want of room included
    /// (`tp_packets`, accumulated; for a file, records that passed the filter).
    pub received: u64,
    /// Dropped by the kernel because the ring was full (`tp_drops`, accumulated).
    pub ring_dropped: u64,
    /// Times the kernel froze the ring (`tp_freeze_q_cnt`, V3 only).
    pub ring_freezes: u64,
    /// Records of a file that its filter turned away (kernel filters do not count theirs).
    pub filtered: u64,
}

/// Why a source failed for good.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A system call of the source failed.
    #[error("{what}: {error}")]
    Io {
        /// The interface or file, and what was done with it.
        what: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// A file is no capture file that this program reads; the text says what it is and what to do.
    #[error("{path}: {what}")]
    NotACapture {
        /// The file.
        path: String,
        /// What it is instead, and the mend.
        what: String,
    },
    /// A capture file is damaged; everything before the damage was handed out.
    #[error("{path}: damaged at byte {offset}: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// First byte that could not be understood.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

/// Hands out leases. Owned by one capture thread.
pub trait Source: Send {
    /// What it hands out.
    type Lease: Lease;
    /// Takes the next filled lease, if there is one. Never blocks, never allocates on the live path;
    /// makes a system call only when the kernel has reported a loss (to read the count at once).
    ///
    /// # Errors
    /// [`SourceError`] once the source can give nothing more and it is not a regular end.
    fn take(&mut self) -> Result<Take<Self::Lease>, SourceError>;
    /// Called after [`Take::Idle`]: spins a little, or blocks in `poll(2)` for at most `max`, as opened.
    ///
    /// # Errors
    /// [`SourceError::Io`] if polling fails for another reason than a link that went down.
    fn wait(&mut self, max: Duration) -> Result<(), SourceError>;
    /// Once a second or so, off the per-packet path: reads the kernel's counters so that none of them wraps.
    /// Answers a loss that no lease has carried yet.
    fn tick(&mut self) -> Option<Loss>;
    /// Lets nothing more in; what is in the ring can still be taken until [`Take::End`].
    fn stop_intake(&mut self);
    /// What was counted so far.
    fn counts(&self) -> SourceCounts;
    /// True if at least half of the ring waits to be taken (always false for files): the degradation ladder asks.
    fn under_pressure(&self) -> bool;
    /// True if waiting costs nothing but time (a file): then nothing is ever shed.
    fn can_wait(&self) -> bool;
}
