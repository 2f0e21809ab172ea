//! CME MDP 3.0 made into DBN.
//!
//! | message | records | side rows |
//! |---|---|---|
//! | incremental book (32, 46, 64) | MBO Add, Modify, Cancel of the orders behind the levels | a row a level; implied levels and what deletes several levels apart |
//! | order book (43, 47) | MBO Add, Modify, Cancel | |
//! | trade summary (36, 42, 48, 65) | Trades; MBO Fill of each order that took part (no side: the feed does not say) | breaks, corrections |
//! | session and daily statistics, limits, volume | Statistics (volume as `VenueSpecificVolume1`) | what has no statistic type |
//! | security status (30, 60) | Status; for a group: of each instrument of it that was defined | the group's own |
//! | definitions (27, 29, 41, 54 to 58, 63) | Definition, a record a leg | symbol |
//! | snapshots (38, 52, 61, 68, 69) | Statistics | levels, as snapshots |
//! | order snapshots (44, 53) | MBO cleaR at the first chunk, Add; flagged `SNAPSHOT` | |
//! | channel reset (4), book reset (entry type `J`) | MBO cleaR | |
//! | others | | the fields |
//!
//! The instrument id is the `SecurityID`, unless the feed's `symbols` has another for the symbol. `ts_event` is `TransactTime`, of a definition
//! its `LastUpdateTime`; `sequence` is the packet's. `LAST` stands on the last record of each instrument of an event (`MatchEventIndicator`,
//! `EndOfEvent`), if the event's end came in the same packet. The priority of an order has no field in DBN; it stays on the tape.
//!
//! Rules: values that are too wide, negative quantities, levels without a quantity (no row), prices beyond 64 bits at 1e-9,
//! unknown enumerations, more instruments than there is room for. After a gap, or a message that cannot be read, records are flagged `MAYBE_BAD_BOOK` until a new
//! sequence space or a channel reset.

mod fields;
mod market;
mod plan;
mod reference;

use super::Normalizer;
use super::common::{PacketEnd, StampWatch, Symbols, c, in_delta, sequence32};
use crate::events::output::{Arrival, Output};
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::mdp3::layout::{About, Field};
use crate::feed::mdp3::sbe::{Decimal, Message, Record};
use crate::feed::mdp3::templates::TEMPLATES;
use crate::feed::{FeedConfig, Frame};
use dbn::{FlagSet, MboMsg, RecordHeader, Schema, StatMsg, StatType, UNDEF_PRICE, flags, rtype};
use plan::{Plan, int};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `MatchEventIndicator`: the event ends with this message.
const END_OF_EVENT: i64 = 1 << 7;
const NS_PER_DAY: u64 = 86_400_000_000_000;

/// Of each template, in the order of the table.
static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| TEMPLATES.iter().map(Plan::of).collect());

/// What is known of an instrument, by its `SecurityID`.
#[derive(Clone, Copy, Default, Debug)]
struct Instrument {
    /// Its id in records.
    id: u32,
    group: [u8; 6],
    asset: [u8; 6],
    /// A definition came.
    defined: bool,
}

/// Makes events of MDP 3.0.
#[derive(Debug)]
pub struct Cme {
    publisher_id: u16,
    channel_id: u8,
    wanted: BTreeMap<String, u32>,
    instruments: BTreeMap<u32, Instrument>,
    symbols: Symbols,
    stamps: StampWatch,
    end: PacketEnd,
    /// Books may be wrong.
    incomplete: bool,
    text: String,
}

/// Where and when a message is.
#[derive(Clone, Copy)]
struct At<'a> {
    arrival: &'a Arrival,
    name: &'static str,
    seq: u64,
    ts_event: u64,
    delta: i32,
    flags: u8,
    /// The event ends with this message.
    ends: bool,
}

