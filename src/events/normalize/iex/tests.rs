//! DEEP and DEEP+, of which no capture is at hand: messages encoded, made into events, and decoded as DBN.

use super::*;
use crate::feed::iex::encode;
use crate::feed::iextp::{Encoder, IexTp, SegmentHeader};
use crate::feed::{FeedProtocol, Protocol as _};
use crate::time::{Stamp, StampClock};
use dbn::decode::dbn::RecordDecoder;
use dbn::{FlagSet, MboMsg, Schema, Side, StatMsg, StatusMsg, TradeMsg, VersionUpgradePolicy};

const SYMBOL: [u8; 8] = *b"ZIEXT   ";
const RECV_NS: u64 = 1_471_980_632_000_000_500;
const SENT_NS: i64 = 1_471_980_632_000_000_100;
const EVENT_NS: i64 = 1_471_980_632_000_000_000;

struct Desk {
    normalizer: Iex,
    out: Output,
    next: u64,
    protocol: u16,
}

impl Desk {
    fn new(protocol: u16) -> Self {
        let feed = FeedConfig::one_line("iex", FeedProtocol::IexTp, [239, 0, 0, 1].into(), 1);
        Self { normalizer: Iex::new(&feed), out: Output::new(&feed), next: 1, protocol }
    }
    fn arrival() -> Arrival {
        Arrival { stamp: Stamp::new(RECV_NS, StampClock::FILE), line: 0 }
    }
    /// One segment with these messages.
    fn give(&mut self, messages: &[Vec<u8>]) {
        let header = SegmentHeader {
            message_protocol: self.protocol,
            channel: 1,
            session: 9,
            offset: 0,
            first: self.next,
            sent_ns: SENT_NS,
        };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(&mut bytes, &header);
        for message in messages {
            assert!(encoder.message(message));
        }
        encoder.finish();
        self.next += messages.len() as u64;
        let frame = IexTp.frame(&bytes, bytes.len()).unwrap();
        self.normalizer.packet(&Self::arrival(), &frame, 0, &mut self.out);
    }
    fn records<T: dbn::v3::HasRType + Clone>(&self, schema: Schema) -> Vec<T> {
        let bytes = &self.out.streams[Output::index(schema)];
        let mut decoder =
            RecordDecoder::with_version(&bytes[..], 3, VersionUpgradePolicy::AsIs, false).unwrap();
        let mut records = Vec::new();
        while let Some(record) = decoder.decode::<T>().unwrap() {
            records.push(record.clone());
        }
        records
    }
    fn mbo(&self) -> Vec<(char, char, u64, i64, u32)> {
        let of = |r: MboMsg| {
            let letter = |c: std::ffi::c_char| char::from(c.cast_unsigned());
            (letter(r.action), letter(r.side), r.order_id, r.price, r.size)
        };
        self.records::<MboMsg>(Schema::Mbo).into_iter().map(of).collect()
    }
    fn rows(&self, kind: &str) -> Vec<serde_json::Value> {
        let lines = self.out.side.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .filter(|row: &serde_json::Value| row["kind"] == kind)
            .collect()
    }
    fn count(&self, rule: Rule) -> u64 {
        self.out.rules.count(rule)
    }
}

fn bytes<M: encode::Message>(message: &M) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn add(order: i64, side: u8, size: u32, price: i64) -> Vec<u8> {
    bytes(&encode::AddOrder { side, timestamp_ns: EVENT_NS, symbol: SYMBOL, order, size, price })
}

fn executed(order: i64, size: u32, price: i64) -> Vec<u8> {
    bytes(&encode::OrderExecuted {
        timestamp_ns: EVENT_NS,
        symbol: SYMBOL,
        order,
        size,
        price,
        trade_id: 77,
        ..Default::default()
    })
}

fn delete(order: i64) -> Vec<u8> {
    bytes(&encode::OrderDelete { timestamp_ns: EVENT_NS, symbol: SYMBOL, order, ..Default::default() })
}

fn clear() -> Vec<u8> {
    bytes(&encode::ClearBook { timestamp_ns: EVENT_NS, symbol: SYMBOL, ..Default::default() })
}

