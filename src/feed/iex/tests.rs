//! Layouts against a table written by hand, examples of the specifications, and the encoders against the views.

use super::encode::{self, Message as _};
use super::*;
use crate::packet::Verdict;
use proptest::prelude::*;

/// Offset and width of a field.
type Place = (usize, usize);

/// Type, length, and offsets with widths, as the specifications' tables have them.
const SPECIFIED: [(u8, usize, &[Place]); 20] = [
    (b'S', 10, &[(1, 1), (2, 8)]),
    (b'D', 31, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8), (30, 1)]),
    (b'H', 22, &[(1, 1), (2, 8), (10, 8), (18, 4)]),
    (b'I', 18, &[(1, 1), (2, 8), (10, 8)]),
    (b'O', 18, &[(1, 1), (2, 8), (10, 8)]),
    (b'P', 19, &[(1, 1), (2, 8), (10, 8), (18, 1)]),
    (b'E', 18, &[(1, 1), (2, 8), (10, 8)]),
    (b'Q', 42, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8), (30, 8), (38, 4)]),
    (b'8', 30, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8)]),
    (b'5', 30, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8)]),
    (b'T', 38, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8), (30, 8)]),
    (b'B', 38, &[(1, 1), (2, 8), (10, 8), (18, 4), (22, 8), (30, 8)]),
    (b'X', 26, &[(1, 1), (2, 8), (10, 8), (18, 8)]),
    (
        b'A',
        80,
        &[
            (1, 1),
            (2, 8),
            (10, 8),
            (18, 4),
            (22, 8),
            (30, 8),
            (38, 4),
            (42, 1),
            (43, 1),
            (44, 4),
            (48, 8),
            (56, 8),
            (64, 8),
            (72, 8),
        ],
    ),
    (b'a', 38, &[(1, 1), (2, 8), (10, 8), (18, 8), (26, 4), (30, 8)]),
    (b'M', 38, &[(1, 1), (2, 8), (10, 8), (18, 8), (26, 4), (30, 8)]),
    (b'R', 26, &[(1, 1), (2, 8), (10, 8), (18, 8)]),
    (b'L', 46, &[(1, 1), (2, 8), (10, 8), (18, 8), (26, 4), (30, 8), (38, 8)]),
    (b'C', 18, &[(1, 1), (2, 8), (10, 8)]),
    // Not a type: the table must not be longer than this list.
    (0, 0, &[]),
];

fn bytes<M: encode::Message>(message: &M) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

#[test]
fn every_layout_is_the_specified_one_and_has_no_holes() {
    assert_eq!(LAYOUT.len() + 1, SPECIFIED.len());
    for (layout, (kind, length, fields)) in LAYOUT.iter().zip(SPECIFIED) {
        assert_eq!((layout.kind, layout.length), (kind, length), "{}", layout.name);
        let places: Vec<(usize, usize)> = layout.fields.iter().map(|(_, at, width)| (*at, *width)).collect();
        assert_eq!(places, fields, "{}", layout.name);
        let mut next = 1;
        for (name, at, width) in layout.fields {
            assert_eq!(*at, next, "{} {name}", layout.name);
            next += width;
        }
        assert_eq!(next, length, "{}", layout.name);
    }
}

#[test]
fn every_type_byte_finds_its_layout_and_no_other() {
    for byte in 0..=255 {
        assert_eq!(lookup(byte), LAYOUT.iter().find(|layout| layout.kind == byte), "{byte}");
    }
}

#[test]
fn longer_is_growth_shorter_is_short_unknown_is_none() {
    for layout in LAYOUT {
        let mut grown = vec![0; layout.length + 7];
        grown[0] = layout.kind;
        let whole = Message::parse(&grown).unwrap().unwrap();
        assert_eq!(whole.bytes(), &grown[..layout.length]);
        assert_eq!(Message::parse(&grown[..layout.length]), Ok(Some(whole)));
        assert_eq!(whole.name(), layout.name);
        assert!(fits_exactly(&grown[..layout.length]) && !fits_exactly(&grown));
        for short in 1..layout.length {
            assert_eq!(Message::parse(&grown[..short]), Err(Verdict::IEX_SHORT));
        }
    }
    assert_eq!(Message::parse(b"z"), Ok(None));
    assert_eq!(Message::parse(b""), Err(Verdict::IEX_EMPTY));
    assert!(!fits_exactly(b"") && !fits_exactly(b"z"));
}

