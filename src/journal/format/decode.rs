//! Reads the journal's blocks back.
//!
//! Every byte is untrusted: lengths are checked before they are used, the CRC before anything is
//! believed, and what is wrong is named. Nothing here panics.

use super::{
    ANCHOR, Anchor, CLOCK, DROPCOUNT_BYTES, END_OF_SEGMENT, EVENT, EndOfSegment, LOCAL_OPTION, LOSS,
    MAX_PACKET_BYTES, MIB, MIN_BLOCK_BYTES, NO_ARRIVAL, PACKET_FIXED_BYTES, PACKET_OPTION_BYTES, PAD,
    PacketBlock, SEGMENT_HEADER, SegmentHeader, block_crc, crc_from_end, crc_seed, packet_block_bytes,
};
use crate::clock::ClockReading;
use crate::journal::{Event, EventKind};
use crate::packet::{EpbFlags, Findings, InterfaceDef, Judgement, LinkType, Loss, LossPlace, Marks, Verdict};
use crate::pcapng::write::{InterfaceStats, padded};
use crate::pcapng::{BYTE_ORDER_MAGIC, block, option};
use crate::time::{Stamp, StampClock};

/// Why bytes are not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The first word is zero: nothing is committed here yet.
    #[error("nothing is committed here")]
    Uncommitted,
    /// The file ends inside the block.
    #[error("the block says {said} bytes, {there} are there")]
    Short {
        /// Its length as written.
        said: u64,
        /// Bytes up to the end.
        there: u64,
    },
    /// The length cannot be right.
    #[error("a block of type {block_type:#010x} cannot be {said} bytes long")]
    Length {
        /// The block's type.
        block_type: u32,
        /// Its length as written.
        said: u32,
    },
    /// The length at the end is another one than at the beginning.
    #[error("the block begins with length {first} and ends with length {last}")]
    Trailer {
        /// Length at the beginning.
        first: u32,
        /// Length at the end.
        last: u32,
    },
    /// The CRC does not match.
    #[error("the CRC is {written:#010x}, the bytes have {computed:#010x}")]
    Crc {
        /// CRC on tape.
        written: u32,
        /// CRC of the bytes.
        computed: u32,
    },
    /// The type is none that a journal holds.
    #[error("{0:#010x} is not a block type of a journal")]
    Type(u32),
    /// The CRC is right, but a field is not: another program wrote this.
    #[error("{0}")]
    Field(&'static str),
}

/// A block of a journal.
#[derive(Clone, Debug)]
pub enum Block<'a> {
    /// Section header.
    Section(Section),
    /// Segment header.
    SegmentHeader(SegmentHeader),
    /// An interface, and the operating system as it says.
    Interface(InterfaceDef),
    /// Interface statistics.
    Statistics(Statistics),
    /// A packet.
    Packet(PacketBlock<'a>),
    /// An anchor.
    Anchor(Anchor),
    /// A pad.
    Pad,
    /// A loss.
    Loss(Loss),
    /// A clock reading.
    Clock(ClockReading),
    /// An event.
    Event(Event),
    /// The end of the segment: nothing may follow.
    End(EndOfSegment),
}

/// What a section header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// `shb_hardware`.
    pub hardware: String,
    /// `shb_os`.
    pub os: String,
    /// `shb_userappl`.
    pub application: String,
}

/// What an interface statistics block says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Index of the interface.
    pub interface: u32,
    /// When it was written, ns since the Unix epoch.
    pub at_ns: u64,
    /// The counts.
    pub stats: InterfaceStats,
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*b.get(at..)?.first_chunk()?))
}
fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*b.get(at..)?.first_chunk()?))
}
fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*b.get(at..)?.first_chunk()?))
}
/// A stamp stored high word first.
fn stamp_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32_at(b, at)?) << 32 | u64::from(u32_at(b, at + 4)?))
}

