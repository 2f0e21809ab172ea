//! `tape books`: an instrument's order book as it was at a moment, built from its order events.
//!
//! The events are those of a journal (its event tape, or made again), or of a DBN file of the schema mbo. A book is what the orders
//! say that were seen; where messages were missing before, the records say so, and so does the answer.

use super::event_files;
use super::event_source::{Event, Wanted, each_event, orders_in};
use super::outcome::{Outcome, TapeError};
use super::when::When;
use super::words::{self, Decimal};
use crate::book::{Book, Books, Fault, Level, Order, Side};
use crate::feed::FeedConfig;
use crate::journal::index::span;
use crate::journal::reader::Tape;
use dbn::decode::DbnMetadata;
use dbn::{MboMsg, UNDEF_PRICE, flags};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Live orders of one instrument that there is room for.
const ORDERS: usize = 1 << 20;
/// The instrument, in books of one.
const ONLY: u32 = 0;
/// Stamps of one tape may step back by so much, ns.
const BACK_NS: u64 = 1_000_000_000;

/// Which book, when.
#[derive(Clone, Debug)]
pub struct BooksOptions {
    /// A journal's directory, or a DBN file of order events.
    pub path: PathBuf,
    /// These feeds in place of those that the journal recorded.
    pub feeds: Option<Vec<FeedConfig>>,
    /// After the last event stamped at or before this; `None` = after the last of all.
    pub at: Option<When>,
    /// The instrument's symbol, or its id.
    pub symbol: String,
    /// Only of this feed.
    pub feed: Option<String>,
    /// Levels of each side.
    pub levels: usize,
    /// JSON in place of text.
    pub json: bool,
}

/// Prints the book.
///
/// # Errors
/// [`TapeError`] of the input or the output; [`TapeError::Refused`] if the instrument never appeared.
pub fn run(options: &BooksOptions, out: &mut dyn Write) -> Result<Outcome, TapeError> {
    let builders = if options.path.is_dir() { of_journal(options)? } else { of_file(options)? };
    let found: Vec<&Builder> = builders.iter().filter(|builder| builder.id.is_some()).collect();
    if found.is_empty() {
        return Err(TapeError::Refused(format!(
            "no order event of {} in {}: symbols are written as the feed writes them, instrument ids as numbers",
            options.symbol,
            options.path.display()
        )));
    }
    let mut text = String::new();
    for builder in found {
        let report = builder.report(options.levels);
        if options.json {
            text += &serde_json::to_string(&report).map_err(|error| TapeError::Refused(error.to_string()))?;
            text.push('\n');
        } else {
            show(&mut text, &report);
        }
    }
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))?;
    Ok(Outcome::Good)
}

fn of_journal(options: &BooksOptions) -> Result<Vec<Builder>, TapeError> {
    let tape = Tape::open(&options.path)?;
    let (first_ns, last_ns) = span(&tape)?.unwrap_or_default();
    let until_ns = options.at.map_or(u64::MAX, |at| at.resolve(first_ns, last_ns));
    let mut builders: Vec<Builder> = Vec::new();
    let wanted = Wanted { rows: true, orders: true };
    each_event(&tape, options.feeds.as_deref(), wanted, &mut |capture, feed, event| {
        if options.feed.as_deref().is_some_and(|only| only != feed) {
            return Ok(ControlFlow::Continue(()));
        }
        let place = builders.iter().position(|b| b.capture == capture && b.feed == feed);
        let at = place.unwrap_or_else(|| {
            builders.push(Builder::new(options, capture, feed, until_ns));
            builders.len() - 1
        });
        builders.get_mut(at).map_or(Ok(ControlFlow::Continue(())), |builder| builder.take(event))
    })?;
    Ok(builders)
}

fn of_file(options: &BooksOptions) -> Result<Vec<Builder>, TapeError> {
    let decoder = event_files::decoder(&options.path)?;
    let metadata = decoder.metadata();
    let last_ns = metadata.end.map_or(0, std::num::NonZeroU64::get);
    if matches!(options.at, Some(When::BeforeEnd(_))) && metadata.end.is_none() {
        return Err(TapeError::Refused("the file does not say when it ends: give a time of day".to_owned()));
    }
    let until_ns = options.at.map_or(u64::MAX, |at| at.resolve(metadata.start, last_ns));
    let mut builder = Builder::new(options, "", &metadata.dataset, until_ns);
    for mapping in &metadata.mappings {
        for id in mapping.intervals.iter().filter_map(|interval| interval.symbol.parse().ok()) {
            let _ = builder.take(Event::Symbol(id, &mapping.raw_symbol))?;
        }
    }
    let _ = orders_in(&options.path, &mut |event| builder.take(event))?;
    Ok(vec![builder])
}

