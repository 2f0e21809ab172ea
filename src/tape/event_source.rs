//! The events of a journal, wherever they are: from the event tape of a capture if it is complete, else made again by the same room
//! that makes them live. Either way the same rows and records come in the same order.
//!
//! May touch: the journal, for reading.

use super::event_files::{self, FeedFiles, SIDE, not_dbn};
use super::outcome::TapeError;
use super::streams::feeds_of_capture;
use crate::events::follow::Follower;
use crate::events::output::Output;
use crate::events::tape::{Capture, EVENTS_DIR, State};
use crate::feed::FeedConfig;
use crate::journal::manifest::hex;
use crate::journal::reader::{CaptureOnTape, Step, Tape};
use dbn::decode::{DbnRecordDecoder, DecodeRecordRef};
use dbn::{MboMsg, Schema, VersionUpgradePolicy};
use std::ops::ControlFlow;

/// The version of DBN that normalizers make.
const DBN_VERSION: u8 = 3;

/// Something that was made of a feed.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A row of the side table, as JSON.
    Row(&'a serde_json::Value),
    /// An order event.
    Order(&'a MboMsg),
    /// What an instrument is called.
    Symbol(u32, &'a str),
}

/// Whose events, and which of them.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Rows of the side table.
    pub rows: bool,
    /// Order events, and symbols before them.
    pub orders: bool,
}

/// What is done with each event: capture, feed, event. `Break` ends the reading of its capture.
pub type Each<'e> = dyn FnMut(&str, &str, Event<'_>) -> Result<ControlFlow<()>, TapeError> + 'e;

/// Hands the wanted events of every capture on `tape` to `each`: with `feeds` made again by these, else as they are on the event tape
/// or by the feeds that the journal recorded. Answers the captures that have feeds.
///
/// # Errors
/// [`TapeError`] of the tape, or of `each`.
pub fn each_event(
    tape: &Tape,
    feeds: Option<&[FeedConfig]>,
    wanted: Wanted,
    each: &mut Each<'_>,
) -> Result<u64, TapeError> {
    let mut with_feeds = 0;
    for capture in tape.captures()? {
        let id = hex(&capture.id);
        if feeds.is_none()
            && let Some(found) = complete(tape, &id)?
        {
            with_feeds += 1;
            from_files(tape, &found, wanted, each)?;
            continue;
        }
        let own = match feeds {
            Some(feeds) => feeds.to_vec(),
            None => feeds_of_capture(tape, &id)?,
        };
        if !own.is_empty() {
            with_feeds += 1;
            from_packets(&capture, &id, &own, wanted, each)?;
        }
    }
    Ok(with_feeds)
}

/// The event tape of a capture, if it is whole and of this version of its decoders.
fn complete(tape: &Tape, id: &str) -> Result<Option<Capture>, TapeError> {
    let dir = tape.path().join(EVENTS_DIR).join(id);
    let found = Capture::read(&dir).map_err(TapeError::io(format!("the event tape in {}", dir.display())))?;
    Ok(found.filter(|capture| capture.state == State::Sealed && capture.missed_packets == 0))
}

fn from_files(tape: &Tape, capture: &Capture, wanted: Wanted, each: &mut Each<'_>) -> Result<(), TapeError> {
    let captures = event_files::find(tape.path())?;
    let Some(files) = captures.into_iter().find(|found| found.id == capture.capture) else { return Ok(()) };
    for entry in &capture.feeds {
        // A feed that made nothing has no files.
        let Some(feed) = files.feeds.iter().find(|feed| feed.name == entry.directory) else { continue };
        let mut to_feed = |event: Event<'_>| each(&capture.capture, &entry.name, event);
        if wanted.rows {
            rows_of(feed, &mut to_feed)?;
        }
        if wanted.orders {
            orders_of(feed, &mut to_feed)?;
        }
    }
    Ok(())
}

type ToFeed<'e> = dyn FnMut(Event<'_>) -> Result<ControlFlow<()>, TapeError> + 'e;

fn rows_of(feed: &FeedFiles, each: &mut ToFeed<'_>) -> Result<(), TapeError> {
    for path in feed.stream(SIDE) {
        event_files::each_row(path, &mut |row| each(Event::Row(row)).map(|_| ()))?;
    }
    Ok(())
}

fn orders_of(feed: &FeedFiles, each: &mut ToFeed<'_>) -> Result<(), TapeError> {
    for (id, symbol) in feed.symbols()? {
        if each(Event::Symbol(id, &symbol))?.is_break() {
            return Ok(());
        }
    }
    for path in feed.stream(Schema::Mbo.as_str()) {
        if orders_in(path, each)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The order events of one DBN file, with the symbols that its head tells before them.
///
/// # Errors
/// [`TapeError`] if it cannot be read, is no DBN, or holds other records; or of `each`.
pub fn orders_in(path: &std::path::Path, each: &mut ToFeed<'_>) -> Result<ControlFlow<()>, TapeError> {
    let mut decoder = event_files::decoder(path)?;
    while let Some(record) = decoder.decode_record_ref().map_err(|error| not_dbn(path, &error))? {
        let order: &MboMsg = record.get().ok_or_else(|| {
            TapeError::Refused(format!("{}: holds records that are no order events (mbo)", path.display()))
        })?;
        if each(Event::Order(order))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Makes them again.
fn from_packets(
    capture: &CaptureOnTape,
    id: &str,
    feeds: &[FeedConfig],
    wanted: Wanted,
    each: &mut Each<'_>,
) -> Result<(), TapeError> {
    let mut follower = Follower::new(capture.merged(), feeds);
    let mut told = vec![0; feeds.len()];
    loop {
        let step = follower.step(0)?;
        for ((feed, symbols, output), told) in follower.room().outputs_with_symbols().zip(&mut told) {
            let mut to_feed = |event: Event<'_>| each(id, &feed.name, event);
            if wanted.orders {
                for (id, symbol) in symbols.iter().skip(std::mem::replace(told, symbols.len())) {
                    let _ = to_feed(Event::Symbol(*id, symbol))?;
                }
            }
            if drain(output, wanted, &mut to_feed)?.is_break() {
                return Ok(());
            }
        }
        if step != Step::Record {
            return Ok(());
        }
    }
}

fn drain(output: &mut Output, wanted: Wanted, each: &mut ToFeed<'_>) -> Result<ControlFlow<()>, TapeError> {
    let mut flow = ControlFlow::Continue(());
    if wanted.rows {
        for line in output.side.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row = serde_json::from_slice(line).map_err(|error| TapeError::Refused(error.to_string()))?;
            flow = each(Event::Row(&row))?;
        }
    }
    let orders = output.streams.get(Output::index(Schema::Mbo)).map_or(&[][..], Vec::as_slice);
    if wanted.orders && !orders.is_empty() {
        let wrong = |error: dbn::Error| TapeError::Refused(format!("order events: {error}"));
        let as_is = VersionUpgradePolicy::AsIs;
        let mut decoder = DbnRecordDecoder::with_version(orders, DBN_VERSION, as_is, false).map_err(wrong)?;
        while let Some(record) = decoder.decode_record_ref().map_err(wrong)? {
            if let Some(order) = record.get::<MboMsg>()
                && each(Event::Order(order))?.is_break()
            {
                flow = ControlFlow::Break(());
                break;
            }
        }
    }
    output.side.clear();
    output.streams.iter_mut().for_each(Vec::clear);
    Ok(flow)
}
