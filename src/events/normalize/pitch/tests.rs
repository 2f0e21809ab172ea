use super::super::common::c;
use super::*;
use crate::feed::pitch::{Break, Delete, FutureDefinition, Mapping, Reduce, Remaining, Status, UnitEncoder};
use crate::feed::{FeedProtocol, Protocol, pitch as wire};
use crate::time::{Stamp, StampClock};
use dbn::{InstrumentDefMsg, StatusAction, StatusMsg};
use dbn::{MboMsg, RecordHeader, Schema, TradeMsg};
use proptest::prelude::*;

/// 2019-01-30 9:30 in New York, as a second of the day and in ns since the Unix epoch.
const OPEN_S: u32 = 34_200;
const OPEN_NS: u64 = 1_548_858_600 * NS_PER_SEC;

struct Desk {
    pitch: Pitch,
    out: Output,
    next: [u32; 256],
    stamp_ns: u64,
}

impl Desk {
    fn new() -> Self {
        let mut feed = FeedConfig::one_line("f", FeedProtocol::CboePitch, [239, 0, 0, 1].into(), 1);
        feed.symbols.insert("MSFT".to_owned(), 2);
        let (pitch, out) = (Pitch::new(&feed), Output::new(&feed));
        Self { pitch, out, next: [1; 256], stamp_ns: OPEN_NS + 2_000 }
    }

    fn arrival(&self) -> Arrival {
        Arrival { stamp: Stamp::new(self.stamp_ns, StampClock::FILE), line: 0 }
    }

    /// One datagram of a unit.
    fn unit(&mut self, unit: u8, messages: &[Message<'_>]) {
        let mut bytes = Vec::new();
        let sequence = &mut self.next[usize::from(unit)];
        let mut encoder = UnitEncoder::begin(&mut bytes, unit, *sequence);
        assert!(messages.iter().all(|message| encoder.message(message)));
        *sequence += u32::from(encoder.finish());
        let frame = wire::Pitch.frame(&bytes, bytes.len()).unwrap();
        let arrival = self.arrival();
        self.pitch.packet(&arrival, &frame, 0, &mut self.out);
    }

    fn stream(&mut self, schema: Schema) -> Vec<u8> {
        std::mem::take(&mut self.out.streams[Output::index(schema)])
    }

    /// The records of a schema, read by the official decoder; the stream is empty then.
    fn records<R: dbn::HasRType<Header = RecordHeader> + Clone>(&mut self, schema: Schema) -> Vec<R> {
        let bytes = self.stream(schema);
        let mut decoder = dbn::decode::dbn::RecordDecoder::new(&bytes[..]);
        let mut records = Vec::new();
        while let Some(record) = decoder.decode::<R>().unwrap() {
            records.push(record.clone());
        }
        records
    }

    /// Action and side, instrument, order, price in 1e-4, size.
    fn mbo(&mut self) -> Vec<(String, u32, u64, i64, u32)> {
        let told = |r: &MboMsg| {
            let price = if r.price == UNDEF_PRICE { -1 } else { r.price / 100_000 };
            let letters = [r.action, r.side].map(|letter| char::from(letter.cast_unsigned()));
            (letters.iter().collect(), r.hd.instrument_id, r.order_id, price, r.size)
        };
        self.records::<MboMsg>(Schema::Mbo).iter().map(told).collect()
    }

    fn rules(&self) -> Vec<(&'static str, u64)> {
        let counts = Rule::ALL.iter().map(|rule| (rule.name(), self.out.rules.count(*rule)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

fn row(letters: &str, id: u32, order: u64, price: i64, size: u32) -> (String, u32, u64, i64, u32) {
    (letters.to_owned(), id, order, price, size)
}

const TIME: Message<'static> = Message::Time { seconds: OPEN_S, tail: &[] };

fn add(order: u64, side: u8, quantity: u32, symbol: &[u8], price: Price) -> Message<'_> {
    Message::Add(Add { offset_ns: 1_000, order, side, quantity, symbol, price, tail: &[1] })
}

fn executed(order: u64, quantity: u32, at: Option<Remaining>) -> Message<'static> {
    Message::Executed(Executed { offset_ns: 1_000, order, quantity, execution: 99, at, tail: &[] })
}

fn reduce(order: u64, quantity: u32) -> Message<'static> {
    Message::Reduce(Reduce { offset_ns: 1_000, order, quantity, short: false, tail: &[] })
}

fn modify(order: u64, quantity: u32, price: Price) -> Message<'static> {
    Message::Modify(Modify { offset_ns: 1_000, order, quantity, price, tail: &[2] })
}

fn delete(order: u64) -> Message<'static> {
    Message::Delete(Delete { offset_ns: 1_000, order, tail: &[] })
}

