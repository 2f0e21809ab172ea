//! `tape read`: one line (or JSON object) a packet, or the selection as a pcapng file.

use super::export;
use super::input::Input;
use super::json;
use super::outcome::{Outcome, TapeError};
use super::print::{Hex, Printer};
use super::select::Selection;
use std::io::Write;
use std::ops::ControlFlow;

/// What to make of each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAs {
    /// A line, perhaps with bytes below it.
    Lines {
        /// `-e`.
        link: bool,
        /// `-x`, `-X`.
        hex: Hex,
    },
    /// A JSON object.
    Json,
    /// A pcapng file of all that is selected.
    Pcapng,
}

/// Writes what is selected of `input` to `out`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or the output.
pub fn run(
    input: &Input,
    selection: &Selection,
    how: ReadAs,
    out: &mut dyn Write,
) -> Result<Outcome, TapeError> {
    match how {
        ReadAs::Lines { link, hex } => lines(input, selection, Printer::new(link, hex), out)?,
        ReadAs::Json => objects(input, selection, out)?,
        ReadAs::Pcapng => {
            export::pcapng(input, selection, out)?;
        }
    }
    Ok(Outcome::Good)
}

/// Bytes of text gathered before they are written.
const BATCH_BYTES: usize = 64 << 10;

fn lines(
    input: &Input,
    selection: &Selection,
    mut printer: Printer,
    out: &mut dyn Write,
) -> Result<(), TapeError> {
    let mut text = String::with_capacity(2 * BATCH_BYTES);
    let read = input.for_each(selection, &mut |item| {
        printer.print(&mut text, item);
        if text.len() >= BATCH_BYTES || input.is_stream() {
            put(out, text.as_bytes())?;
            text.clear();
        }
        Ok(ControlFlow::Continue(()))
    });
    // What was read before an error is worth having.
    put(out, text.as_bytes())?;
    read
}

fn objects(input: &Input, selection: &Selection, out: &mut dyn Write) -> Result<(), TapeError> {
    let mut text = Vec::with_capacity(2 * BATCH_BYTES);
    let read = input.for_each(selection, &mut |item| {
        json::packet(&mut text, item).map_err(|error| TapeError::Refused(error.to_string()))?;
        if text.len() >= BATCH_BYTES || input.is_stream() {
            put(out, &text)?;
            text.clear();
        }
        Ok(ControlFlow::Continue(()))
    });
    put(out, &text)?;
    read
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<(), TapeError> {
    out.write_all(bytes).and_then(|()| out.flush()).map_err(TapeError::io("cannot write the output"))
}