fn quote(bid: (u32, i64), ask: (u32, i64)) -> Vec<u8> {
    bytes(&encode::QuoteUpdate {
        flags: 0,
        timestamp_ns: EVENT_NS,
        symbol: SYMBOL,
        bid_size: bid.0,
        bid_price: bid.1,
        ask_price: ask.1,
        ask_size: ask.0,
    })
}

fn trade(price: i64, size: u32) -> Vec<u8> {
    let sale_condition = 0x20;
    bytes(&encode::TradeReport {
        sale_condition,
        timestamp_ns: EVENT_NS,
        symbol: SYMBOL,
        size,
        price,
        trade_id: 5,
    })
}

#[test]
fn the_life_of_an_order_is_told_with_side_price_and_what_is_left() {
    let mut desk = Desk::new(protocol_id::DEEP_PLUS);
    let modify = encode::OrderModify {
        flags: 1,
        timestamp_ns: EVENT_NS,
        symbol: SYMBOL,
        order: 429_974,
        size: 80,
        price: 990_500,
    };
    desk.give(&[
        add(429_974, b'8', 100, 990_500),
        bytes(&modify),
        executed(429_974, 30, 990_600),
        delete(429_974),
    ]);
    let (price, better) = (99_050_000_000, 99_060_000_000);
    assert_eq!(
        desk.mbo(),
        [
            ('A', 'B', 429_974, price, 100),
            ('M', 'B', 429_974, price, 80),
            ('T', 'A', 0, better, 30),
            ('F', 'B', 429_974, better, 30),
            ('C', 'B', 429_974, price, 30),
            ('C', 'B', 429_974, price, 50),
        ]
    );
    let records = desk.records::<MboMsg>(Schema::Mbo);
    let last: Vec<bool> = records.iter().map(|record| record.flags.is_last()).collect();
    assert_eq!(last, [false, false, false, false, false, true]);
    assert_eq!(records[3].sequence, 3);
    assert_eq!((records[0].ts_in_delta, records[0].hd.ts_event), (400, EVENT_NS.cast_unsigned()));
    let [trade] = &desk.records::<TradeMsg>(Schema::Trades)[..] else { panic!("one trade") };
    assert_eq!((trade.price, trade.size, trade.side), (better, 30, Side::Ask as std::ffi::c_char));
    assert_eq!(desk.count(Rule::OrderUnknown) + desk.count(Rule::QuantityNegative), 0);
}

#[test]
fn orders_that_cannot_be_are_said_and_the_records_say_what_the_message_says() {
    let mut desk = Desk::new(protocol_id::DEEP_PLUS);
    desk.give(&[
        add(1, b'5', 10, 10_000),
        add(1, b'8', 20, 20_000),
        executed(1, 25, 20_000),
        delete(1),
        executed(2, 0, 0),
    ]);
    let rules = [
        Rule::OrderDuplicate,
        Rule::QuantityNegative,
        Rule::OrderUnknown,
        Rule::QuantityZero,
        Rule::PriceInvalid,
    ];
    assert_eq!(rules.map(|rule| desk.count(rule)), [1, 1, 2, 1, 1]);
    let mbo = desk.mbo();
    assert_eq!(mbo[4], ('C', 'B', 1, 2_000_000_000, 20), "no more than was there");
    assert_eq!(mbo[5], ('C', 'N', 1, UNDEF_PRICE, 0));
    assert_eq!(mbo[6..], [('T', 'N', 0, 0, 0), ('F', 'N', 2, 0, 0)]);
}

#[test]
fn a_cleared_book_has_no_orders_and_their_numbers_may_come_again() {
    let mut desk = Desk::new(protocol_id::DEEP_PLUS);
    desk.give(&[add(1, b'8', 10, 10_000), clear(), delete(1), add(1, b'5', 5, 10_000), delete(1)]);
    assert_eq!((desk.count(Rule::OrderUnknown), desk.count(Rule::OrderDuplicate)), (1, 0));
    assert_eq!(desk.mbo()[1], ('R', 'N', 0, UNDEF_PRICE, 0));
    assert_eq!(desk.mbo()[4], ('C', 'A', 1, 1_000_000_000, 5));
    // A new sequence space clears what there is, and nothing twice.
    desk.give(&[add(7, b'8', 10, 10_000)]);
    desk.normalizer.reset(&Desk::arrival(), &mut desk.out);
    desk.normalizer.reset(&Desk::arrival(), &mut desk.out);
    let clears = desk.mbo().iter().filter(|record| record.0 == 'R').count();
    assert_eq!(clears, 2);
}