#[test]
fn the_life_of_an_order_is_told_in_the_convention() {
    let mut desk = Desk::new();
    desk.unit(
        1,
        &[
            TIME,
            add(7, b'B', 100, b"AAPL  ", Price::Short(1_002)),
            add(8, b'S', 50, b"MSFT  ", Price::Long(100_300)),
        ],
    );
    assert_eq!(desk.mbo(), [row("AB", 1, 7, 100_200, 100), row("AA", 2, 8, 100_300, 50)]);
    desk.unit(1, &[executed(7, 30, None)]);
    assert_eq!(
        desk.mbo(),
        [row("TA", 1, 0, 100_200, 30), row("FB", 1, 7, 100_200, 30), row("CB", 1, 7, 100_200, 30)]
    );
    let trade = desk.records::<TradeMsg>(Schema::Trades).pop().unwrap();
    assert_eq!((trade.price, trade.size, trade.sequence), (10_020_000_000, 30, 4));
    // At another price, and the order is left with less than the execution took from it.
    let at = Remaining { quantity: 60, price: Price::Long(100_000) };
    desk.unit(1, &[executed(7, 5, Some(at))]);
    assert_eq!(
        desk.mbo(),
        [row("TA", 1, 0, 100_000, 5), row("FB", 1, 7, 100_000, 5), row("CB", 1, 7, 100_200, 10)]
    );
    desk.unit(1, &[reduce(7, 20), modify(7, 90, Price::Short(1_001)), delete(7), delete(8)]);
    let life = [
        row("CB", 1, 7, 100_200, 20),
        row("MB", 1, 7, 100_100, 90),
        row("CB", 1, 7, 100_100, 90),
        row("CA", 2, 8, 100_300, 50),
    ];
    assert_eq!(desk.mbo(), life);
    assert_eq!(desk.rules(), []);
    assert_eq!(desk.pitch.symbols(), [(1, "AAPL".to_owned()), (2, "MSFT".to_owned())]);
}

#[test]
fn an_execution_may_leave_more_than_was_known() {
    let mut desk = Desk::new();
    desk.unit(1, &[TIME, add(7, b'S', 10, b"AAPL  ", Price::Short(100))]);
    desk.mbo();
    // A part of it was hidden.
    let at = Remaining { quantity: 25, price: Price::Long(9_900) };
    desk.unit(1, &[executed(7, 40, Some(at)), executed(7, 25, None), delete(7)]);
    let told = desk.mbo();
    assert_eq!(told[2], row("MA", 1, 7, 10_000, 25));
    assert_eq!(told[5], row("CA", 1, 7, 10_000, 25));
    assert_eq!(desk.rules(), [("order-unknown", 1)], "the last one: nothing was left to delete");
}

#[test]
fn times_are_the_units_second_and_the_offset() {
    let mut desk = Desk::new();
    let order = |number| add(number, b'B', 1, b"AAPL  ", Price::Short(1));
    // No Time message yet in unit 2; unit 3 tells the second since 1970, unit 4 the midnight.
    let epoch = u32::try_from(OPEN_NS / NS_PER_SEC).unwrap();
    let since_1970 = epoch.to_le_bytes();
    let reference = Message::TimeReference {
        midnight_s: epoch - OPEN_S,
        seconds: OPEN_S,
        offset_ns: 5,
        trade_date: 20_190_130,
        tail: &[],
    };
    desk.unit(1, &[TIME, order(1)]);
    desk.unit(2, &[order(2)]);
    desk.unit(3, &[Message::Time { seconds: OPEN_S - 3_600, tail: &since_1970 }, order(3)]);
    desk.unit(4, &[reference, order(4)]);
    let late = Message::Delete(Delete { offset_ns: 1_000_000_000, order: 1, tail: &[] });
    desk.unit(1, &[late]);
    desk.pitch.gap(&desk.arrival(), &mut desk.out);
    desk.unit(3, &[delete(3)]);
    let times = desk.records::<MboMsg>(Schema::Mbo);
    let told: Vec<_> = times.iter().map(|r| (r.hd.ts_event, r.ts_in_delta)).collect();
    let (known, unknown) = ((OPEN_NS + 1_000, 1_000), (UNDEF_TIMESTAMP, 0));
    assert_eq!(told, [known, unknown, known, known, unknown, unknown]);
    assert!(desk.rules().contains(&("time-impossible", 1)));
    assert!(!times[4].flags.is_maybe_bad_book() && times[5].flags.is_maybe_bad_book());
}

