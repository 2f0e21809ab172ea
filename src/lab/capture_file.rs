//! Capture files of Ethernet frames with nanosecond stamps: pcapng with named interfaces, or classic pcap without.

use crate::packet::{EpbFlags, InterfaceDef, LinkType};
use crate::pcapng::write::{EnhancedPacket, enhanced_packet, interface_description, section_header};
use std::io::{self, Write};

/// Magic of a classic file with nanosecond stamps.
const MAGIC_NS: u32 = 0xa1b2_3c4d;
/// Longest frame that is announced, bytes.
const SNAPLEN: u32 = 262_144;

/// Writes frames, whole.
#[derive(Debug)]
pub struct CaptureFile<W> {
    out: W,
    /// Classic: no interfaces.
    classic: bool,
    block: Vec<u8>,
}

impl<W: Write> CaptureFile<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut out: W, classic: bool) -> io::Result<Self> {
        let mut block = Vec::new();
        if classic {
            block.extend_from_slice(&MAGIC_NS.to_le_bytes());
            block.extend_from_slice(&[2, 0, 4, 0]); // version 2.4
            block.extend_from_slice(&[0; 8]); // UTC, no claim of accuracy
            block.extend_from_slice(&SNAPLEN.to_le_bytes());
            block.extend_from_slice(&u32::from(LinkType::ETHERNET.0).to_le_bytes());
        } else {
            section_header(&mut block, "", "", "wiretape gen", &[]);
        }
        out.write_all(&block)?;
        Ok(Self { out, classic, block })
    }

    /// Announces the next interface; a classic file has no place for it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn interface(&mut self, name: &str) -> io::Result<()> {
        if self.classic {
            return Ok(());
        }
        let def = InterfaceDef { snaplen: SNAPLEN, ..InterfaceDef::named(name, LinkType::ETHERNET) };
        self.block.clear();
        interface_description(&mut self.block, &def, "", &[]);
        self.out.write_all(&self.block)
    }

    /// Writes one frame that came in on an announced interface.
    ///
    /// # Errors
    /// What the writer says; `InvalidInput` for a time or length that the format cannot hold (a classic file's seconds
    /// end in 2106).
    pub fn write(&mut self, interface: usize, stamp_ns: u64, frame: &[u8]) -> io::Result<()> {
        let narrow = |value: u64| {
            u32::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        };
        let wire_len = narrow(frame.len() as u64)?;
        self.block.clear();
        if self.classic {
            for word in
                [narrow(stamp_ns / 1_000_000_000)?, narrow(stamp_ns % 1_000_000_000)?, wire_len, wire_len]
            {
                self.block.extend_from_slice(&word.to_le_bytes());
            }
            self.block.extend_from_slice(frame);
        } else {
            let packet = EnhancedPacket {
                interface: narrow(interface as u64)?,
                stamp_ns,
                bytes: frame,
                wire_len,
                flags: EpbFlags::NONE,
                lost_before: 0,
            };
            enhanced_packet(&mut self.block, &packet, &[]);
        }
        self.out.write_all(&self.block)
    }

    /// Hands everything on to the file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
