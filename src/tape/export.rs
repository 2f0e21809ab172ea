//! `tape export`: one standard file out of a journal: pcapng, or classic pcap with nanosecond stamps.
//!
//! The packets come in order of stamp over all queues. A classic file has one link type; the first packet of
//! another one is a refusal that names both. Packets without a stamp are written with time 0 and counted.

use super::gathered::Gathered;
use super::input::{Input, Item};
use super::outcome::{Outcome, TapeError};
use super::pcapng_out::PcapngOut;
use super::select::Selection;
use crate::packet::LinkType;
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

/// What messages call the output.
const OUTPUT: &str = "the output";

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
        Format::Pcapng => pcapng(input, selection, out)?,
        Format::Pcap => {
            let mut writer = PcapWriter::begin(out);
            each_to(input, selection, &mut |item| writer.packet(item))?;
            writer.finish()?
        }
    };
    Ok((Outcome::Good, exported))
}

/// Writes what is selected of `input` to `out` as pcapng.
///
/// # Errors
/// As [`run`].
pub fn pcapng(input: &Input, selection: &Selection, out: &mut dyn Write) -> Result<Exported, TapeError> {
    let mut writer = PcapngOut::new(out, OUTPUT)?;
    each_to(input, selection, &mut |item| writer.packet(&item.packet, item.interface_id, item.interface))?;
    writer.flush()?;
    Ok(Exported {
        format: Format::Pcapng,
        packets: writer.packets(),
        bytes: writer.bytes(),
        without_time: writer.without_time(),
    })
}

fn each_to(
    input: &Input,
    selection: &Selection,
    write: &mut dyn FnMut(&Item<'_>) -> Result<(), TapeError>,
) -> Result<(), TapeError> {
    input.for_each(selection, &mut |item| write(item).map(ControlFlow::Continue))
}

/// Writes packets as a classic pcap file.
struct PcapWriter<'o> {
    gathered: Gathered<&'o mut dyn Write>,
    link: Option<LinkType>,
    packets: u64,
    without_time: u64,
}

impl<'o> PcapWriter<'o> {
    /// Nanosecond stamps, in the byte order of the writer (always little-endian here).
    const MAGIC_NS: u32 = 0xa1b2_3c4d;
    /// What libpcap takes for "no limit".
    const SNAPLEN: u32 = 262_144;

    fn begin(out: &'o mut dyn Write) -> Self {
        Self { gathered: Gathered::new(out, OUTPUT), link: None, packets: 0, without_time: 0 }
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
        self.packets += 1;
        self.without_time += u64::from(packet.stamp.clock == StampClock::NONE);
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
        Ok(Exported {
            format: Format::Pcap,
            packets: self.packets,
            bytes: self.gathered.written_bytes(),
            without_time: self.without_time,
        })
    }
}