#[test]
fn a_unit_is_cleared_alone() {
    let mut desk = Desk::new();
    desk.unit(
        1,
        &[TIME, add(1, b'B', 1, b"AAPL  ", Price::Short(1)), add(2, b'B', 1, b"MSFT  ", Price::Short(1))],
    );
    desk.unit(2, &[TIME, add(3, b'B', 1, b"IBM   ", Price::Short(1))]);
    desk.mbo();
    desk.unit(1, &[Message::UnitClear { offset_ns: 1_000, tail: &[] }]);
    assert_eq!(desk.mbo(), [row("RN", 1, 0, -1, 0), row("RN", 2, 0, -1, 0)]);
    desk.unit(2, &[delete(3)]);
    assert_eq!(desk.mbo(), [row("CB", 3, 3, 100, 1)]);
    desk.unit(1, &[delete(1)]);
    assert_eq!(desk.rules(), [("order-unknown", 1)]);
    desk.unit(2, &[add(4, b'B', 1, b"IBM   ", Price::Short(1))]);
    desk.mbo();
    desk.pitch.reset_space(&Space::of(&[2]), &desk.arrival(), &mut desk.out);
    assert_eq!(desk.mbo(), [row("RN", 3, 0, -1, 0)]);
}

#[test]
fn what_cannot_be_breaks_its_rule_and_what_is_missing_by_rights_is_only_counted() {
    let mut desk = Desk::new();
    let order = |number, side, quantity, price| add(number, side, quantity, b"AAPL  ", price);
    desk.unit(
        1,
        &[
            TIME,
            order(1, b'B', 10, Price::Short(1)),
            order(1, b'B', 20, Price::Short(1)),
            reduce(1, 30),
            executed(9, 1, None),
            order(2, b'X', 1, Price::Short(1)),
            order(3, b'B', 0, Price::Short(0)),
            order(4, b'B', 1, Price::Long(u64::MAX)),
        ],
    );
    let mut rules = desk.rules();
    rules.sort_unstable();
    let broken = [
        ("field-unknown", 1),
        ("order-duplicate", 1),
        ("order-unknown", 1),
        ("price-invalid", 2),
        ("quantity-negative", 1),
        ("quantity-zero", 1),
    ];
    assert_eq!(rules, broken);
    assert_eq!(desk.mbo().last().unwrap().3, -1, "a price that cannot be told is undefined");
    let said = desk.out.side.len();
    desk.pitch.gap(&desk.arrival(), &mut desk.out);
    desk.unit(1, &[delete(77)]);
    assert_eq!(desk.out.side.len(), said, "orders are missing by rights");
    assert!(desk.rules().contains(&("order-unknown", 2)));
}

#[test]
fn definitions_states_and_breaks_are_told() {
    let mut desk = Desk::new();
    let mapping =
        Mapping { symbol: b"027wuE", osi: b"USPX  200619P00500000", condition: b'N', tail: b"USPX    " };
    let future = FutureDefinition {
        offset_ns: 1_000,
        symbol: b"002Tt-",
        unit_time_s: 0,
        report_symbol: b"ZVA   ",
        flags: 0,
        expiration: 20_200_619,
        contract_size: 1_000,
        listing_state: b'A',
        price_increment: Price::Long(500),
        legs: 0,
        leg_offset: 0,
        tail: &[0],
    };
    let spread = FutureDefinition { symbol: b"0004yj", legs: 2, ..future };
    let status = Status { offset_ns: 1_000, symbol: b"ZVZZT   ", status: b'H', reg_sho: b'1', tail: b"  " };
    desk.unit(
        1,
        &[
            TIME,
            Message::Mapping(mapping),
            Message::FutureDefinition(future),
            Message::FutureDefinition(spread),
            Message::Status(status),
            Message::Break(Break { offset_ns: 1_000, execution: 4_711, tail: &[] }),
            Message::EndOfSession { offset_ns: 1_000, tail: &[] },
            add(1, b'B', 1, b"0004yj", Price::Short(u16::MAX)),
        ],
    );
    let definitions = desk.records::<InstrumentDefMsg>(Schema::Definition);
    let option = &definitions[0];
    assert_eq!(option.raw_symbol().unwrap(), "USPX  200619P00500000");
    assert_eq!((option.strike_price, option.instrument_class), (500_000_000_000, c(b'P')));
    assert_eq!((option.maturity_year, option.maturity_month, option.maturity_day), (2020, 6, 19));
    let future = &definitions[1];
    assert_eq!((future.asset().unwrap(), future.min_price_increment), ("ZVA", 50_000_000));
    assert_eq!((future.instrument_class, definitions[2].instrument_class), (c(b'F'), c(b'S')));
    let state = desk.records::<StatusMsg>(Schema::Status).pop().unwrap();
    assert_eq!((state.action, state.is_trading), (StatusAction::Halt as u16, c(b'N')));
    assert_eq!(state.is_short_sell_restricted, c(b'Y'));
    assert_eq!(desk.mbo(), [row("AB", 4, 1, -100, 1)], "prices of spreads are signed");
    let side = String::from_utf8(desk.out.side.clone()).unwrap();
    for told in [
        "\"trade\":4711",
        "\"message\":\"end of session\",\"fields\":\"bytes=062de8030000\"",
        "\"kind\":\"symbol\"",
    ] {
        assert!(side.contains(told), "{told} in {side}");
    }
    assert_eq!(desk.rules(), []);
}