/// Type and bytes of the block at the beginning of `bytes` (which may reach beyond it), its length, trailer
/// and CRC checked. `segment_id` seeds the CRC; it does not matter for section and segment header.
///
/// # Errors
/// The [`Damage`], [`Damage::Uncommitted`] included.
pub fn checked(bytes: &[u8], segment_id: u32) -> Result<(u32, &[u8]), Damage> {
    let there = bytes.len() as u64;
    let Some(block_type) = u32_at(bytes, 0) else { return Err(Damage::Short { said: 4, there }) };
    if block_type == 0 {
        return Err(Damage::Uncommitted);
    }
    if !is_journal_type(block_type) {
        return Err(Damage::Type(block_type));
    }
    let said = u32_at(bytes, 4).ok_or(Damage::Short { said: 8, there })?;
    if said % 4 != 0 || (said as usize) < MIN_BLOCK_BYTES || u64::from(said) > MIB {
        return Err(Damage::Length { block_type, said });
    }
    let block = bytes.get(..said as usize).ok_or(Damage::Short { said: u64::from(said), there })?;
    let last = u32_at(block, block.len() - 4).unwrap_or(0);
    if last != said {
        return Err(Damage::Trailer { first: said, last });
    }
    let written = u32_at(block, block.len() - crc_from_end(block_type)).unwrap_or(0);
    let computed = block_crc(block, block_type, crc_seed(block_type, segment_id));
    if written != computed {
        return Err(Damage::Crc { written, computed });
    }
    Ok((block_type, block))
}

/// True if a journal holds blocks of this type.
pub const fn is_journal_type(block_type: u32) -> bool {
    matches!(
        block_type,
        block::SECTION_HEADER
            | SEGMENT_HEADER
            | block::INTERFACE_DESCRIPTION
            | block::INTERFACE_STATISTICS
            | block::ENHANCED_PACKET
            | ANCHOR
            | PAD
            | LOSS
            | CLOCK
            | EVENT
            | END_OF_SEGMENT
    )
}

/// The block at the beginning of `bytes` and its length. See [`checked`].
/// Allocates for interfaces, sections and events only.
///
/// # Errors
/// The [`Damage`], [`Damage::Uncommitted`] included.
pub fn block(bytes: &[u8], segment_id: u32) -> Result<(Block<'_>, usize), Damage> {
    let (block_type, block) = checked(bytes, segment_id)?;
    Ok((parse(block_type, block)?, block.len()))
}

/// Parses a block that [`checked`] has passed.
///
/// # Errors
/// [`Damage::Field`] if a field contradicts the block's length.
pub fn parse(block_type: u32, block: &[u8]) -> Result<Block<'_>, Damage> {
    let (parsed, what) = match block_type {
        block::ENHANCED_PACKET => (packet(block).map(Block::Packet), "a packet block with a wrong layout"),
        ANCHOR => (anchor(block).map(Block::Anchor), "an anchor of a wrong length"),
        PAD => (Some(Block::Pad), ""),
        LOSS => (loss(block).map(Block::Loss), "a loss block of a wrong length"),
        CLOCK => (clock(block).map(Block::Clock), "a clock block of a wrong length"),
        EVENT => (event(block).map(Block::Event), "an event block with a wrong layout"),
        END_OF_SEGMENT => (end(block).map(Block::End), "an end-of-segment block of a wrong length"),
        SEGMENT_HEADER => {
            (segment_header(block).map(Block::SegmentHeader), "a segment header of a wrong length")
        }
        block::SECTION_HEADER => {
            (section(block).map(Block::Section), "a section header that is not little-endian pcapng 1.0")
        }
        block::INTERFACE_DESCRIPTION => {
            (interface(block).map(Block::Interface), "an interface block with a wrong layout")
        }
        block::INTERFACE_STATISTICS => {
            (statistics(block).map(Block::Statistics), "a statistics block with a wrong layout")
        }
        other => return Err(Damage::Type(other)),
    };
    parsed.ok_or(Damage::Field(what))
}