/// Builds the book of one instrument of one feed.
#[derive(Debug)]
struct Builder {
    capture: String,
    feed: String,
    symbol: String,
    /// The symbol, if it is a number.
    as_id: Option<u32>,
    /// Id that the symbol has; with a book once an order of it came.
    named: Option<u32>,
    id: Option<u32>,
    until_ns: u64,
    books: Books,
    last_ns: u64,
    last_event_ns: u64,
    maybe_bad: bool,
    /// When the book was last cleared, and when messages of the feed were found missing.
    cleared_ns: u64,
    gaps_ns: Vec<u64>,
    in_event: bool,
    events: u64,
    unknown: u64,
    faults: u64,
}

impl Builder {
    fn new(options: &BooksOptions, capture: &str, feed: &str, until_ns: u64) -> Self {
        Self {
            capture: capture.to_owned(),
            feed: feed.to_owned(),
            symbol: options.symbol.clone(),
            as_id: options.symbol.parse().ok(),
            named: None,
            id: None,
            until_ns,
            books: Books::with_capacity(ORDERS),
            last_ns: 0,
            last_event_ns: 0,
            maybe_bad: false,
            cleared_ns: 0,
            gaps_ns: Vec::new(),
            in_event: false,
            events: 0,
            unknown: 0,
            faults: 0,
        }
    }