#[test]
fn the_last_record_of_an_instrument_in_a_packet_is_flagged() {
    let mut desk = Desk::new();
    desk.unit(
        1,
        &[
            TIME,
            add(1, b'B', 1, b"AAPL  ", Price::Short(1)),
            add(2, b'B', 1, b"IBM   ", Price::Short(1)),
            delete(1),
        ],
    );
    let last: Vec<_> = desk.records::<MboMsg>(Schema::Mbo).iter().map(|r| r.flags.is_last()).collect();
    assert_eq!(last, [false, true, true]);
}

prop_compose! {
    fn any_message()(
        what in 0..9, order in 0_u64..6, side in prop::sample::select(vec![b'B', b'S', b'?']), quantity in 0_u32..4,
        price in 0_u16..4, left in 0_u32..4, offset_ns in any::<u32>(), seconds in any::<u32>(),
    ) -> Vec<u8> {
        let at = Remaining { quantity: left, price: Price::Long(price.into()) };
        let message = match what {
            0 => Message::Time { seconds, tail: &[] },
            1 | 2 => add(order, side, quantity, b"AAPL  ", Price::Short(price)),
            3 => executed(order, quantity, None),
            4 => executed(order, quantity, Some(at)),
            5 => reduce(order, quantity),
            6 => modify(order, quantity, Price::Short(price)),
            7 => delete(order),
            _ => Message::UnitClear { offset_ns, tail: &[] },
        };
        let mut bytes = Vec::new();
        assert!(message.write(&mut bytes));
        bytes
    }
}

proptest! {
    /// Adds, and what takes away, must leave what the book has: whatever the messages say.
    #[test]
    fn the_records_add_up_to_the_book(messages in prop::collection::vec(any_message(), 0..60)) {
        let mut desk = Desk::new();
        let parsed: Vec<_> = messages.iter().map(|bytes| Message::parse(bytes).unwrap()).collect();
        let mut left = std::collections::BTreeMap::<u64, u64>::new();
        for message in &parsed {
            desk.unit(1, std::slice::from_ref(message));
            for (letters, _, order, _, size) in desk.mbo() {
                let size = u64::from(size);
                match letters.as_bytes()[0] {
                    b'A' | b'M' => { left.insert(order, size); }
                    b'C' => {
                        let now = left.get(&order).map_or(0, |before| before.saturating_sub(size));
                        left.insert(order, now);
                    }
                    b'R' => left.clear(),
                    _ => {}
                }
            }
        }
        let mut unit = desk.pitch.unit(&Space::of(&[1])).unwrap();
        let Some(books) = unit.books() else { return Ok(()) };
        for order in 0..6 {
            let known = books.orders().get(order).map_or(0, |order| order.quantity);
            prop_assert_eq!(left.get(&order).copied().unwrap_or(0), known, "order {}", order);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..10)) {
        let mut desk = Desk::new();
        let mut bytes = Vec::new();
        let mut encoder = UnitEncoder::begin(&mut bytes, 1, 1);
        for mut message in messages {
            message.insert(0, u8::try_from(message.len() + 1).unwrap());
            encoder.raw(&message);
        }
        encoder.finish();
        let frame = wire::Pitch.frame(&bytes, bytes.len()).unwrap();
        let arrival = desk.arrival();
        desk.pitch.packet(&arrival, &frame, 0, &mut desk.out);
        desk.pitch.reset(&arrival, &mut desk.out);
    }
}