impl Cme {
    /// For a feed.
    pub fn new(feed: &FeedConfig) -> Self {
        Self {
            publisher_id: feed.publisher_id,
            channel_id: feed.channel_id,
            wanted: feed.symbols.clone(),
            instruments: BTreeMap::new(),
            symbols: Symbols::default(),
            stamps: StampWatch::default(),
            end: PacketEnd::default(),
            incomplete: false,
            text: String::new(),
        }
    }

    fn message(&mut self, message: &Message<'_>, mut at: At<'_>, out: &mut Output) {
        let Some(plan) = PLANS.get(message.place) else { return };
        let root = message.root();
        let time = plan.root.time.or(plan.definition.updated).and_then(|field| root.bits(field));
        at.ts_event = time.unwrap_or(at.ts_event);
        at.ends = int(&root, plan.root.indicator).is_some_and(|bits| bits & END_OF_EVENT != 0);
        let snapshot = matches!(message.template.about, About::Snapshot | About::OrderSnapshot);
        if snapshot {
            at.flags |= flags::SNAPSHOT;
        } else if let (Some(time), Some(_)) = (time, plan.root.time) {
            out.event_time(at.arrival, time);
        }
        match message.template.about {
            About::Heartbeat => {}
            About::ChannelReset => self.channel_reset(&at, out),
            About::Book => self.book(message, plan, &at, out),
            About::OrderBook => self.order_book(message, plan, &at, out),
            About::Trades => self.trades(message, plan, &at, out),
            About::SessionStatistics | About::DailyStatistics | About::Volume => {
                self.statistics(message, plan, &at, out);
            }
            About::Limits => {
                for entry in message.entries(plan.entries.place) {
                    let id = self.id(&entry, plan.entries.fields.id);
                    self.limits(&entry, &plan.entries.fields, id, &at, out);
                }
            }
            About::Status => self.status(message, &plan.root, &at, out),
            About::Snapshot => self.snapshot(message, plan, &at, out),
            About::OrderSnapshot => self.order_snapshot(message, plan, &at, out),
            About::Definition(instrument) => self.definition(message, plan, instrument, &at, out),
            About::Admin | About::Other => self.other(message, plan, &at, out),
        }
        if at.ends {
            self.end.finish(out);
            self.end.begin(out);
        }
    }

    /// The record id of an instrument.
    fn id(&self, record: &Record<'_>, field: Option<&Field>) -> u32 {
        let security = field.and_then(|field| record.bits(field)).and_then(|bits| u32::try_from(bits).ok());
        security.map_or(0, |security| self.instruments.get(&security).map_or(security, |known| known.id))
    }

    fn channel_reset(&mut self, at: &At<'_>, out: &mut Output) {
        self.incomplete = false;
        let at = At { flags: at.flags & !flags::MAYBE_BAD_BOOK, ..*at };
        let ids: Vec<u32> = self.instruments.values().map(|instrument| instrument.id).collect();
        for id in ids {
            self.clear(id, &at, out);
        }
    }

    /// Everything of the instrument's book is gone.
    fn clear(&self, id: u32, at: &At<'_>, out: &mut Output) {
        self.mbo(at, out, Mbo { id, order: 0, action: b'R', side: b'N', price: UNDEF_PRICE, size: 0 });
    }

    #[inline]
    fn mbo(&self, at: &At<'_>, out: &mut Output, mbo: Mbo) {
        let record = MboMsg {
            hd: RecordHeader::new::<MboMsg>(rtype::MBO, self.publisher_id, mbo.id, at.ts_event),
            order_id: mbo.order,
            price: mbo.price,
            size: mbo.size,
            flags: FlagSet::new(at.flags),
            channel_id: self.channel_id,
            action: c(mbo.action),
            side: c(mbo.side),
            ts_recv: at.arrival.stamp.ns,
            ts_in_delta: at.delta,
            sequence: sequence32(at.seq),
        };
        out.put(Schema::Mbo, &record);
    }

