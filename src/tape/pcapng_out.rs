//! Packets of a tape or a capture file as one standard pcapng stream: interfaces described when they are first met,
//! ns stamps, directions and drop counts. The journal's own options are left out: what is written is evidence of
//! packets, not a journal.

use super::gathered::Gathered;
use super::outcome::TapeError;
use crate::journal::reader::TapePacket;
use crate::packet::{InterfaceDef, LinkType, Packet};
use crate::pcapng::write::{EnhancedPacket, enhanced_packet, interface_description, section_header};
use crate::time::StampClock;
use std::borrow::Cow;
use std::io::Write;

/// Writes packets as one pcapng section.
#[derive(Debug)]
pub struct PcapngOut<W: Write> {
    gathered: Gathered<W>,
    /// Written, in order: the place in this list is the number in the stream.
    interfaces: Vec<Described>,
    /// The number that the packet before had: mostly this one's, too.
    last: usize,
    packets: u64,
    without_time: u64,
}

/// An interface that has been described.
#[derive(Debug)]
struct Described {
    source: u32,
    link: LinkType,
    def: InterfaceDef,
}

impl<W: Write> PcapngOut<W> {
    /// Writes the section header at once, so that a reader at the other end of a pipe can begin. `name` says in
    /// messages where it goes.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn new(out: W, name: &str) -> Result<Self, TapeError> {
        let mut gathered = Gathered::new(out, name);
        let application = concat!("tape ", env!("CARGO_PKG_VERSION"));
        section_header(&mut gathered.buffer, "", "", application, &[]);
        gathered.write()?;
        Ok(Self { gathered, interfaces: Vec::new(), last: 0, packets: 0, without_time: 0 })
    }

    /// Writes a packet of the interface `def`, and that before it if it is new: the same definition from another
    /// `source` (a queue, an interface of a file) is another interface.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn packet(&mut self, packet: &Packet<'_>, source: u32, def: &InterfaceDef) -> Result<(), TapeError> {
        let block = EnhancedPacket {
            interface: self.interface(source, packet.link, def),
            stamp_ns: packet.stamp.ns,
            bytes: packet.bytes,
            wire_len: packet.wire_len,
            flags: packet.flags,
            lost_before: packet.lost_before,
        };
        enhanced_packet(&mut self.gathered.buffer, &block, &[]);
        self.packets += 1;
        self.without_time += u64::from(packet.stamp.clock == StampClock::NONE);
        self.gathered.write_if_full()
    }

    /// Writes a packet as it stands on tape; its queue is the source.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn tape_packet(
        &mut self,
        packet: &TapePacket<'_>,
        def: Option<&InterfaceDef>,
    ) -> Result<(), TapeError> {
        let source = u32::from(packet.queue);
        let unknown = || Cow::Owned(InterfaceDef::named(&format!("queue{source}"), packet.link));
        let def = def.map_or_else(unknown, Cow::Borrowed);
        self.packet(&packet.as_packet(), source, &def)
    }

    fn interface(&mut self, source: u32, link: LinkType, def: &InterfaceDef) -> u32 {
        let is_it = |d: &Described| d.source == source && d.link == link && d.def == *def;
        if !self.interfaces.get(self.last).is_some_and(is_it) {
            let known = self.interfaces.iter().position(is_it);
            self.last = known.unwrap_or_else(|| self.describe(source, link, def));
        }
        u32::try_from(self.last).unwrap_or(u32::MAX)
    }

    fn describe(&mut self, source: u32, link: LinkType, def: &InterfaceDef) -> usize {
        let mut written = def.clone();
        written.link = link;
        interface_description(&mut self.gathered.buffer, &written, "", &[]);
        self.interfaces.push(Described { source, link, def: def.clone() });
        self.interfaces.len() - 1
    }

    /// Hands everything over to whoever reads.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.gathered.write()
    }

    /// Packets taken.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets among them that have no stamp, written with time 0.
    pub const fn without_time(&self) -> u64 {
        self.without_time
    }

    /// Bytes written, up to the last flush.
    pub const fn bytes(&self) -> u64 {
        self.gathered.written_bytes()
    }
}