/// A packet block; everything in it stands where its length says.
pub fn packet(block: &[u8]) -> Option<PacketBlock<'_>> {
    let captured = u32_at(block, 20)? as usize;
    if captured > MAX_PACKET_BYTES {
        return None;
    }
    let plain = packet_block_bytes(captured, 0);
    let has_loss = match block.len() {
        n if n == plain => false,
        n if n == plain + DROPCOUNT_BYTES => true,
        _ => return None,
    };
    debug_assert!(plain >= PACKET_FIXED_BYTES);
    let mut at = 28 + padded(captured);
    let flags = EpbFlags(option_head(block, at, option::EPB_FLAGS, 4).and_then(|v| u32_at(block, v))?);
    at += 8;
    let mut lost_before = 0;
    if has_loss {
        lost_before = option_head(block, at, option::EPB_DROPCOUNT, 8).and_then(|v| u64_at(block, v))?;
        at += DROPCOUNT_BYTES;
    }
    let v = option_head(block, at, LOCAL_OPTION, PACKET_OPTION_BYTES)?;
    let stamp = Stamp::new(stamp_at(block, 12)?, StampClock(*block.get(v + 20)?));
    let delta = u64_at(block, v + 8)?.cast_signed();
    Some(PacketBlock {
        bytes: block.get(28..28 + captured)?,
        wire_len: u32_at(block, 24)?,
        stamp,
        arrival_ns: if delta == NO_ARRIVAL { 0 } else { stamp.ns.saturating_add_signed(delta) },
        interface: u32_at(block, 8)?,
        flags,
        marks: Marks(*block.get(v + 21)?),
        gso_size: u16_at(block, v + 22)?,
        lost_before,
        judgement: Judgement {
            verdict: Verdict(u16_at(block, v + 16)?),
            findings: Findings(u16_at(block, v + 18)?),
        },
        seq: u64_at(block, v)?,
    })
}

/// Offset of the value, if the option at `at` has this code and length.
fn option_head(block: &[u8], at: usize, code: u16, len: u16) -> Option<usize> {
    (u16_at(block, at)? == code && u16_at(block, at + 2)? == len).then_some(at + 4)
}

/// An anchor.
pub fn anchor(b: &[u8]) -> Option<Anchor> {
    (b.len() == super::ANCHOR_BYTES).then_some(())?;
    Some(Anchor {
        segment_id: u32_at(b, 8)?,
        queue: u16_at(b, 12)?,
        position: u64_at(b, 16)?,
        next_seq: u64_at(b, 24)?,
        max_stamp_ns: u64_at(b, 32)?,
        next_stamp_ns: u64_at(b, 40)?,
        capture_id: *b.get(48..)?.first_chunk()?,
    })
}

fn loss(b: &[u8]) -> Option<Loss> {
    (b.len() == super::LOSS_BYTES).then_some(())?;
    let place = LossPlace(u8::try_from(u32_at(b, 8)?).ok()?);
    Some(Loss { place, packets: u64_at(b, 12)?, from_ns: u64_at(b, 20)?, to_ns: u64_at(b, 28)? })
}

fn clock(b: &[u8]) -> Option<ClockReading> {
    (b.len() == super::CLOCK_BYTES).then_some(())?;
    let phc = u64_at(b, 32)?;
    Some(ClockReading {
        realtime_ns: u64_at(b, 8)?,
        monotonic_raw_ns: u64_at(b, 16)?,
        tai_ns: u64_at(b, 24)?,
        phc_ns: (u32_at(b, 40)? & 1 != 0).then_some(phc),
        uncertainty_ns: u32_at(b, 44)?,
        phc_uncertainty_ns: u32_at(b, 48)?,
    })
}

fn event(b: &[u8]) -> Option<Event> {
    let text_len = usize::from(u16_at(b, 26)?);
    (b.len() == super::event_block_bytes(text_len)).then_some(())?;
    Some(Event {
        at_ns: u64_at(b, 8)?,
        value: u64_at(b, 16)?.cast_signed(),
        kind: EventKind(u16_at(b, 24)?),
        text: String::from_utf8_lossy(b.get(28..28 + text_len)?).into_owned(),
    })
}

