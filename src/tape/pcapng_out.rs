//! Packets of a tape as one standard pcapng stream: interfaces described when they are first met, ns stamps,
//! directions and drop counts. The journal's own options are left out: what is extracted is evidence of packets, not a journal.

use super::outcome::TapeError;
use crate::journal::reader::TapePacket;
use crate::packet::InterfaceDef;
use crate::pcapng::write::{self, EnhancedPacket};
use std::collections::HashMap;
use std::io::Write;

/// Writes records of a tape as pcapng.
#[derive(Debug)]
pub struct PcapngOut<W: Write> {
    out: W,
    name: String,
    block: Vec<u8>,
    /// Number in the stream, by queue, segment, and index in that.
    numbers: HashMap<(u16, u32, u32), u32>,
    /// Written, in order: the same definition of another segment is not written again.
    written: Vec<(u16, InterfaceDef)>,
    packets: u64,
    bytes: u64,
}

impl<W: Write> PcapngOut<W> {
    /// Writes the section header. `name` says in messages where it goes.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn new(out: W, name: &str) -> Result<Self, TapeError> {
        let mut this = Self {
            out,
            name: name.to_owned(),
            block: Vec::new(),
            numbers: HashMap::new(),
            written: Vec::new(),
            packets: 0,
            bytes: 0,
        };
        let application = concat!("tape ", env!("CARGO_PKG_VERSION"));
        write::section_header(&mut this.block, "", "", application, &[]);
        this.send()?;
        Ok(this)
    }

    /// Writes a packet of the interface `def`, and that before it if it is new.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn packet(&mut self, packet: &TapePacket<'_>, def: Option<&InterfaceDef>) -> Result<(), TapeError> {
        let interface = self.interface(packet, def)?;
        let block = EnhancedPacket {
            interface,
            stamp_ns: packet.stamp.ns,
            bytes: packet.bytes,
            wire_len: packet.wire_len,
            flags: packet.flags,
            lost_before: packet.lost_before,
        };
        write::enhanced_packet(&mut self.block, &block, &[]);
        self.packets += 1;
        self.send()
    }

    fn interface(&mut self, packet: &TapePacket<'_>, def: Option<&InterfaceDef>) -> Result<u32, TapeError> {
        let key = (packet.queue, packet.segment, packet.interface);
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let unknown = || InterfaceDef::named(&format!("queue{}", packet.queue), packet.link);
        let def = def.cloned().unwrap_or_else(unknown);
        let known = self.written.iter().position(|(queue, d)| *queue == packet.queue && *d == def);
        let number = u32::try_from(known.unwrap_or(self.written.len())).unwrap_or(u32::MAX);
        if known.is_none() {
            write::interface_description(&mut self.block, &def, "", &[]);
            self.written.push((packet.queue, def));
            self.send()?;
        }
        self.numbers.insert(key, number);
        Ok(number)
    }

    fn send(&mut self) -> Result<(), TapeError> {
        self.out.write_all(&self.block).map_err(TapeError::io(format!("writing {}", self.name)))?;
        self.bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Hands everything over to whoever reads.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.out.flush().map_err(TapeError::io(format!("writing {}", self.name)))
    }

    /// Packets written.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes written.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
