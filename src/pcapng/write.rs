//! Encodes pcapng blocks, little-endian, nanosecond stamps.
//!
//! Pure: bytes go into the caller's `Vec`, which is grown only if it is too small.
//! Always true: what is appended is a whole block, its length a multiple of four and
//! written at both ends. Strings that do not fit an option are cut, never refused.

use super::{BYTE_ORDER_MAGIC, block, option};
use crate::packet::{EpbFlags, InterfaceDef};

/// Longest string kept in an option, bytes.
pub const MAX_STRING_BYTES: usize = 255;

/// `n` rounded up to a multiple of four.
pub const fn padded(n: usize) -> usize {
    n.saturating_add(3) & !3
}

/// A `u64` stamp as pcapng stores it: high word, low word, each little-endian.
pub const fn stamp_bytes(ns: u64) -> [u8; 8] {
    ns.rotate_left(32).to_le_bytes()
}

/// A block under construction at the end of a `Vec`.
#[derive(Debug)]
pub struct BlockBuilder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> BlockBuilder<'a> {
    /// Begins a block of this type.
    pub fn new(out: &'a mut Vec<u8>, block_type: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&block_type.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start }
    }

    /// Appends bytes of the body, as they are.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Fills up to the next multiple of four.
    #[must_use]
    pub fn pad(self) -> Self {
        let len = self.out.len() - self.start;
        self.out.resize(self.start + padded(len), 0);
        self
    }

    /// Appends an option; a value longer than `u16::MAX` is cut.
    #[must_use]
    pub fn option(self, code: u16, value: &[u8]) -> Self {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&code.to_le_bytes());
        self.out.extend_from_slice(&len.to_le_bytes());
        self.bytes(&value[..usize::from(len)]).pad()
    }

    /// Appends a string option, unless it is empty; longer ones are cut at a character.
    #[must_use]
    pub fn text(self, code: u16, text: &str) -> Self {
        let text = cut(text, MAX_STRING_BYTES);
        if text.is_empty() { self } else { self.option(code, text.as_bytes()) }
    }

    /// Ends the options.
    #[must_use]
    pub fn end_options(self) -> Self {
        self.bytes(&[0; 4])
    }

    /// Writes both lengths. Answers the whole block.
    pub fn finish(self) -> &'a mut [u8] {
        let len = u32::try_from(self.out.len() - self.start + 4).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&len.to_le_bytes());
        let block = &mut self.out[self.start..];
        block[4..8].copy_from_slice(&len.to_le_bytes());
        block
    }
}

/// `text` cut to at most `max` bytes, at a character.
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// An option that the caller adds at the end of a block: code and value.
pub type ExtraOption<'a> = (u16, &'a [u8]);

/// A section header: who captured, on what. Section length is left open (−1).
pub fn section_header<'a>(
    out: &'a mut Vec<u8>,
    hardware: &str,
    os: &str,
    application: &str,
    extra: &[ExtraOption<'_>],
) -> &'a mut [u8] {
    let mut block = BlockBuilder::new(out, block::SECTION_HEADER)
        .bytes(&BYTE_ORDER_MAGIC.to_le_bytes())
        .bytes(&[1, 0, 0, 0])
        .bytes(&[0xFF; 8])
        .text(option::SHB_HARDWARE, hardware)
        .text(option::SHB_OS, os)
        .text(option::SHB_USERAPPL, application);
    for (code, value) in extra {
        block = block.option(*code, value);
    }
    block.end_options().finish()
}

/// An interface description with nanosecond stamps (`if_tsresol` 9).
pub fn interface_description<'a>(
    out: &'a mut Vec<u8>,
    def: &InterfaceDef,
    os: &str,
    extra: &[ExtraOption<'_>],
) -> &'a mut [u8] {
    let mut block = BlockBuilder::new(out, block::INTERFACE_DESCRIPTION)
        .bytes(&def.link.0.to_le_bytes())
        .bytes(&[0; 2])
        .bytes(&def.snaplen.to_le_bytes())
        .text(option::IF_NAME, &def.name)
        .text(option::IF_DESCRIPTION, &def.description);
    if let Some(mac) = def.mac {
        block = block.option(option::IF_MAC, &mac);
    }
    if def.speed_bps != 0 {
        block = block.option(option::IF_SPEED, &def.speed_bps.to_le_bytes());
    }
    block = block.option(option::IF_TSRESOL, &[9]);
    if !def.filter.is_empty() {
        // Kind 0: the text of a libpcap filter.
        let text = cut(&def.filter, MAX_STRING_BYTES - 1).as_bytes();
        let mut value = [0_u8; MAX_STRING_BYTES];
        value[1..=text.len()].copy_from_slice(text);
        block = block.option(option::IF_FILTER, &value[..=text.len()]);
    }
    block = block.text(option::IF_OS, os).text(option::IF_HARDWARE, &def.hardware);
    for (code, value) in extra {
        block = block.option(*code, value);
    }
    block.end_options().finish()
}