fn end(b: &[u8]) -> Option<EndOfSegment> {
    (b.len() == super::END_BYTES).then_some(())?;
    Some(EndOfSegment {
        flags: u32_at(b, 12)?,
        packets: u64_at(b, 16)?,
        next_seq: u64_at(b, 24)?,
        min_stamp_ns: u64_at(b, 32)?,
        max_stamp_ns: u64_at(b, 40)?,
    })
}

fn segment_header(b: &[u8]) -> Option<SegmentHeader> {
    (b.len() == super::SEGMENT_HEADER_BYTES).then_some(())?;
    Some(SegmentHeader {
        version: u16_at(b, 8)?,
        queue: u16_at(b, 10)?,
        segment_id: u32_at(b, 12)?,
        capture_id: *b.get(16..)?.first_chunk()?,
        index: u32_at(b, 32)?,
        first_seq: u64_at(b, 36)?,
        created_ns: u64_at(b, 44)?,
        live_bytes: u64_at(b, 52)?,
    })
}

/// The options from `at` to the block's trailer: code and value, up to `opt_endofopt` or the first that does not fit.
fn options(block: &[u8], at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = block.len().checked_sub(4).and_then(|end| block.get(at..end)).unwrap_or_default();
    std::iter::from_fn(move || {
        let (code, len) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let value = rest.get(4..4 + len)?;
        rest = rest.get(4 + padded(len)..).unwrap_or_default();
        (code != option::END).then_some((code, value))
    })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn section(b: &[u8]) -> Option<Section> {
    (u32_at(b, 8)? == BYTE_ORDER_MAGIC && u16_at(b, 12)? == 1).then_some(())?;
    let mut section = Section::default();
    for (code, value) in options(b, 24) {
        match code {
            option::SHB_HARDWARE => section.hardware = text(value),
            option::SHB_OS => section.os = text(value),
            option::SHB_USERAPPL => section.application = text(value),
            _ => {}
        }
    }
    Some(section)
}

fn interface(b: &[u8]) -> Option<InterfaceDef> {
    let mut def = InterfaceDef::named("", LinkType(u16_at(b, 8)?));
    def.snaplen = u32_at(b, 12)?;
    for (code, value) in options(b, 16) {
        match code {
            option::IF_NAME => def.name = text(value),
            option::IF_DESCRIPTION => def.description = text(value),
            option::IF_HARDWARE => def.hardware = text(value),
            option::IF_FILTER => def.filter = text(value.get(1..).unwrap_or_default()),
            option::IF_MAC => def.mac = value.try_into().ok(),
            option::IF_SPEED => def.speed_bps = u64_at(value, 0).unwrap_or(0),
            _ => {}
        }
    }
    Some(def)
}

/// The operating system that an interface block names (`if_os`).
pub fn interface_os(block: &[u8]) -> String {
    options(block, 16)
        .find(|(code, _)| *code == option::IF_OS)
        .map(|(_, value)| text(value))
        .unwrap_or_default()
}

fn statistics(b: &[u8]) -> Option<Statistics> {
    let mut s = InterfaceStats::default();
    for (code, value) in options(b, 20) {
        match code {
            option::ISB_STARTTIME => s.start_ns = stamp_at(value, 0),
            option::ISB_ENDTIME => s.end_ns = stamp_at(value, 0),
            option::ISB_IFRECV => s.received = u64_at(value, 0),
            option::ISB_IFDROP => s.dropped = u64_at(value, 0),
            option::ISB_FILTERACCEPT => s.filter_accepted = u64_at(value, 0),
            option::ISB_OSDROP => s.os_dropped = u64_at(value, 0),
            option::ISB_USRDELIV => s.delivered = u64_at(value, 0),
            _ => {}
        }
    }
    Some(Statistics { interface: u32_at(b, 8)?, at_ns: stamp_at(b, 12)?, stats: s })
}