    fn take(&mut self, event: Event<'_>) -> Result<ControlFlow<()>, TapeError> {
        match event {
            Event::Symbol(id, symbol) if symbol == self.symbol => self.named = Some(id),
            Event::Row(row) if row["kind"] == "gap" => {
                self.gaps_ns.extend(row["at_ns"].as_u64().filter(|at_ns| *at_ns <= self.until_ns));
            }
            Event::Order(order) if order.ts_recv > self.until_ns => {
                if order.ts_recv - self.until_ns > BACK_NS {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Event::Order(order) if Some(order.hd.instrument_id) == self.named.or(self.as_id) => {
                self.order(order)?;
            }
            Event::Symbol(..) | Event::Row(_) | Event::Order(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn order(&mut self, order: &MboMsg) -> Result<(), TapeError> {
        self.id = Some(order.hd.instrument_id);
        self.events += 1;
        (self.last_ns, self.last_event_ns) = (order.ts_recv, order.hd.ts_event);
        let flags = order.flags.raw();
        self.maybe_bad |= flags & flags::MAYBE_BAD_BOOK != 0;
        self.in_event = flags & flags::LAST == 0;
        let number = order.order_id;
        let done = match order.action.cast_unsigned() {
            b'A' => self.add(order),
            b'C' => self.cancel(number, u64::from(order.size)),
            b'M' => match self.books.delete(number) {
                Ok(_) | Err(Fault::Unknown) => self.add(order),
                Err(fault) => Err(fault),
            },
            b'R' => {
                self.books.clear();
                // From an empty book on everything is known again, unless this record says otherwise.
                self.cleared_ns = order.ts_recv;
                self.maybe_bad = flags & flags::MAYBE_BAD_BOOK != 0;
                Ok(())
            }
            // Trades and fills change nothing: a cancel follows.
            _ => Ok(()),
        };
        match done {
            Ok(()) => {}
            Err(Fault::Unknown) => self.unknown += 1,
            Err(Fault::Full) => {
                return Err(TapeError::Refused(
                    "the book has more orders or levels than there is room for".to_owned(),
                ));
            }
            Err(Fault::Duplicate | Fault::Negative(_)) => self.faults += 1,
        }
        Ok(())
    }

    fn add(&mut self, order: &MboMsg) -> Result<(), Fault> {
        let side = match order.side.cast_unsigned() {
            b'B' => Side::Bid,
            b'A' => Side::Ask,
            _ => return Ok(()),
        };
        // An order without a price or size stands on no level.
        if order.price == UNDEF_PRICE || order.size == 0 {
            return Ok(());
        }
        let (price, quantity) = (order.price, u64::from(order.size));
        self.books.add(order.order_id, &Order { instrument: ONLY, side, price, quantity })
    }

    fn cancel(&mut self, number: u64, quantity: u64) -> Result<(), Fault> {
        self.books.reduce(number, quantity).map(|_| ())
    }

    fn report(&self, levels: usize) -> BookReport<'_> {
        let side = |side| {
            let all = self.books.book(ONLY).into_iter().flat_map(move |book: &Book| book.levels(side));
            all.take(levels).map(LevelJson::from).collect()
        };
        BookReport {
            capture: &self.capture,
            feed: &self.feed,
            symbol: &self.symbol,
            instrument_id: self.id.unwrap_or(0),
            last_ns: self.last_ns,
            last_event_ns: self.last_event_ns,
            // What was missing after the last event of the instrument no record of its own tells.
            maybe_bad: self.maybe_bad || self.gaps_ns.iter().any(|at_ns| *at_ns > self.cleared_ns),
            in_event: self.in_event,
            crossed: self.books.book(ONLY).is_some_and(Book::is_crossed),
            events: self.events,
            unknown_orders: self.unknown,
            faults: self.faults,
            bids: side(Side::Bid),
            asks: side(Side::Ask),
        }
    }
}

/// A book for people and JSON. Prices are 1e-9.
#[derive(Debug, Serialize)]
struct BookReport<'b> {
    capture: &'b str,
    feed: &'b str,
    symbol: &'b str,
    instrument_id: u32,
    /// Stamp and event time of the last event in it, ns since the Unix epoch.
    last_ns: u64,
    last_event_ns: u64,
    /// Messages were missing since the book was last known whole.
    maybe_bad: bool,
    /// The moment lies between two records of one event.
    in_event: bool,
    crossed: bool,
    events: u64,
    /// Events of orders that were never seen.
    unknown_orders: u64,
    /// Orders added twice, or of which more was taken than was left.
    faults: u64,
    bids: Vec<LevelJson>,
    asks: Vec<LevelJson>,
}

#[derive(Debug, Serialize)]
struct LevelJson {
    price: i64,
    quantity: u64,
    orders: u32,
}

impl From<Level> for LevelJson {
    fn from(level: Level) -> Self {
        Self { price: level.price, quantity: level.quantity, orders: level.orders }
    }
}

fn show(t: &mut String, book: &BookReport<'_>) {
    let _ = writeln!(
        t,
        "{} {} (instrument {}) after {}, event time {}",
        book.feed,
        book.symbol,
        book.instrument_id,
        words::moment(book.last_ns),
        words::moment(book.last_event_ns)
    );
    let _ = writeln!(
        t,
        "{:>8} {:>14} {:>22}   {:<22} {:<14} {:<8}",
        "orders", "quantity", "bid", "ask", "quantity", "orders"
    );
    for at in 0..book.bids.len().max(book.asks.len()) {
        let cells = |level: Option<&LevelJson>| {
            level.map_or_else(Default::default, |level| {
                [level.orders.to_string(), words::grouped(level.quantity), Decimal(level.price).to_string()]
            })
        };
        let [bid_orders, bid_quantity, bid] = cells(book.bids.get(at));
        let [ask_orders, ask_quantity, ask] = cells(book.asks.get(at));
        let row = format!(
            "{bid_orders:>8} {bid_quantity:>14} {bid:>22}   {ask:<22} {ask_quantity:<14} {ask_orders:<8}"
        );
        let _ = writeln!(t, "{}", row.trim_end());
    }
    let remarks = [
        (book.bids.is_empty() && book.asks.is_empty(), "the book is empty"),
        (book.maybe_bad, "messages were missing before: the book may be wrong (MAYBE_BAD_BOOK)"),
        (book.crossed, "the book is crossed"),
        (book.in_event, "the moment lies between two records of one event"),
    ];
    for (_, remark) in remarks.iter().filter(|(is_so, _)| *is_so) {
        let _ = writeln!(t, "{remark}");
    }
    if book.unknown_orders + book.faults > 0 {
        let _ = writeln!(
            t,
            "{} of orders that were never seen, {} that contradict the book",
            words::count(book.unknown_orders, "event", "events"),
            words::count(book.faults, "event", "events")
        );
    }
}
