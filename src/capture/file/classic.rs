//! Classic pcap: a header of 24 bytes, then records of 16 bytes and a packet each.

use super::MAX_PACKET_BYTES;
use super::batch::Record;
use super::format::{Step, Trouble};
use crate::packet::{EpbFlags, InterfaceDef, LinkType};
use crate::pcapng::read::ByteOrder;
use crate::time::{NS_PER_SEC, Stamp, StampClock};

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
/// Alexey Kuznetzov's variant adds interface index, protocol and packet type to each record.
const MODIFIED_RECORD_HEADER_BYTES: usize = 24;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;
/// The link-type field: link type in bits 0–25, bit 26 says that bits 28–31 count the FCS in 16-bit words.
const LINK_MASK: u32 = 0x03ff_ffff;
const FCS_KNOWN: u32 = 0x0400_0000;

/// What the file header said.
#[derive(Clone, Debug)]
pub(super) struct Classic {
    order: ByteOrder,
    ns_per_tick: u64,
    record_header: usize,
    minor: u16,
    /// Known once the file header is read.
    link: Option<LinkType>,
    flags: EpbFlags,
}

impl Classic {
    pub(super) fn recognise(magic: [u8; 4]) -> Option<Self> {
        [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| {
            let (ns_per_tick, record_header) = match order.u32(magic) {
                MAGIC_MICROSECONDS => (1_000, RECORD_HEADER_BYTES),
                MAGIC_NANOSECONDS => (1, RECORD_HEADER_BYTES),
                MAGIC_MODIFIED => (1_000, MODIFIED_RECORD_HEADER_BYTES),
                _ => return None,
            };
            Some(Self { order, ns_per_tick, record_header, minor: 4, link: None, flags: EpbFlags::NONE })
        })
    }

    pub(super) fn step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Trouble> {
        match self.link {
            None => self.file_header(bytes, offset),
            Some(link) => self.record(link, bytes, offset),
        }
    }

    fn file_header(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Trouble> {
        let Some(header) = bytes.first_chunk::<FILE_HEADER_BYTES>() else {
            return Ok(Step::Short { needed: FILE_HEADER_BYTES });
        };
        let word = |at| self.order.u32_at(header, at).unwrap_or_default();
        let half = |at| self.order.u16_at(header, at).unwrap_or_default();
        let (major, minor) = (half(4), half(6));
        if major != 2 || minor > 4 {
            let what = format!("pcap version {major}.{minor}; this reader knows 2.0 to 2.4");
            return Err(Trouble::damaged(offset + 4, what));
        }
        let (snaplen, link_field) = (word(16), word(20));
        let link = u16::try_from(link_field & LINK_MASK).map_err(|_| {
            let number = link_field & LINK_MASK;
            Trouble::damaged(
                offset + 20,
                format!("link type {number} is above 65535, the highest there can be"),
            )
        })?;
        self.minor = minor;
        self.link = Some(LinkType(link));
        self.flags = fcs_flags(link_field);
        let mut def = InterfaceDef::named("", LinkType(link));
        def.snaplen = snaplen;
        Ok(Step::Interface { len: FILE_HEADER_BYTES, def })
    }

    fn record(&self, link: LinkType, bytes: &[u8], offset: u64) -> Result<Step, Trouble> {
        let Some(header) = bytes.get(..self.record_header) else {
            return Ok(Step::Short { needed: self.record_header });
        };
        let word = |at| self.order.u32_at(header, at).unwrap_or_default();
        let (mut captured, mut wire_len) = (word(8), word(12));
        // Before 2.3 the two lengths stood the other way round; writers of 2.3 disagreed.
        if self.minor < 3 || (self.minor == 3 && captured > wire_len) {
            (captured, wire_len) = (wire_len, captured);
        }
        if captured > MAX_PACKET_BYTES {
            let what = format!(
                "record of {captured} captured bytes; the longest there can be is {MAX_PACKET_BYTES}"
            );
            return Err(Trouble::damaged(offset, what));
        }
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
        let len = self.record_header.saturating_add(captured);
        if bytes.len() < len {
            return Ok(Step::Short { needed: len });
        }
        // A fraction beyond a second is taken as it stands: 2^32 s + 2^32 µs stay far below 2^64 ns.
        let ns = u64::from(word(0)) * NS_PER_SEC + u64::from(word(4)) * self.ns_per_tick;
        let record = Record {
            bytes: self.record_header..len,
            wire_len,
            stamp: Stamp::new(ns, StampClock::FILE),
            interface: 0,
            link,
            flags: self.flags,
            lost_before: 0,
        };
        Ok(Step::Record { len, record, out_of_range: false })
    }
}

/// The FCS length of the link-type field, in the place that `epb_flags` has for it.
const fn fcs_flags(link_field: u32) -> EpbFlags {
    let bytes = (link_field >> 28) * 2;
    if link_field & FCS_KNOWN == 0 || bytes > 15 { EpbFlags::NONE } else { EpbFlags(bytes << 5) }
}
