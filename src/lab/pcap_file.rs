//! Classic pcap with nanosecond stamps: the plainest file that every reader opens.

use std::io::{self, Write};

/// Magic of a file with nanosecond stamps.
const MAGIC_NS: u32 = 0xa1b2_3c4d;
/// Longest frame that is announced, bytes.
const SNAPLEN: u32 = 262_144;
const LINKTYPE_ETHERNET: u32 = 1;

/// Writes Ethernet frames.
#[derive(Debug)]
pub struct PcapFile<W> {
    out: W,
}

impl<W: Write> PcapFile<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC_NS.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?; // version 2.4
        out.write_all(&[0; 8])?; // UTC, no claim of accuracy
        out.write_all(&SNAPLEN.to_le_bytes())?;
        out.write_all(&LINKTYPE_ETHERNET.to_le_bytes())?;
        Ok(Self { out })
    }

    /// Writes one frame, whole. The format's seconds end in 2106.
    ///
    /// # Errors
    /// What the writer says; `InvalidInput` for a time or length that the format cannot hold.
    pub fn write(&mut self, stamp_ns: u64, frame: &[u8]) -> io::Result<()> {
        let narrow = |value: u64| {
            u32::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        };
        let len = narrow(frame.len() as u64)?;
        for word in [narrow(stamp_ns / 1_000_000_000)?, narrow(stamp_ns % 1_000_000_000)?, len, len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(frame)
    }

    /// Hands everything on to the file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