    fn stat(&self, kind: StatType, id: u32, at: &At<'_>, stat: &Stat, out: &mut Output) {
        let record = StatMsg {
            hd: RecordHeader::new::<StatMsg>(rtype::STATISTICS, self.publisher_id, id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            ts_ref: stat.ts_ref,
            price: stat.price,
            quantity: stat.quantity,
            sequence: sequence32(at.seq),
            ts_in_delta: at.delta,
            stat_type: kind as u16,
            channel_id: self.channel_id.into(),
            update_action: stat.action,
            stat_flags: stat.flags,
            ..StatMsg::default()
        };
        out.put(Schema::Statistics, &record);
    }
}

/// What distinguishes one MBO record of a message from the next.
#[derive(Clone, Copy)]
struct Mbo {
    id: u32,
    order: u64,
    action: u8,
    side: u8,
    price: i64,
    size: u32,
}

/// What a statistic says.
#[derive(Clone, Copy)]
struct Stat {
    price: i64,
    quantity: i64,
    ts_ref: u64,
    action: u8,
    flags: u8,
}

/// The price in 1e-9; undefined if there is none, or if it does not fit (which breaks a rule).
fn price(record: &Record<'_>, field: Option<&Field>, at: &At<'_>, out: &mut Output) -> i64 {
    let Some(field) = field else { return UNDEF_PRICE };
    match record.nano(field) {
        Decimal::Nano(price) => price,
        Decimal::Null => UNDEF_PRICE,
        Decimal::TooWide => {
            out.broken(Rule::PriceInvalid, at.arrival, at.seq, record.int(field).unwrap_or(0));
            UNDEF_PRICE
        }
    }
}

/// A quantity in DBN's width: what is wider is saturated there, and whole in the side table.
fn size32(quantity: u64, id: u32, field: &str, at: &At<'_>, out: &mut Output) -> u32 {
    u32::try_from(quantity).unwrap_or_else(|_| {
        out.broken(Rule::TooWide, at.arrival, at.seq, i64::try_from(quantity).unwrap_or(i64::MAX));
        let at_ns = at.arrival.stamp.ns;
        out.side(&SideRow::Wide { at_ns, instrument_id: id, seq: at.seq, field, value: quantity });
        u32::MAX
    })
}

impl Normalizer for Cme {
    fn packet(&mut self, arrival: &Arrival, frame: &Frame<'_>, skip: u32, out: &mut Output) {
        let seq = frame.header.first;
        let sent_ns = frame.header.sent_ns.unwrap_or(0);
        let (delta, saturated) = in_delta(arrival.stamp.ns, sent_ns);
        if saturated {
            let delta_ns = crate::time::delta_ns(arrival.stamp.ns, sent_ns);
            out.broken(Rule::TooWide, arrival, seq, delta_ns);
        }
        let stamp_flag = self.stamps.flag(arrival);
        self.end.begin(out);
        for message in frame.messages().skip(skip as usize) {
            let bad_book = if self.incomplete { flags::MAYBE_BAD_BOOK } else { 0 };
            match Message::parse(message) {
                Ok(Some(message)) => {
                    let (name, flags) = (message.template.name, stamp_flag | bad_book);
                    let at = At { arrival, name, seq, ts_event: sent_ns, delta, flags, ends: false };
                    self.message(&message, at, out);
                }
                Ok(None) => {}
                // What cannot be read may have been about a book.
                Err(_) => self.incomplete = true,
            }
        }
    }

    fn gap(&mut self, _arrival: &Arrival, _out: &mut Output) {
        self.incomplete = true;
    }

    /// The week begins: numbers start again, books do not empty (a channel reset would say so).
    fn reset(&mut self, _arrival: &Arrival, _out: &mut Output) {
        self.incomplete = false;
    }

    fn tick(&mut self, _now_ns: u64, _out: &mut Output) {}

    fn symbols(&self) -> &[(u32, String)] {
        self.symbols.list()
    }
}
