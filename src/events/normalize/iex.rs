//! IEX's TOPS, DEEP and DEEP+ as DBN. Specifications: see [`crate::feed::iex`].
//!
//! | message | becomes |
//! |---|---|
//! | quote update | `mbp-1`: action M, no side; price or size 0 is an undefined price with size 0. Flags (halted, outside hours): a side row when they change |
//! | trade report | `trades`; `tbbo` with the last quote before it, if the instrument had one; side row with trade number and sale condition |
//! | trade break | side row `break` |
//! | price level update | side row `level` |
//! | add, modify, delete, executed, clear book | `mbo`: `orders.rs` |
//! | trading status, operational halt, short sale test, security event | `status`: `status.rs` |
//! | security directory | `definition`; side row with what DBN has no field for |
//! | official price | `statistics`: opening or closing price |
//! | auction information | `imbalance`; side row with what DBN has no field for |
//! | retail liquidity indicator, system event | side row |
//!
//! `ts_event` is the message's time, `ts_in_delta` the time from the segment's send time to the stamp. A gap makes every instrument's
//! state doubtful (MAYBE_BAD_BOOK) until the next quote update says all of it again, or its book is cleared.

mod listed;
mod orders;
mod quotes;
mod status;

use super::Normalizer;
use super::common::{PacketEnd, StampWatch, in_delta, sequence32};
use super::numbering::Numbering;
use crate::events::output::{Arrival, Output};
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::iex::{Message, Price4, protocol_id};
use crate::feed::{FeedConfig, Frame, iextp};
use crate::time::delta_ns;
use dbn::{FlagSet, HasRType, RecordHeader, UNDEF_PRICE, flags};
use orders::LiveOrders;
use quotes::{Crossed, Quote};

/// Live orders that there is room for: 128 MiB, of which is touched what is used, if the feed is one of orders.
const MAX_ORDERS: usize = 1 << 20;

/// Makes events of IEX messages.
#[derive(Debug)]
pub struct Iex {
    publisher_id: u16,
    channel_id: u8,
    stamps: StampWatch,
    end: PacketEnd,
    numbering: Numbering<[u8; 8]>,
    /// By the symbols' place.
    instruments: Vec<Instrument>,
    orders: LiveOrders,
    crossed: Crossed,
    /// A message of this sequence space was seen.
    begun: bool,
    /// How often messages were missing in this sequence space.
    gaps: u64,
    /// High half of the last sequence number.
    sequence_high: u64,
    text: String,
}

/// What is remembered of an instrument.
#[derive(Clone, Default, Debug)]
struct Instrument {
    id: u32,
    quote: Quote,
    /// A directory message was seen.
    defined: bool,
    /// How many gaps there had been when its state was last known to be whole.
    whole_since: u64,
    /// It had a record of `mbo` since its book was last empty.
    has_orders: bool,
    /// How often its book was cleared: orders of an earlier book are gone.
    cleared: u16,
}

/// What is the same for all records of one message.
#[derive(Clone, Copy, Debug)]
struct Moment {
    arrival: Arrival,
    ts_event: u64,
    ts_in_delta: i32,
    seq: u64,
    /// Flags of the packet.
    flags: u8,
    gaps: u64,
    /// The feed is one of orders: DEEP+.
    is_by_order: bool,
}

impl Moment {
    /// DBN's sequence number: the low 32 bits.
    const fn sequence(&self) -> u32 {
        sequence32(self.seq)
    }

    /// True if nothing that the instrument's state depends on is missing.
    const fn is_whole(&self, instrument: &Instrument) -> bool {
        instrument.whole_since == self.gaps
    }

    /// Flags of a record that depends on the instrument's state.
    const fn flags_of(&self, instrument: &Instrument) -> FlagSet {
        let doubt = if self.is_whole(instrument) { 0 } else { flags::MAYBE_BAD_BOOK };
        FlagSet::new(self.flags | doubt)
    }

    /// A rule about the instrument's state: where messages are missing by rights, it is counted only.
    fn state_rule(&self, rule: Rule, is_whole: bool, value: i64, out: &mut Output) {
        if is_whole {
            out.broken(rule, &self.arrival, self.seq, value);
        } else {
            out.rules.broken(rule);
        }
    }