#[test]
fn the_specifications_quote_update_reads_as_printed() {
    // TOPS 1.66, "Quote Update Message", example: 9,700 shares at $99.05 bid, 1,000 at $99.07 asked, 15:30:32.912754610.
    let message = [
        0x51, 0x00, 0xac, 0x63, 0xc0, 0x20, 0x96, 0x86, 0x6d, 0x14, 0x5a, 0x49, 0x45, 0x58, 0x54, 0x20, 0x20,
        0x20, 0xe4, 0x25, 0x00, 0x00, 0x24, 0x1d, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0xec, 0x1d, 0x0f, 0x00,
        0x00, 0x00, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00,
    ];
    let parsed = Message::parse(&message).unwrap().unwrap();
    let Message::QuoteUpdate(quote) = parsed else { panic!("{parsed:?}") };
    assert_eq!((quote.bid_size(), quote.bid_price()), (9_700, Price4(990_500)));
    assert_eq!((quote.ask_size(), quote.ask_price()), (1_000, Price4(990_700)));
    assert_eq!(quote.bid_price().nanos(), Some(99_050_000_000));
    assert_eq!(parsed.symbol(), Some(b"ZIEXT   "));
    // 2016-08-23 19:30:32 UTC.
    assert_eq!(parsed.timestamp_ns() / 1_000_000_000, 1_471_980_632);
    assert_eq!(parsed.unlisted(), None);
}

#[test]
fn the_specifications_directory_and_system_event_read_as_printed() {
    // DEEP+ 1.02, "Security Directory Message", example: test security, 100 shares, $99.05, tier 1, 2017-04-17 07:40 (by the bytes: UTC).
    let message = [
        0x44, 0x80, 0x00, 0x20, 0x89, 0x7b, 0x5a, 0x1f, 0xb6, 0x14, 0x5a, 0x49, 0x45, 0x58, 0x54, 0x20, 0x20,
        0x20, 0x64, 0x00, 0x00, 0x00, 0x24, 0x1d, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    ];
    let parsed = Message::parse(&message).unwrap().unwrap();
    let mut text = String::new();
    parsed.describe(&mut text);
    assert_eq!(text, "flags=0x80 round_lot=100 adjusted_close=99050000000 luld_tier=0x01");
    assert_eq!(parsed.timestamp_ns(), 1_492_414_800_000_000_000);
    // The same, "System Event Message": end of system hours, 2017-04-17 17:00.
    let message = [0x53, 0x45, 0x00, 0xa0, 0x99, 0x97, 0xe9, 0x3d, 0xb6, 0x14];
    let parsed = Message::parse(&message).unwrap().unwrap();
    assert_eq!((parsed.symbol(), parsed.timestamp_ns()), (None, 1_492_448_400_000_000_000));
    let Message::SystemEvent(event) = parsed else { panic!("{parsed:?}") };
    assert_eq!(event.event(), b'E');
}

#[test]
fn a_value_or_bit_that_is_not_listed_is_named() {
    let odd = bytes(&encode::TradingStatus { status: b'X', ..Default::default() });
    assert_eq!(Message::parse(&odd).unwrap().unwrap().unlisted(), Some(("status", b'X')));
    let odd = bytes(&encode::TradeReport { sale_condition: 0x81, ..Default::default() });
    assert_eq!(Message::parse(&odd).unwrap().unwrap().unlisted(), Some(("sale_condition", 0x81)));
    let odd = bytes(&encode::OrderDelete { reserved: 1, ..Default::default() });
    assert_eq!(Message::parse(&odd).unwrap().unwrap().unlisted(), Some(("reserved", 1)));
    let listed = bytes(&encode::TradeReport { sale_condition: 0xf8, ..Default::default() });
    assert_eq!(Message::parse(&listed).unwrap().unwrap().unlisted(), None);
}