#[test]
fn a_gap_puts_orders_in_doubt_until_the_book_is_cleared() {
    let mut desk = Desk::new(protocol_id::DEEP_PLUS);
    desk.give(&[add(1, b'8', 10, 10_000)]);
    desk.normalizer.gap(&Desk::arrival(), &mut desk.out);
    desk.give(&[delete(3), clear(), add(4, b'8', 10, 10_000)]);
    let doubt: Vec<bool> =
        desk.records::<MboMsg>(Schema::Mbo).iter().map(|record| record.flags.is_maybe_bad_book()).collect();
    assert_eq!(doubt, [false, true, false, false]);
    assert_eq!(desk.count(Rule::OrderUnknown), 1);
    assert!(desk.rows("rule").is_empty(), "counted, but missing by rights");
}

#[test]
fn a_quote_without_price_or_size_is_undefined_and_mends_a_gap() {
    let mut desk = Desk::new(protocol_id::TOPS);
    desk.give(&[trade(10_000, 1), quote((100, 990_500), (0, 990_700)), trade(990_600, 7)]);
    desk.normalizer.gap(&Desk::arrival(), &mut desk.out);
    desk.give(&[trade(990_600, 8), quote((0, 0), (5, 990_700)), trade(990_600, 9)]);
    let quotes = desk.records::<dbn::Mbp1Msg>(Schema::Mbp1);
    let level = |at: usize| &quotes[at].levels[0];
    assert_eq!((level(0).bid_px, level(0).ask_px, level(0).ask_sz), (99_050_000_000, UNDEF_PRICE, 0));
    assert_eq!((level(1).bid_px, level(1).bid_sz, level(1).ask_px), (UNDEF_PRICE, 0, 99_070_000_000));
    let tbbo = desk.records::<dbn::Mbp1Msg>(Schema::Tbbo);
    let told: Vec<_> =
        tbbo.iter().map(|r| (r.size, r.levels[0].bid_sz, r.flags.is_maybe_bad_book())).collect();
    assert_eq!(told, [(7, 100, false), (8, 100, true), (9, 0, false)], "none before the first quote");
    assert_eq!(desk.records::<TradeMsg>(Schema::Trades).len(), 4);
    assert_eq!(desk.rows("other")[0]["fields"], "sale_condition=0x20 size=1 price=1000000000 trade_id=5");
}

#[test]
fn a_capture_that_begins_in_the_middle_is_in_doubt() {
    let mut desk = Desk::new(protocol_id::TOPS);
    desk.next = 5_000_000_000;
    desk.give(&[trade(10_000, 1)]);
    let [trade] = &desk.records::<TradeMsg>(Schema::Trades)[..] else { panic!("one trade") };
    assert_eq!(trade.flags, FlagSet::empty().set_last().set_maybe_bad_book());
    assert_eq!(trade.sequence, 705_032_704);
    assert_eq!(desk.rows("wide")[0]["value"], 5_000_000_000_u64);
}

/// The last number before the sequence ends asked for one more behind it; found by the fuzz target. Numbers are asked for
/// only while there are messages.
#[test]
fn the_last_number_of_all_does_not_overflow() {
    let mut desk = Desk::new(protocol_id::TOPS);
    desk.next = u64::MAX - 1;
    desk.give(&[trade(10_000, 1)]);
    assert_eq!(desk.records::<TradeMsg>(Schema::Trades)[0].sequence, u32::MAX - 1);
}

#[test]
fn a_book_that_stays_crossed_is_said_once() {
    let mut desk = Desk::new(protocol_id::TOPS);
    let crossed = quote((1, 10_000), (1, 9_900));
    desk.give(std::slice::from_ref(&crossed));
    let mut later = Desk::arrival();
    let heartbeat = SegmentHeader { message_protocol: protocol_id::TOPS, first: 2, ..Default::default() };
    let mut segment = Vec::new();
    Encoder::begin(&mut segment, &heartbeat).finish();
    let frame = IexTp.frame(&segment, segment.len()).unwrap();
    for (after_ns, said) in [(1_000_000_000, 0), (1, 1), (5_000_000_000, 1)] {
        later.stamp.ns += after_ns;
        desk.normalizer.packet(&later, &frame, 0, &mut desk.out);
        assert_eq!(desk.count(Rule::BookCrossed), said);
    }
}

