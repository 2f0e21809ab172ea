//! Reads journals: finished ones, damaged ones, and those that are still written.
//!
//! May touch: the journal's directory and files, for reading only; takes no lock and leaves no trace.
//!
//! | type | is |
//! | --- | --- |
//! | [`Tape`] | a directory of segments (or one segment file): what there is, in order |
//! | [`SegmentReader`] | one file, block by block |
//! | [`QueueReader`] | one queue through all its segments, live end included |
//! | [`Merged`] | all queues by stamp |
//! | [`CaptureOnTape`] | what one capture wrote, of all that the directory holds |
//!
//! Always true: a record handed out was committed by the writer and its CRC holds; records of a
//! queue come in the order they were written, each once; nothing behind an end-of-segment block is
//! touched. The bytes of a record are the reader's own copy and stand until its next step.
//!
//! When it fails: [`ReadError`] names the file, the offset and what is wrong there. With [`OnDamage::Skip`]
//! damage is remembered ([`QueueReader::damages`]) and reading goes on behind it: with the next block if the damaged one's length
//! can still be believed (it stands at both ends), else with the next valid anchor.

mod beside;
mod bytes;
mod captures;
mod merged;
mod queue;
mod segment;
mod tape;

pub use beside::DurablePosition;
pub use captures::{CaptureOnTape, follow_capture};
pub use merged::Merged;
pub use queue::QueueReader;
pub use segment::{BlockError, Counted, Opening, SegmentReader, SegmentStep};
pub use tape::{SegmentFile, Tape};

use super::Note;
use super::format::EndOfSegment;
use crate::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use crate::pcapng::write::InterfaceStats;
use crate::time::Stamp;
use std::io;
use std::path::PathBuf;

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// At the end of a live segment: wait for more ([`Step::Wait`]) rather than end ([`Step::End`]).
    pub follow: bool,
    /// What to do about damage.
    pub on_damage: OnDamage,
    /// Longest time that [`Merged`] holds a record back for a quiet queue while following, ns.
    pub hold_ns: u64,
    /// [`Merged`] keeps queues together at clock readings. Only for the queues of one capture ([`CaptureOnTape`]), read from
    /// their beginning: elsewhere the readings of one time are not on each.
    pub barriers: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { follow: false, on_damage: OnDamage::Stop, hold_ns: 200_000_000, barriers: false }
    }
}

/// What to do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Answer [`ReadError::Damaged`].
    Stop,
    /// Remember it, and go on behind it.
    Skip,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a record.
    Record,
    /// Nothing yet: the live end. Ask again later.
    Wait,
    /// Nothing any more.
    End,
}

/// Damage: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: damaged at byte {offset}: {error}", path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where the block begins that is not right.
    pub offset: u64,
    /// Which check failed.
    pub error: BlockError,
}

/// Why a tape could not be read (on).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or directory could not be opened or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It is no journal and no segment of one.
    #[error("{}: {why}", path.display())]
    NotATape {
        /// What was given.
        path: PathBuf,
        /// Why it is none, and what would be.
        why: String,
    },
    /// A block is not right.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// What stands on tape.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A packet.
    Packet(TapePacket<'a>),
    /// An interface, described before its first packet (again in each segment).
    Interface {
        /// Its index in the segment's packets.
        index: u32,
        /// What is known of it.
        def: InterfaceDef,
        /// Where it stands.
        at: Place,
    },
    /// A loss, a clock reading or an event.
    Note {
        /// Which.
        note: Note,
        /// Where it stands.
        at: Place,
    },
    /// What an interface counted; at the end of a segment.
    Statistics {
        /// The interface's index in the segment.
        interface: u32,
        /// Its counts since the capture began.
        stats: InterfaceStats,
        /// Where it stands.
        at: Place,
    },
    /// The end of a sealed segment.
    End {
        /// What it says of the segment.
        end: EndOfSegment,
        /// Where it stands.
        at: Place,
    },
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Queue.
    pub queue: u16,
    /// Index of the segment in the queue.
    pub segment: u32,
    /// Offset of its block in the file, bytes.
    pub offset: u64,
}

/// A packet as it stands on tape.
#[derive(Clone, Copy, Debug)]
pub struct TapePacket<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// When it came in, and who said so.
    pub stamp: Stamp,
    /// When user space first saw it, ns since the Unix epoch; 0 if never (file sources).
    pub arrival_ns: u64,
    /// Index of its interface in the segment.
    pub interface: u32,
    /// How `bytes` begin.
    pub link: LinkType,
    /// Direction and reception type.
    pub flags: EpbFlags,
    /// What the engine knew beyond that.
    pub marks: Marks,
    /// Segment size of a merged packet, bytes; else 0.
    pub gso_size: u16,
    /// Packets lost just before it on its queue.
    pub lost_before: u64,
    /// What validation said when it was captured.
    pub judgement: Judgement,
    /// Sequence number in the queue.
    pub seq: u64,
    /// Queue.
    pub queue: u16,
    /// Index of the segment in the queue.
    pub segment: u32,
    /// Offset of its block in the file, bytes.
    pub offset: u64,
}

impl<'a> TapePacket<'a> {
    /// The packet as the pipeline knew it.
    pub const fn as_packet(&self) -> Packet<'a> {
        Packet {
            bytes: self.bytes,
            wire_len: self.wire_len,
            stamp: self.stamp,
            arrival_ns: self.arrival_ns,
            interface: self.interface,
            link: self.link,
            flags: self.flags,
            marks: self.marks,
            gso_size: self.gso_size,
            lost_before: self.lost_before,
        }
    }

    /// Where it stands.
    pub const fn place(&self) -> Place {
        Place { queue: self.queue, segment: self.segment, offset: self.offset }
    }
}