#[test]
fn prices_that_do_not_fit_are_none() {
    assert_eq!(Price4(i64::MAX / 100_000).nanos(), Some(9_223_372_036_854_700_000));
    assert_eq!(Price4(i64::MAX / 100_000 + 1).nanos(), None);
    assert_eq!(Price4(i64::MIN).nanos(), None);
}

/// Encodes with the encoder `$name`, reads with the view, and compares each field.
macro_rules! round_trip {
    ($bytes:expr, $variant:ident, $encoder:ident, { $($field:ident = $value:expr),* $(,)? }, $($seen:ident => $as:expr),*) => {{
        let encoder = encode::$encoder { $($field: $value),* };
        let written = bytes(&encoder);
        prop_assert_eq!(written[0], encode::$encoder::KIND);
        prop_assert!(fits_exactly(&written));
        let Ok(Some(Message::$variant(view))) = Message::parse(&written) else {
            return Err(TestCaseError::fail("not read back"));
        };
        $(prop_assert_eq!(view.$seen(), $as(encoder.$seen));)*
        // What stands behind a longer message changes nothing.
        let mut grown = written.clone();
        grown.extend($bytes);
        prop_assert_eq!(Message::parse(&grown).unwrap().map(|message| message.bytes().to_vec()), Some(written));
    }};
}