    fn price(&self, price: Price4, out: &mut Output) -> i64 {
        let nanos = price.nanos();
        if nanos.is_none() || price.0 < 0 {
            out.broken(Rule::PriceInvalid, &self.arrival, self.seq, price.0);
        }
        nanos.unwrap_or(UNDEF_PRICE)
    }

    /// A price of 0 says that there is none.
    fn price_or_none(&self, price: Price4, out: &mut Output) -> i64 {
        if price.0 == 0 { UNDEF_PRICE } else { self.price(price, out) }
    }

    /// The price of a trade or an order: it must be positive.
    fn positive_price(&self, price: Price4, out: &mut Output) -> i64 {
        if price.0 == 0 {
            out.broken(Rule::PriceInvalid, &self.arrival, self.seq, 0);
        }
        self.price(price, out)
    }

    /// The quantity of a trade or an order.
    fn check_size(&self, size: u32, out: &mut Output) {
        if size == 0 {
            out.broken(Rule::QuantityZero, &self.arrival, self.seq, 0);
        }
    }
}

impl Iex {
    /// Nothing has been seen; room for more orders than IEX has at once.
    pub fn new(feed: &FeedConfig) -> Self {
        Self::with_capacity(feed, MAX_ORDERS)
    }

    /// As [`Iex::new`], with room for `orders` live orders.
    pub fn with_capacity(feed: &FeedConfig, orders: usize) -> Self {
        Self {
            publisher_id: feed.publisher_id,
            channel_id: feed.channel_id,
            stamps: StampWatch::default(),
            end: PacketEnd::default(),
            numbering: Numbering::new(feed),
            instruments: Vec::new(),
            orders: LiveOrders::with_capacity(orders),
            crossed: Crossed::new(feed.limits.crossed_ms),
            begun: false,
            gaps: 0,
            sequence_high: 0,
            text: String::new(),
        }
    }

    fn header<R: HasRType>(&self, rtype: u8, instrument_id: u32, moment: &Moment) -> RecordHeader {
        RecordHeader::new::<R>(rtype, self.publisher_id, instrument_id, moment.ts_event)
    }

    /// Time from the segment's send time to its stamp.
    fn delta(arrival: &Arrival, frame: &Frame<'_>, out: &mut Output) -> i32 {
        let sent_ns = frame.header.sent_ns.unwrap_or_default();
        let (delta, is_saturated) = in_delta(arrival.stamp.ns, sent_ns);
        if is_saturated {
            out.broken(Rule::TooWide, arrival, frame.header.first, delta_ns(arrival.stamp.ns, sent_ns));
        }
        delta
    }

    /// Sequence numbers beyond 32 bits: DBN carries the low half, the side table says when the high one changes.
    #[cold]
    fn new_high(&mut self, arrival: &Arrival, seq: u64, out: &mut Output) {
        self.sequence_high = seq >> 32;
        if self.sequence_high > 0 {
            out.broken(Rule::TooWide, arrival, seq, seq.cast_signed());
            let at_ns = arrival.stamp.ns;
            out.side(&SideRow::Wide { at_ns, instrument_id: 0, seq, field: "sequence", value: seq });
        }
    }

    /// The instrument of a symbol: its place and id; `None` (which is said) if there is no room for another.
    fn instrument(&mut self, symbol: [u8; 8], moment: &Moment, out: &mut Output) -> Option<(usize, u32)> {
        let Some(numbered) = self.numbering.of(symbol, &moment.arrival, out) else {
            out.broken(Rule::InstrumentsFull, &moment.arrival, moment.seq, 0);
            return None;
        };
        if numbered.place >= self.instruments.len() {
            self.instruments.push(Instrument { id: numbered.id, ..Instrument::default() });
        }
        Some((numbered.place, numbered.id))
    }

    /// A side row with the message's fields.
    fn other(&mut self, message: &Message<'_>, instrument_id: u32, moment: &Moment, out: &mut Output) {
        self.text.clear();
        message.describe(&mut self.text);
        out.side(&SideRow::Other {
            at_ns: moment.arrival.stamp.ns,
            ts_event: moment.ts_event,
            instrument_id,
            seq: moment.seq,
            message: message.name(),
            fields: &self.text,
        });
    }

