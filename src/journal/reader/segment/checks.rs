//! What a block must be to be believed, in this order: its frame and CRC hold; it may stand where it stands (section
//! header, segment header, an anchor at every MiB, nothing behind the end); it continues what came before (sequence
//! numbers, anchor contents, the end's counts).

use super::{BlockError, SegmentReader};
use crate::journal::format::decode::{self, Block};
use crate::journal::format::{self, Anchor, EndOfSegment, MAX_INTERFACES, MIB, SegmentHeader};
use crate::journal::reader::bytes::Found;
use crate::packet::{InterfaceDef, LinkType};
use crate::pcapng::block::{INTERFACE_DESCRIPTION, SECTION_HEADER};
use crate::time::{Stamp, StampClock};

impl SegmentReader {
    /// Checks a block and takes what it says into account. True if it is a record for the caller.
    pub(super) fn take(&mut self, kind: u32, offset: u64, len_bytes: u64) -> Result<bool, BlockError> {
        self.check_place(kind, offset)?;
        let seed = self.segment_id.unwrap_or(0);
        let (_, block) = decode::checked(self.bytes.block(), seed)?;
        match decode::parse(kind, block)? {
            Block::Section(section) => self.section = Some(section),
            Block::SegmentHeader(header) => self.take_header(header)?,
            Block::Interface(def) => {
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err(BlockError::OutOfPlace("more interfaces than a queue can have"));
                }
                self.interfaces.push(def);
                return Ok(true);
            }
            Block::Packet(packet) => {
                let (seq, stamp, interface) = (packet.seq, packet.stamp, packet.interface);
                let captured = packet.bytes.len() as u64;
                self.take_packet(seq, stamp, interface, captured, offset)?;
                return Ok(true);
            }
            Block::Anchor(anchor) => self.take_anchor(&anchor, offset)?,
            Block::Pad => {}
            Block::End(end) => {
                self.take_end(&end, offset + len_bytes)?;
                return Ok(true);
            }
            Block::Statistics(_) | Block::Loss(_) | Block::Clock(_) | Block::Event(_) => return Ok(true),
        }
        Ok(false)
    }

    /// May a block of this type stand here?
    fn check_place(&self, kind: u32, offset: u64) -> Result<(), BlockError> {
        if !decode::is_journal_type(kind) {
            return Err(decode::Damage::Type(kind).into());
        }
        let wrong = |what| Err(BlockError::OutOfPlace(what));
        if (kind == SECTION_HEADER) != (offset == 0) {
            return wrong("a section header stands at byte 0, and only there");
        }
        let needs_header = offset != 0 && self.segment_id.is_none();
        if (kind == format::SEGMENT_HEADER) != needs_header {
            return wrong("a segment header stands right behind the section header, and only there");
        }
        if (kind == format::ANCHOR) != (offset != 0 && offset.is_multiple_of(MIB)) {
            return wrong("an anchor stands at each MiB, and only there");
        }
        Ok(())
    }

    fn take_header(&mut self, header: SegmentHeader) -> Result<(), BlockError> {
        if header.version != format::FORMAT_VERSION {
            return Err(BlockError::Version(header.version));
        }
        if self.named.is_some_and(|named| named != (header.queue, header.index)) {
            return Err(BlockError::Misnamed { queue: header.queue, index: header.index });
        }
        self.segment_id = Some(header.segment_id);
        self.next_seq = Some(header.first_seq);
        self.header = Some(header);
        Ok(())
    }

    fn take_packet(
        &mut self,
        seq: u64,
        stamp: Stamp,
        interface: u32,
        captured: u64,
        offset: u64,
    ) -> Result<(), BlockError> {
        if let Some(expected) = self.next_seq
            && expected != seq
        {
            return Err(BlockError::Sequence { expected, found: seq });
        }
        if let Some(expected) = self.promised_stamp_ns.take()
            && expected != stamp.ns
        {
            let what = "next stamp (of this packet)";
            return Err(BlockError::Anchor { what, said: expected, expected: stamp.ns });
        }
        self.know_interface(interface, offset)?;
        self.next_seq = Some(seq.wrapping_add(1));
        self.stamp_ns = Some(stamp.ns);
        self.counted.packets += 1;
        self.counted.packet_bytes += captured;
        if stamp.clock != StampClock::NONE {
            self.counted.stamp(stamp.ns);
        }
        Ok(())
    }

    /// Makes sure that the interface is known: behind a jump its description may have been left out.
    fn know_interface(&mut self, interface: u32, offset: u64) -> Result<(), BlockError> {
        if self.interface(interface).is_some() {
            return Ok(());
        }
        let wanted = usize::try_from(interface).unwrap_or(usize::MAX);
        if self.is_gapless || wanted >= MAX_INTERFACES {
            return Err(BlockError::UnknownInterface(interface));
        }
        if let Some(all) = self.scan_interfaces(offset) {
            self.interfaces = all;
        }
        // The scan used the buffer: the packet's block has to be there again for `record`.
        let _ = self.bytes.fetch(offset);
        if self.interface(interface).is_none() {
            if !self.is_lenient {
                return Err(BlockError::UnknownInterface(interface));
            }
            // Packets of a damaged segment are worth more than their link type: "private use 0" claims nothing.
            self.interfaces.resize(wanted + 1, InterfaceDef::named("unknown", LinkType(147)));
        }
        Ok(())
    }

    /// All interfaces described before `until`, by walking there; None if damage is in the way.
    fn scan_interfaces(&mut self, until: u64) -> Option<Vec<InterfaceDef>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < until {
            let Ok(Found::Block { kind, len_bytes }) = self.bytes.fetch(at) else { return None };
            if kind == INTERFACE_DESCRIPTION
                && let Ok(Block::Interface(def)) = decode::parse(kind, self.bytes.block())
            {
                found.push(def);
            }
            at += len_bytes;
        }
        Some(found)
    }

    fn take_anchor(&mut self, anchor: &Anchor, offset: u64) -> Result<(), BlockError> {
        let mut checks = vec![
            ("position", anchor.position, Some(offset)),
            ("segment id", u64::from(anchor.segment_id), self.segment_id.map(u64::from)),
            ("queue", u64::from(anchor.queue), self.header.map(|h| u64::from(h.queue))),
            ("next sequence number", anchor.next_seq, self.next_seq),
        ];
        if self.is_gapless {
            checks.push(("highest stamp", anchor.max_stamp_ns, Some(self.counted.max_stamp_ns)));
        }
        for (what, said, expected) in checks {
            if let Some(expected) = expected.filter(|e| *e != said) {
                return Err(BlockError::Anchor { what, said, expected });
            }
        }
        if self.header.is_some_and(|h| h.capture_id != anchor.capture_id) {
            return Err(BlockError::OutOfPlace("the anchor is of another capture than the segment"));
        }
        self.next_seq = Some(anchor.next_seq);
        self.promised_stamp_ns = Some(anchor.next_stamp_ns).filter(|ns| *ns != 0);
        Ok(())
    }

    fn take_end(&mut self, end: &EndOfSegment, behind: u64) -> Result<(), BlockError> {
        if let Some(expected) = self.next_seq.filter(|n| *n != end.next_seq) {
            return Err(BlockError::EndMismatch {
                what: "next sequence number",
                said: end.next_seq,
                expected,
            });
        }
        if self.is_gapless {
            let c = &self.counted;
            for (what, said, expected) in [
                ("packet count", end.packets, c.packets),
                ("lowest stamp", end.min_stamp_ns, c.min_stamp_ns),
                ("highest stamp", end.max_stamp_ns, c.max_stamp_ns),
            ] {
                if said != expected {
                    return Err(BlockError::EndMismatch { what, said, expected });
                }
            }
        }
        // A live file is longer until it is cut; only a finished one must end here.
        if !self.bytes.is_live() && behind < self.bytes.len_bytes() {
            return Err(BlockError::BehindEnd(self.bytes.len_bytes() - behind));
        }
        self.end = Some(*end);
        self.has_ended = true;
        Ok(())
    }
}
