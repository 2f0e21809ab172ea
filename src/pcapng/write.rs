//! Encodes pcapng blocks, little-endian, nanosecond stamps.
//!
//! Pure: bytes go into the caller's `Vec`, which is grown only if it is too small.
//! Always true: what is appended is a whole block, its length a multiple of four and
//! written at both ends. Strings that do not fit an option are cut, never refused.

use crate::packet::{EpbFlags, InterfaceDef};

/// Section Header Block.
pub const SECTION_HEADER: u32 = 0x0A0D_0D0A;
/// Interface Description Block.
pub const INTERFACE_DESCRIPTION: u32 = 1;
/// Interface Statistics Block.
pub const INTERFACE_STATISTICS: u32 = 5;
/// Enhanced Packet Block.
pub const ENHANCED_PACKET: u32 = 6;
/// The byte-order magic of a section header.
pub const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;

/// `opt_endofopt`.
pub const OPT_END: u16 = 0;
/// `epb_flags`.
pub const EPB_FLAGS: u16 = 2;
/// `epb_dropcount`.
pub const EPB_DROPCOUNT: u16 = 4;
/// `if_name`.
pub const IF_NAME: u16 = 2;
/// `if_description`.
pub const IF_DESCRIPTION: u16 = 3;
/// `if_MACaddr`.
pub const IF_MAC: u16 = 6;
/// `if_speed`.
pub const IF_SPEED: u16 = 8;
/// `if_tsresol`.
pub const IF_TSRESOL: u16 = 9;
/// `if_filter`.
pub const IF_FILTER: u16 = 11;
/// `if_os`.
pub const IF_OS: u16 = 12;
/// `if_hardware`.
pub const IF_HARDWARE: u16 = 15;
/// `shb_hardware`.
pub const SHB_HARDWARE: u16 = 2;
/// `shb_os`.
pub const SHB_OS: u16 = 3;
/// `shb_userappl`.
pub const SHB_USERAPPL: u16 = 4;
/// `isb_starttime`.
pub const ISB_START: u16 = 2;
/// `isb_endtime`.
pub const ISB_END: u16 = 3;
/// `isb_ifrecv`.
pub const ISB_IFRECV: u16 = 4;
/// `isb_ifdrop`.
pub const ISB_IFDROP: u16 = 5;
/// `isb_filteraccept`.
pub const ISB_FILTERACCEPT: u16 = 6;
/// `isb_osdrop`.
pub const ISB_OSDROP: u16 = 7;
/// `isb_usrdeliv`.
pub const ISB_USRDELIV: u16 = 8;

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
    let mut block = BlockBuilder::new(out, SECTION_HEADER)
        .bytes(&BYTE_ORDER_MAGIC.to_le_bytes())
        .bytes(&[1, 0, 0, 0])
        .bytes(&[0xFF; 8])
        .text(SHB_HARDWARE, hardware)
        .text(SHB_OS, os)
        .text(SHB_USERAPPL, application);
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
    let mut block = BlockBuilder::new(out, INTERFACE_DESCRIPTION)
        .bytes(&def.link.0.to_le_bytes())
        .bytes(&[0; 2])
        .bytes(&def.snaplen.to_le_bytes())
        .text(IF_NAME, &def.name)
        .text(IF_DESCRIPTION, &def.description);
    if let Some(mac) = def.mac {
        block = block.option(IF_MAC, &mac);
    }
    if def.speed_bps != 0 {
        block = block.option(IF_SPEED, &def.speed_bps.to_le_bytes());
    }
    block = block.option(IF_TSRESOL, &[9]);
    if !def.filter.is_empty() {
        // Kind 0: the text of a libpcap filter.
        let text = cut(&def.filter, MAX_STRING_BYTES - 1).as_bytes();
        let mut value = [0_u8; MAX_STRING_BYTES];
        value[1..=text.len()].copy_from_slice(text);
        block = block.option(IF_FILTER, &value[..=text.len()]);
    }
    block = block.text(IF_OS, os).text(IF_HARDWARE, &def.hardware);
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
    let mut block = BlockBuilder::new(out, INTERFACE_STATISTICS)
        .bytes(&interface.to_le_bytes())
        .bytes(&stamp_bytes(at_ns));
    for (code, value) in [(ISB_START, stats.start_ns), (ISB_END, stats.end_ns)] {
        if let Some(ns) = value {
            block = block.option(code, &stamp_bytes(ns));
        }
    }
    let counts = [
        (ISB_IFRECV, stats.received),
        (ISB_IFDROP, stats.dropped),
        (ISB_FILTERACCEPT, stats.filter_accepted),
        (ISB_OSDROP, stats.os_dropped),
        (ISB_USRDELIV, stats.delivered),
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
    let mut block = BlockBuilder::new(out, ENHANCED_PACKET)
        .bytes(&packet.interface.to_le_bytes())
        .bytes(&stamp_bytes(packet.stamp_ns))
        .bytes(&captured.to_le_bytes())
        .bytes(&packet.wire_len.to_le_bytes())
        .bytes(packet.bytes)
        .pad();
    let mut options = false;
    if packet.flags != EpbFlags::NONE {
        options = true;
        block = block.option(EPB_FLAGS, &packet.flags.0.to_le_bytes());
    }
    if packet.lost_before != 0 {
        options = true;
        block = block.option(EPB_DROPCOUNT, &packet.lost_before.to_le_bytes());
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
