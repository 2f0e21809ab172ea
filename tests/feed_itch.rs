//! ITCH 5.0: the DBN records say what the messages say, and the captures of real feeds decode as an independent decoder counts them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiretape::events::normalize::Normalizer;
use wiretape::events::normalize::itch50::Itch50;
use wiretape::events::output::{Arrival, Output};
use wiretape::events::rules::Rule;
use wiretape::feed::itch50::OverMold;
use wiretape::feed::itch50::messages::{
    AddOrder, Common, CrossTrade, Message, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice,
    OrderReplace, StockDirectory,
};
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol, Protocol};
use wiretape::time::{Stamp, StampClock};

/// 2026-11-23 14:30:00 UTC: 9:30 in New York.
const OPEN_NS: u64 = 1_795_444_200_000_000_000;
const SINCE_MIDNIGHT_NS: u64 = 34_200_000_000_000;

struct Bench {
    itch: Itch50,
    out: Output,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        let feed = FeedConfig::one_line("itch", FeedProtocol::MoldUdp64Itch50, [233, 0, 0, 1].into(), 1);
        Self { itch: Itch50::with_capacity(&feed, 1000), out: Output::new(&feed), next: 1 }
    }
    fn packet(&mut self, messages: &[Vec<u8>]) {
        let mut payload = Vec::new();
        let mut encoder = Encoder::begin(&mut payload, *b"0000000001", self.next);
        for message in messages {
            assert!(encoder.message(message));
        }
        self.next += u64::from(encoder.finish());
        let frame = OverMold.frame(&payload, payload.len()).unwrap();
        let arrival = Arrival { stamp: Stamp::new(OPEN_NS + 500, StampClock::HARDWARE), line: 0 };
        self.itch.packet(&arrival, &frame, 0, &mut self.out);
    }
    /// The records as the `dbn` crate reads them: action, order, side, price, size, last of the packet.
    fn mbo(&self) -> Vec<(char, u64, char, i64, u32, bool)> {
        let records = self.out.streams[0].chunks_exact(56).map(|bytes| {
            let mut decoder = dbn::decode::dbn::RecordDecoder::new(bytes);
            let record = decoder_record(&mut decoder);
            assert_eq!((record.ts_recv, record.ts_in_delta), (OPEN_NS + 500, 500));
            assert_eq!((record.hd.ts_event, record.hd.instrument_id), (OPEN_NS, 7));
            let letter = |byte: std::ffi::c_char| char::from(byte.cast_unsigned());
            (
                letter(record.action),
                record.order_id,
                letter(record.side),
                record.price,
                record.size,
                record.flags.is_last(),
            )
        });
        records.collect()
    }
    fn count(&self, rule: Rule) -> u64 {
        self.out.rules.count(rule)
    }
}

fn decoder_record(decoder: &mut dbn::decode::dbn::RecordDecoder<&[u8]>) -> dbn::MboMsg {
    use dbn::decode::DecodeRecord;
    decoder.decode_record::<dbn::MboMsg>().unwrap().unwrap().clone()
}

fn common() -> Common {
    Common { locate: 7, tracking: 0, timestamp_ns: SINCE_MIDNIGHT_NS }
}

fn bytes<M: Message>(message: &M) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn directory() -> Vec<u8> {
    bytes(&StockDirectory {
        common: common(),
        stock: *b"TAPE    ",
        round_lot: 100,
        ..StockDirectory::default()
    })
}

fn add(order: u64, side: u8, shares: u32, price: u32) -> Vec<u8> {
    bytes(&AddOrder { common: common(), order, side, shares, stock: *b"TAPE    ", price })
}

#[test]
fn an_orders_life_is_told_as_databento_tells_it() {
    let mut bench = Bench::new();
    let common = common();
    bench.packet(&[directory(), add(1, b'B', 300, 1_000_000)]);
    bench.packet(&[bytes(&OrderExecuted { common, order: 1, shares: 100, match_number: 9 })]);
    let (order, shares, match_number) = (1, 50, 10);
    bench.packet(&[
        bytes(&OrderExecutedPrice { common, order, shares, match_number, printable: b'N', price: 990_000 }),
        bytes(&OrderCancel { common, order, shares }),
    ]);
    bench.packet(&[bytes(&OrderReplace {
        common,
        old_order: 1,
        new_order: 2,
        shares: 70,
        price: 1_010_000,
    })]);
    bench.packet(&[bytes(&OrderDelete { common, order: 2 })]);
    let expected = [
        ('A', 1, 'B', 100_000_000_000, 300, true),
        ('T', 0, 'A', 100_000_000_000, 100, false),
        ('F', 1, 'B', 100_000_000_000, 100, false),
        ('C', 1, 'B', 100_000_000_000, 100, true),
        ('F', 1, 'B', 99_000_000_000, 50, false),
        ('C', 1, 'B', 100_000_000_000, 50, false),
        ('C', 1, 'B', 100_000_000_000, 50, true),
        ('C', 1, 'B', 100_000_000_000, 100, false),
        ('A', 2, 'B', 101_000_000_000, 70, true),
        ('C', 2, 'B', 101_000_000_000, 70, true),
    ];
    assert_eq!(bench.mbo(), expected);
    assert_eq!(bench.out.streams[1].len(), 48, "one printable trade");
    assert_eq!(bench.itch.symbols(), [(7, "TAPE".to_owned())]);
    assert!(bench.itch.books().orders().is_empty());
    assert!(Rule::ALL.iter().all(|rule| bench.count(*rule) == 0));
}

