//! `tape extract`: a stretch of time out of a journal, as one pcapng file; finds it by the anchors.

use super::outcome::{Outcome, TapeError};
use super::pcapng_out::PcapngOut;
use super::range;
use super::when::When;
use super::words;
use crate::journal::index::{RangeReader, TimeRange, Touched};
use crate::journal::reader::{ReadOptions, Record, Tape, TapePacket};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// What to cut out.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// A journal's directory, or a segment.
    pub path: PathBuf,
    /// From this time on.
    pub begin: Option<When>,
    /// Up to before this time.
    pub end: Option<When>,
    /// How far stamps may step back, ns ([`TimeRange::DEFAULT_MARGIN_NS`]).
    pub margin_ns: u64,
    /// Where it goes, for messages.
    pub output_name: String,
    /// The summary as one JSON object.
    pub json: bool,
}

/// Whether a packet of the range is wanted (filters, verdicts, directions).
pub type Want<'w> = dyn FnMut(&TapePacket<'_>) -> Result<bool, TapeError> + 'w;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Packets written.
    pub packets: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What of the tape was looked at.
    pub touched: Touched,
}

/// Writes the wanted packets of the range to `out`, merged by stamp, and a summary to `messages`.
///
/// # Errors
/// [`TapeError`]: the tape's, `want`'s, or that of writing.
pub fn run(
    options: &ExtractOptions,
    want: &mut Want<'_>,
    out: &mut dyn Write,
    messages: &mut dyn Write,
) -> Result<Outcome, TapeError> {
    let done = extract(options, want, out)?;
    let Extracted { packets, bytes, touched } = done;
    let written = if options.json {
        let value = json!({
            "output": options.output_name, "packets": packets, "bytes": bytes,
            "read_bytes": touched.bytes, "read_blocks": touched.blocks,
        });
        writeln!(messages, "{value}")
    } else {
        let count = words::count(packets, "packet", "packets");
        let (size, read) = (words::bytes(bytes), words::bytes(touched.bytes));
        writeln!(messages, "{count}, {size} to {}; {read} of the tape were read", options.output_name)
    };
    written.map_err(TapeError::io("writing the summary"))?;
    Ok(Outcome::Good)
}

/// The extraction without the summary.
///
/// # Errors
/// As [`run`].
pub fn extract(
    options: &ExtractOptions,
    want: &mut Want<'_>,
    out: &mut dyn Write,
) -> Result<Extracted, TapeError> {
    let tape = Tape::open(&options.path)?;
    let stamps_ns = range::on_tape(&tape, options.begin, options.end)?;
    let range = TimeRange { stamps_ns, margin_ns: options.margin_ns };
    let mut reader = RangeReader::open(&tape, range, ReadOptions::default())?;
    let mut pcapng = PcapngOut::new(out, &options.output_name)?;
    while reader.step()? {
        if let Some(Record::Packet(packet)) = reader.record()
            && want(&packet)?
        {
            pcapng.tape_packet(&packet, reader.merged().interface_of(&packet))?;
        }
    }
    pcapng.flush()?;
    Ok(Extracted { packets: pcapng.packets(), bytes: pcapng.bytes(), touched: reader.touched() })
}