/// What an Interface Statistics Block says; `None` is left out. All counts since the capture began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// When the capture began, ns since the Unix epoch (`isb_starttime`).
    pub start_ns: Option<u64>,
    /// When it ended, or when this was written (`isb_endtime`).
    pub end_ns: Option<u64>,
    /// Packets that the interface received (`isb_ifrecv`).
    pub received: Option<u64>,
    /// Packets that the interface dropped for want of room (`isb_ifdrop`).
    pub dropped: Option<u64>,
    /// Packets that passed the filter (`isb_filteraccept`).
    pub filter_accepted: Option<u64>,
    /// Packets that the operating system dropped (`isb_osdrop`).
    pub os_dropped: Option<u64>,
    /// Packets that were written (`isb_usrdeliv`).
    pub delivered: Option<u64>,
}

/// Interface statistics, stamped `at_ns`.
pub fn interface_statistics<'a>(
    out: &'a mut Vec<u8>,
    interface: u32,
    at_ns: u64,
    stats: &InterfaceStats,
    extra: &[ExtraOption<'_>],
) -> &'a mut [u8] {
    let mut block = BlockBuilder::new(out, block::INTERFACE_STATISTICS)
        .bytes(&interface.to_le_bytes())
        .bytes(&stamp_bytes(at_ns));
    for (code, value) in [(option::ISB_STARTTIME, stats.start_ns), (option::ISB_ENDTIME, stats.end_ns)] {
        if let Some(ns) = value {
            block = block.option(code, &stamp_bytes(ns));
        }
    }
    let counts = [
        (option::ISB_IFRECV, stats.received),
        (option::ISB_IFDROP, stats.dropped),
        (option::ISB_FILTERACCEPT, stats.filter_accepted),
        (option::ISB_OSDROP, stats.os_dropped),
        (option::ISB_USRDELIV, stats.delivered),
    ];
    for (code, value) in counts {
        if let Some(count) = value {
            block = block.option(code, &count.to_le_bytes());
        }
    }
    for (code, value) in extra {
        block = block.option(*code, value);
    }
    block.end_options().finish()
}

/// What an Enhanced Packet Block says.
#[derive(Clone, Copy, Debug)]
pub struct EnhancedPacket<'a> {
    /// Index of its interface in the section.
    pub interface: u32,
    /// Stamp, ns since the Unix epoch.
    pub stamp_ns: u64,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// `epb_flags`; left out if 0.
    pub flags: EpbFlags,
    /// `epb_dropcount`; left out if 0.
    pub lost_before: u64,
}

/// A packet.
pub fn enhanced_packet<'a>(
    out: &'a mut Vec<u8>,
    packet: &EnhancedPacket<'_>,
    extra: &[ExtraOption<'_>],
) -> &'a mut [u8] {
    let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    let mut block = BlockBuilder::new(out, block::ENHANCED_PACKET)
        .bytes(&packet.interface.to_le_bytes())
        .bytes(&stamp_bytes(packet.stamp_ns))
        .bytes(&captured.to_le_bytes())
        .bytes(&packet.wire_len.to_le_bytes())
        .bytes(packet.bytes)
        .pad();
    let mut options = false;
    if packet.flags != EpbFlags::NONE {
        options = true;
        block = block.option(option::EPB_FLAGS, &packet.flags.0.to_le_bytes());
    }
    if packet.lost_before != 0 {
        options = true;
        block = block.option(option::EPB_DROPCOUNT, &packet.lost_before.to_le_bytes());
    }
    for (code, value) in extra {
        options = true;
        block = block.option(*code, value);
    }
    if options { block.end_options().finish() } else { block.finish() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;

    fn whole(block: &[u8]) {
        assert_eq!(block.len() % 4, 0);
        let len = u32::try_from(block.len()).unwrap().to_le_bytes();
        assert_eq!(block[4..8], len);
        assert_eq!(block[block.len() - 4..], len);
    }

    #[test]
    fn every_block_says_its_length_at_both_ends() {
        let mut out = Vec::new();
        whole(section_header(&mut out, "cpu", "linux", "wiretape", &[]));
        let mut def = InterfaceDef::named("eth0", LinkType::ETHERNET);
        def.filter = "udp".repeat(200);
        def.mac = Some([1, 2, 3, 4, 5, 6]);
        def.speed_bps = 1;
        whole(interface_description(&mut out, &def, "linux", &[(0x8757, &[0; 4])]));
        whole(interface_statistics(&mut out, 0, 7, &InterfaceStats::default(), &[]));
        for n in 0..9 {
            let packet = EnhancedPacket {
                interface: 0,
                stamp_ns: 1,
                bytes: &[7; 9][..n],
                wire_len: 60,
                flags: EpbFlags(u32::from(n % 2 == 0)),
                lost_before: 0,
            };
            whole(enhanced_packet(&mut out, &packet, &[]));
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }

    #[test]
    fn a_stamp_is_stored_high_word_first() {
        assert_eq!(stamp_bytes(0x0102_0304_0506_0708), [4, 3, 2, 1, 8, 7, 6, 5]);
    }
}