    fn message(&mut self, message: &Message<'_>, moment: &Moment, out: &mut Output) {
        if let Some((_, value)) = message.unlisted() {
            out.broken(Rule::FieldUnknown, &moment.arrival, moment.seq, i64::from(value));
        }
        let Some(symbol) = message.symbol() else {
            return self.other(message, 0, moment, out);
        };
        let Some((at, id)) = self.instrument(*symbol, moment, out) else { return };
        match message {
            Message::QuoteUpdate(quote) => self.quote(*quote, at, moment, out),
            Message::TradeReport(trade) => self.trade(*trade, at, moment, out),
            Message::PriceLevel(level) => quotes::level(*level, id, moment, out),
            Message::TradeBreak(broken) => {
                let trade = broken.trade_id().cast_unsigned();
                let (at_ns, ts_event, seq) = (moment.arrival.stamp.ns, moment.ts_event, moment.seq);
                out.side(&SideRow::Break { at_ns, ts_event, instrument_id: id, seq, trade });
            }
            Message::TradingStatus(_)
            | Message::OperationalHalt(_)
            | Message::ShortSale(_)
            | Message::SecurityEvent(_) => self.status(message, id, moment, out),
            Message::SecurityDirectory(directory) => {
                self.directory(*directory, at, moment, out);
                self.other(message, id, moment, out);
            }
            Message::OfficialPrice(official) => self.official(*official, id, moment, out),
            Message::AuctionInformation(auction) => {
                self.auction(*auction, id, moment, out);
                self.other(message, id, moment, out);
            }
            Message::AddOrder(_)
            | Message::OrderModify(_)
            | Message::OrderDelete(_)
            | Message::OrderExecuted(_)
            | Message::ClearBook(_) => self.order(message, at, moment, out),
            Message::RetailLiquidity(_) | Message::SystemEvent(_) => self.other(message, id, moment, out),
        }
    }
}

impl Normalizer for Iex {
    fn packet(&mut self, arrival: &Arrival, frame: &Frame<'_>, skip: u32, out: &mut Output) {
        let flags = self.stamps.flag(arrival);
        if frame.header.messages <= skip {
            return self.crossed.look(arrival, &self.instruments, out);
        }
        // Joined in the middle: what came before is missing.
        if !self.begun && frame.header.first > 1 {
            self.gaps += 1;
        }
        self.begun = true;
        self.end.begin(out);
        let ts_in_delta = Self::delta(arrival, frame, out);
        let is_by_order = iextp::parts(&frame.header.space).0 == protocol_id::DEEP_PLUS;
        let mut next = frame.header.first;
        // Messages first: numbers are asked for only while there are messages, so that they end at 2^64 - 1.
        for (bytes, seq) in frame.messages().zip(frame.header.first..) {
            next = seq + 1;
            if seq - frame.header.first < u64::from(skip) {
                continue;
            }
            if seq >> 32 != self.sequence_high {
                self.new_high(arrival, seq, out);
            }
            let Ok(known) = Message::parse(bytes) else {
                // What cannot be read may have changed any instrument.
                self.gaps += 1;
                continue;
            };
            let Some(message) = known else { continue };
            let ts_event = message.timestamp_ns().cast_unsigned();
            out.event_time(arrival, ts_event);
            let gaps = self.gaps;
            let moment = Moment { arrival: *arrival, ts_event, ts_in_delta, seq, flags, gaps, is_by_order };
            self.message(&message, &moment, out);
        }
        if next != frame.header.next() {
            // Messages that the capture cut off.
            self.gaps += 1;
        }
        self.end.finish(out);
        self.crossed.look(arrival, &self.instruments, out);
    }

    fn gap(&mut self, _arrival: &Arrival, _out: &mut Output) {
        self.gaps += 1;
    }

    fn reset(&mut self, arrival: &Arrival, out: &mut Output) {
        self.end.begin(out);
        let flags = self.stamps.flag(arrival);
        (self.begun, self.gaps, self.sequence_high) = (false, 0, 0);
        let (ts_event, gaps) = (arrival.stamp.ns, 0);
        let moment =
            Moment { arrival: *arrival, ts_event, ts_in_delta: 0, seq: 0, flags, gaps, is_by_order: true };
        for at in 0..self.instruments.len() {
            self.forget(at, &moment, out);
        }
        self.orders.clear();
        self.crossed.clear();
        self.end.finish(out);
    }

    fn tick(&mut self, _now_ns: u64, _out: &mut Output) {}

    fn symbols(&self) -> &[(u32, String)] {
        self.numbering.list()
    }
}

#[cfg(test)]
mod tests;