#[test]
fn what_does_not_fit_the_orders_breaks_its_rule() {
    let mut bench = Bench::new();
    let common = common();
    bench.packet(&[directory(), add(1, b'S', 100, 500), add(1, b'S', 100, 500), add(2, b'B', 0, 400)]);
    bench.packet(&[
        bytes(&OrderDelete { common, order: 99 }),
        bytes(&OrderExecuted { common, order: 1, shares: 101, match_number: 1 }),
        add(3, b'?', 1, 1),
        add(4, b'B', 1, 0),
    ]);
    for rule in [
        Rule::OrderDuplicate,
        Rule::QuantityZero,
        Rule::OrderUnknown,
        Rule::QuantityNegative,
        Rule::FieldUnknown,
        Rule::PriceInvalid,
    ] {
        assert_eq!(bench.count(rule), 1, "{}", rule.name());
    }
}

#[test]
fn a_book_crossed_for_longer_than_the_limit_is_said_once() {
    let mut bench = Bench::new();
    bench.packet(&[directory(), add(1, b'B', 1, 500), add(2, b'S', 1, 500)]);
    let second = 1_000_000_000;
    for seconds in [1, 2, 3] {
        bench.itch.tick(OPEN_NS + seconds * second + 501, &mut bench.out);
    }
    assert_eq!(bench.count(Rule::BookCrossed), 1);
}

#[test]
fn after_a_gap_unknown_orders_are_counted_and_records_are_flagged() {
    let mut bench = Bench::new();
    bench.packet(&[directory()]);
    let arrival = Arrival { stamp: Stamp::new(OPEN_NS, StampClock::HARDWARE), line: 0 };
    bench.itch.gap(&arrival, &mut bench.out);
    let before = bench.out.side.len();
    bench.packet(&[bytes(&OrderDelete { common: common(), order: 5 }), add(6, b'B', 1, 1)]);
    assert_eq!(bench.count(Rule::OrderUnknown), 1);
    assert_eq!(bench.out.side.len(), before, "no row");
    assert_eq!(bench.out.streams[0][36] & dbn::flags::MAYBE_BAD_BOOK, dbn::flags::MAYBE_BAD_BOOK);
    bench.itch.reset(&arrival, &mut bench.out);
    assert_eq!(bench.out.streams[0][56 + 38], b'R', "the book is cleared");
}

#[test]
fn a_cross_of_more_than_32_bits_is_whole_in_the_side_table() {
    let mut bench = Bench::new();
    let shares = 5_000_000_000;
    let cross =
        CrossTrade { common: common(), shares, stock: *b"TAPE    ", price: 10, match_number: 1, cross: b'O' };
    bench.packet(&[directory(), bytes(&cross)]);
    assert_eq!(bench.mbo(), [('T', 0, 'N', 1_000_000, u32::MAX, true)]);
    let side = String::from_utf8(bench.out.side.clone()).unwrap();
    assert!(side.lines().any(|row| row.contains("\"wide\"") && row.contains("5000000000")), "{side}");
}

fn captures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let captures = std::env::var_os("WIRETAPE_SHARED").map_or_else(beside, PathBuf::from).join("captures");
    if captures.is_dir() {
        return Some(captures);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no capture files at {}", captures.display());
    eprintln!("skipped: no capture files at {}", captures.display());
    None
}

/// UDP payloads of a small classic capture of Ethernet and IPv4.
fn payloads(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[24..];
    let mut found = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let frame = &rest[16..16 + length];
        let vlan = if frame[12..14] == [0x81, 0] { 4 } else { 0 };
        let udp = 14 + vlan + usize::from(frame[14 + vlan] & 15) * 4;
        let end = udp + usize::from(u16::from_be_bytes([frame[udp + 4], frame[udp + 5]]));
        found.push(frame[udp + 8..end].to_vec());
        rest = &rest[16 + length..];
    }
    found
}

#[test]
fn real_captures_hold_the_messages_that_an_independent_decoder_counts() {
    let Some(captures) = captures() else { return };
    let expected = std::fs::read_to_string(captures.join("EXPECTED.tsv")).unwrap();
    let mut files = BTreeMap::<&str, BTreeMap<String, u64>>::new();
    for row in expected.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        if fields[0].contains("nasdaq-itch50") && fields[1] == "messages" {
            files.entry(fields[0]).or_default().insert(fields[2].to_owned(), fields[3].parse().unwrap());
        }
    }
    assert!(files.len() >= 7, "the table was read");
    for (file, wanted) in files {
        let mut counts = BTreeMap::<String, u64>::new();
        let mut bench = Bench::new();
        for payload in payloads(&captures.join(file)) {
            let frame = OverMold.frame(&payload, payload.len()).unwrap();
            for message in frame.messages() {
                OverMold.check(message).unwrap();
                *counts.entry(OverMold.message_name(message)).or_default() += 1;
            }
            let arrival = Arrival { stamp: Stamp::new(OPEN_NS, StampClock::FILE), line: 0 };
            bench.itch.packet(&arrival, &frame, 0, &mut bench.out);
        }
        assert_eq!(counts, wanted, "{file}");
        let made: usize = bench.out.streams.iter().map(Vec::len).sum::<usize>() + bench.out.side.len();
        let of_unknown_order = bench.count(Rule::OrderUnknown) > 0;
        assert!(made > 0 || of_unknown_order, "{file} made something");
        assert_eq!(bench.count(Rule::FieldUnknown), 0, "{file}");
    }
}