proptest! {
    #[test]
    fn what_the_encoders_write_the_views_read(
        byte: u8, other: u8, third: u8, timestamp_ns: i64, symbol: [u8; 8], reason: [u8; 4],
        sizes: [u32; 3], prices: [i64; 6], ids: [i64; 2], grown in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let same = |value| value;
        let same8 = |value: [u8; 8]| value;
        let same4 = |value: [u8; 4]| value;
        let time = |value: i64| value;
        let count = |value: u32| value;
        let [size, size2, size3] = sizes;
        let [price, price2, price3, price4, price5, price6] = prices;
        let [order, trade_id] = ids;
        let grown = || grown.iter().copied();
        round_trip!(grown(), SystemEvent, SystemEvent, { event = byte, timestamp_ns = timestamp_ns },
            event => same, timestamp_ns => time);
        round_trip!(grown(), SecurityDirectory, SecurityDirectory,
            { flags = byte, timestamp_ns = timestamp_ns, symbol = symbol, round_lot = size, adjusted_close = price, luld_tier = other },
            flags => same, timestamp_ns => time, symbol => same8, round_lot => count, adjusted_close => Price4, luld_tier => same);
        round_trip!(grown(), TradingStatus, TradingStatus,
            { status = byte, timestamp_ns = timestamp_ns, symbol = symbol, reason = reason },
            status => same, timestamp_ns => time, symbol => same8, reason => same4);
        round_trip!(grown(), RetailLiquidity, RetailLiquidity, { indicator = byte, timestamp_ns = timestamp_ns, symbol = symbol },
            indicator => same, timestamp_ns => time, symbol => same8);
        round_trip!(grown(), OperationalHalt, OperationalHalt, { status = byte, timestamp_ns = timestamp_ns, symbol = symbol },
            status => same, timestamp_ns => time, symbol => same8);
        round_trip!(grown(), ShortSale, ShortSale, { status = byte, timestamp_ns = timestamp_ns, symbol = symbol, detail = other },
            status => same, timestamp_ns => time, symbol => same8, detail => same);
        round_trip!(grown(), SecurityEvent, SecurityEvent, { event = byte, timestamp_ns = timestamp_ns, symbol = symbol },
            event => same, timestamp_ns => time, symbol => same8);
        round_trip!(grown(), QuoteUpdate, QuoteUpdate,
            { flags = byte, timestamp_ns = timestamp_ns, symbol = symbol, bid_size = size, bid_price = price, ask_price = price2, ask_size = size2 },
            flags => same, timestamp_ns => time, symbol => same8, bid_size => count, bid_price => Price4, ask_price => Price4, ask_size => count);
        round_trip!(grown(), PriceLevel, PriceLevelBuy,
            { flags = byte, timestamp_ns = timestamp_ns, symbol = symbol, size = size, price = price },
            flags => same, timestamp_ns => time, symbol => same8, size => count, price => Price4);
        round_trip!(grown(), PriceLevel, PriceLevelSell,
            { flags = byte, timestamp_ns = timestamp_ns, symbol = symbol, size = size, price = price },
            flags => same, timestamp_ns => time, symbol => same8, size => count, price => Price4);
        round_trip!(grown(), TradeReport, TradeReport,
            { sale_condition = byte, timestamp_ns = timestamp_ns, symbol = symbol, size = size, price = price, trade_id = trade_id },
            sale_condition => same, timestamp_ns => time, symbol => same8, size => count, price => Price4, trade_id => time);
        round_trip!(grown(), TradeBreak, TradeBreak,
            { sale_condition = byte, timestamp_ns = timestamp_ns, symbol = symbol, size = size, price = price, trade_id = trade_id },
            sale_condition => same, timestamp_ns => time, symbol => same8, size => count, price => Price4, trade_id => time);
        round_trip!(grown(), OfficialPrice, OfficialPrice,
            { price_type = byte, timestamp_ns = timestamp_ns, symbol = symbol, price = price },
            price_type => same, timestamp_ns => time, symbol => same8, price => Price4);
        round_trip!(grown(), AuctionInformation, AuctionInformation,
            {
                auction_type = byte, timestamp_ns = timestamp_ns, symbol = symbol, paired = size, reference_price = price,
                indicative_price = price2, imbalance = size2, imbalance_side = other, extensions = third, scheduled_s = size3,
                auction_book_price = price3, collar_reference = price4, lower_collar = price5, upper_collar = price6,
            },
            auction_type => same, timestamp_ns => time, symbol => same8, paired => count, reference_price => Price4,
            indicative_price => Price4, imbalance => count, imbalance_side => same, extensions => same, scheduled_s => count,
            auction_book_price => Price4, collar_reference => Price4, lower_collar => Price4, upper_collar => Price4);
        round_trip!(grown(), AddOrder, AddOrder,
            { side = byte, timestamp_ns = timestamp_ns, symbol = symbol, order = order, size = size, price = price },
            side => same, timestamp_ns => time, symbol => same8, order => time, size => count, price => Price4);
        round_trip!(grown(), OrderModify, OrderModify,
            { flags = byte, timestamp_ns = timestamp_ns, symbol = symbol, order = order, size = size, price = price },
            flags => same, timestamp_ns => time, symbol => same8, order => time, size => count, price => Price4);
        round_trip!(grown(), OrderDelete, OrderDelete, { reserved = byte, timestamp_ns = timestamp_ns, symbol = symbol, order = order },
            reserved => same, timestamp_ns => time, symbol => same8, order => time);
        round_trip!(grown(), OrderExecuted, OrderExecuted,
            { sale_condition = byte, timestamp_ns = timestamp_ns, symbol = symbol, order = order, size = size, price = price, trade_id = trade_id },
            sale_condition => same, timestamp_ns => time, symbol => same8, order => time, size => count, price => Price4, trade_id => time);
        round_trip!(grown(), ClearBook, ClearBook, { reserved = byte, timestamp_ns = timestamp_ns, symbol = symbol },
            reserved => same, timestamp_ns => time, symbol => same8);
    }

    #[test]
    fn no_bytes_make_a_view_panic(message in proptest::collection::vec(any::<u8>(), 0..100), kind in 0..LAYOUT.len()) {
        let mut message = message;
        if let Some(first) = message.first_mut() {
            *first = LAYOUT[kind].kind;
        }
        if let Ok(Some(parsed)) = Message::parse(&message) {
            let mut text = String::new();
            parsed.describe(&mut text);
            let _ = (parsed.symbol(), parsed.timestamp_ns(), parsed.unlisted(), parsed.name());
            prop_assert!(text.is_ascii());
        }
    }
}