#[test]
fn levels_and_breaks_go_to_the_side_table() {
    let mut desk = Desk::new(protocol_id::DEEP);
    let buy =
        encode::PriceLevelBuy { flags: 0, timestamp_ns: EVENT_NS, symbol: SYMBOL, size: 300, price: 990_500 };
    let sell =
        encode::PriceLevelSell { flags: 1, timestamp_ns: EVENT_NS, symbol: SYMBOL, size: 0, price: 990_700 };
    let gone = encode::TradeBreak {
        timestamp_ns: EVENT_NS,
        symbol: SYMBOL,
        trade_id: 167_830,
        ..Default::default()
    };
    desk.give(&[bytes(&buy), bytes(&sell), bytes(&gone)]);
    let levels = desk.rows("level");
    assert_eq!(
        (&levels[0]["side"], &levels[0]["price"], &levels[0]["size"]),
        (&"B".into(), &99_050_000_000_i64.into(), &300.into())
    );
    assert_eq!(
        (&levels[1]["side"], &levels[1]["size"], &levels[1]["last"]),
        (&"A".into(), &0.into(), &true.into())
    );
    assert_eq!(desk.rows("break")[0]["trade"], 167_830);
}

#[test]
fn states_have_dbns_words_and_what_has_none_is_a_row() {
    let mut desk = Desk::new(protocol_id::DEEP);
    let state = |status: u8, reason: &[u8; 4]| {
        bytes(&encode::TradingStatus { status, timestamp_ns: EVENT_NS, symbol: SYMBOL, reason: *reason })
    };
    let test =
        |status, detail| bytes(&encode::ShortSale { status, timestamp_ns: EVENT_NS, symbol: SYMBOL, detail });
    desk.give(&[
        state(b'H', b"T1  "),
        state(b'O', b"IPO2"),
        state(b'T', b"    "),
        state(b'H', b"??  "),
        state(b'Z', b"    "),
        bytes(&encode::OperationalHalt { status: b'O', timestamp_ns: EVENT_NS, symbol: SYMBOL }),
        test(1, b'A'),
        bytes(&encode::SecurityEvent { event: b'C', timestamp_ns: EVENT_NS, symbol: SYMBOL }),
    ]);
    let told: Vec<(u16, u16, u8, u8)> = desk
        .records::<StatusMsg>(Schema::Status)
        .iter()
        .map(|r| {
            (r.action, r.reason, r.is_trading.cast_unsigned(), r.is_short_sell_restricted.cast_unsigned())
        })
        .collect();
    let expected = [
        (8, 30, b'N', b'~'),
        (2, 110, b'N', b'~'),
        (7, 0, b'Y', b'~'),
        (8, 0, b'N', b'~'),
        (8, 60, b'N', b'~'),
        (14, 0, b'~', b'Y'),
        (13, 1, b'~', b'~'),
    ];
    assert_eq!(told, expected);
    let rows: Vec<String> =
        desk.rows("other").iter().map(|row| row["fields"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        rows,
        ["status=O reason=IPO2", "status=H reason=??", "status=Z reason=", "status=0x01 detail=A"]
    );
    assert_eq!(desk.count(Rule::FieldUnknown), 2);
}

#[test]
fn an_official_price_is_a_statistic() {
    let mut desk = Desk::new(protocol_id::DEEP);
    let official = |price_type, price| {
        bytes(&encode::OfficialPrice { price_type, timestamp_ns: EVENT_NS, symbol: SYMBOL, price })
    };
    desk.give(&[official(b'Q', 990_500), official(b'M', i64::MAX)]);
    let told: Vec<(u16, i64)> =
        desk.records::<StatMsg>(Schema::Statistics).iter().map(|r| (r.stat_type, r.price)).collect();
    assert_eq!(told, [(1, 99_050_000_000), (11, UNDEF_PRICE)]);
    assert_eq!(desk.count(Rule::PriceInvalid), 1, "what does not fit is said");
}
