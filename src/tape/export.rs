//! `tape export`: one standard file out of a journal: pcapng, or classic pcap with nanosecond stamps.
//!
//! The packets come in order of stamp over all queues. A classic file has one link type; the first packet of
//! another one is a refusal that names both. Packets without a stamp are written with time 0 and counted.

use super::input::{Input, Item};
use super::outcome::{Outcome, TapeError};
use super::select::Selection;
use crate::packet::LinkType;
use crate::pcapng::write::{EnhancedPacket, enhanced_packet, interface_description, section_header};
use crate::time::{NS_PER_SEC, StampClock};
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Classic pcap, nanosecond stamps.
    Pcap,
    /// pcapng.
    Pcapng,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// In which format.
    pub format: Format,
    /// Packets written.
    pub packets: u64,
    /// Bytes written, headers included.
    pub bytes: u64,
    /// Packets that have no stamp, written with time 0.
    pub without_time: u64,
}

/// Writes what is selected of `input` to `out`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or the output; [`TapeError::Refused`] for several link types in a pcap.
pub fn run(
    input: &Input,
    selection: &Selection,
    format: Format,
    out: &mut dyn Write,
) -> Result<(Outcome, Exported), TapeError> {
    let exported = match format {
        Format::Pcapng => {
            let mut writer = PcapngWriter::begin(out)?;
            each_to(input, selection, &mut |item| writer.packet(item))?;
            writer.finish()?
        }
        Format::Pcap => {
            let mut writer = PcapWriter::begin(out);
            each_to(input, selection, &mut |item| writer.packet(item))?;
            writer.finish()?
        }
    };
    Ok((Outcome::Good, exported))
}

fn each_to(
    input: &Input,
    selection: &Selection,
    write: &mut dyn FnMut(&Item<'_>) -> Result<(), TapeError>,
) -> Result<(), TapeError> {
    input.for_each(selection, &mut |item| write(item).map(ControlFlow::Continue))
}

/// Bytes gathered before they are written.
const BATCH_BYTES: usize = 256 << 10;

/// Gathers blocks, and writes them many at a time.
struct Gathered<'o> {
    out: &'o mut dyn Write,
    buffer: Vec<u8>,
    done: Exported,
}

impl<'o> Gathered<'o> {
    fn new(out: &'o mut dyn Write, format: Format) -> Self {
        let done = Exported { format, packets: 0, bytes: 0, without_time: 0 };
        Self { out, buffer: Vec::with_capacity(2 * BATCH_BYTES), done }
    }
    fn count(&mut self, item: &Item<'_>) {
        self.done.packets += 1;
        self.done.without_time += u64::from(item.packet.stamp.clock == StampClock::NONE);
    }
    fn write_if_full(&mut self) -> Result<(), TapeError> {
        if self.buffer.len() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }
    fn write(&mut self) -> Result<(), TapeError> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        written.map_err(TapeError::io("cannot write the output"))?;
        self.done.bytes += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.buffer.clear();
        Ok(())
    }
}

/// Writes packets as one pcapng section; an interface is described before its first packet.
pub struct PcapngWriter<'o> {
    gathered: Gathered<'o>,
    /// Interface numbers as the input has them; the place in this list is the number in the file.
    interfaces: Vec<u32>,
}

impl std::fmt::Debug for PcapngWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PcapngWriter").field("done", &self.gathered.done).finish_non_exhaustive()
    }
}

impl<'o> PcapngWriter<'o> {
    /// Writes the section header at once, so that a reader at the other end of a pipe can begin.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn begin(out: &'o mut dyn Write) -> Result<Self, TapeError> {
        let mut gathered = Gathered::new(out, Format::Pcapng);
        let application = concat!("tape ", env!("CARGO_PKG_VERSION"));
        section_header(&mut gathered.buffer, "", "", application, &[]);
        gathered.write()?;
        Ok(Self { gathered, interfaces: Vec::new() })
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn packet(&mut self, item: &Item<'_>) -> Result<(), TapeError> {
        let interface = self.interface(item);
        let packet = &item.packet;
        let block = EnhancedPacket {
            interface,
            stamp_ns: packet.stamp.ns,
            bytes: packet.bytes,
            wire_len: packet.wire_len,
            flags: packet.flags,
            lost_before: packet.lost_before,
        };
        enhanced_packet(&mut self.gathered.buffer, &block, &[]);
        self.gathered.count(item);
        self.gathered.write_if_full()
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.gathered.write()
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn finish(mut self) -> Result<Exported, TapeError> {
        self.gathered.write()?;
        Ok(self.gathered.done)
    }

    fn interface(&mut self, item: &Item<'_>) -> u32 {
        let known = self.interfaces.iter().position(|id| *id == item.interface_id);
        let at = known.unwrap_or_else(|| {
            let mut def = item.interface.clone();
            def.link = item.packet.link;
            interface_description(&mut self.gathered.buffer, &def, "", &[]);
            self.interfaces.push(item.interface_id);
            self.interfaces.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

/// Writes packets as a classic pcap file.
struct PcapWriter<'o> {
    gathered: Gathered<'o>,
    link: Option<LinkType>,
}

impl<'o> PcapWriter<'o> {
    /// Nanosecond stamps, in the byte order of the writer (always little-endian here).
    const MAGIC_NS: u32 = 0xa1b2_3c4d;
    /// What libpcap takes for "no limit".
    const SNAPLEN: u32 = 262_144;

    fn begin(out: &'o mut dyn Write) -> Self {
        Self { gathered: Gathered::new(out, Format::Pcap), link: None }
    }

    fn packet(&mut self, item: &Item<'_>) -> Result<(), TapeError> {
        let packet = &item.packet;
        match self.link {
            None => self.header(packet.link),
            Some(link) if link == packet.link => {}
            Some(link) => {
                return Err(TapeError::Refused(format!(
                    "a pcap file has one link type, but interface `{}` has {} and packets before have {}: \
                     use --format pcapng, or select the packets of one interface",
                    item.interface.name, packet.link.0, link.0
                )));
            }
        }
        let seconds = u32::try_from(packet.stamp.ns / NS_PER_SEC).map_err(|_| {
            TapeError::Refused("a pcap file holds no time after 2106-02-07: use --format pcapng".to_owned())
        })?;
        let nanos = u32::try_from(packet.stamp.ns % NS_PER_SEC).unwrap_or(0);
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        for word in [seconds, nanos, captured, packet.wire_len] {
            self.gathered.buffer.extend_from_slice(&word.to_le_bytes());
        }
        self.gathered.buffer.extend_from_slice(packet.bytes);
        self.gathered.count(item);
        self.gathered.write_if_full()
    }

    fn header(&mut self, link: LinkType) {
        let out = &mut self.gathered.buffer;
        out.extend_from_slice(&Self::MAGIC_NS.to_le_bytes());
        out.extend_from_slice(&2u16.to_le_bytes());
        out.extend_from_slice(&4u16.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&Self::SNAPLEN.to_le_bytes());
        out.extend_from_slice(&u32::from(link.0).to_le_bytes());
        self.link = Some(link);
    }

    fn finish(mut self) -> Result<Exported, TapeError> {
        if self.link.is_none() {
            self.header(LinkType::ETHERNET);
        }
        self.gathered.write()?;
        Ok(self.gathered.done)
    }
}
