//! CME MDP 3.0 from a capture file to records: what is judged, what is decoded, what the events are.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use dbn::decode::DbnRecordDecoder;
use dbn::{
    FlagSet, InstrumentDefMsg, MboMsg, Schema, StatMsg, StatType, StatusMsg, TradeMsg, UNDEF_PRICE, flags,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use wiretape::capture::file::{FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, Take};
use wiretape::events::normalize::{Normalizer, normalizer};
use wiretape::events::output::{Arrival, Output};
use wiretape::events::room::Room;
use wiretape::feed::mdp3::Mdp3;
use wiretape::feed::mdp3::encode::{Encoder, packet};
use wiretape::feed::mdp3::templates::{NEWEST, OLDEST, lookup, of_version};
use wiretape::feed::{FeedConfig, FeedProtocol, LineConfig, Protocol};
use wiretape::packet::{Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{Judge, JudgeConfig};
use wiretape::wire::dissect;

const FILE: &str = "feeds/cme-mdp3-volume-both-lines-lossy.pcap";

/// The capture, and the table of what independent decoders found in it.
fn capture() -> Option<(PathBuf, String)> {
    let root = std::env::var_os("WIRETAPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("captures");
    if let Ok(table) = std::fs::read_to_string(root.join("EXPECTED.tsv")) {
        return Some((root.join(FILE), table));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no captures");
    eprintln!("skipped: no captures at {}", root.display());
    None
}

fn expected(table: &str, kind: &str) -> BTreeMap<String, String> {
    let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[0] == FILE && row[1] == kind)
        .map(|row| (row[2].to_owned(), row[3].to_owned()))
        .collect()
}

fn each_packet(path: &Path, mut body: impl FnMut(&Packet<'_>)) {
    let path = path.to_str().unwrap().to_owned();
    let mut source = FileSource::open(FileOptions { path, ..FileOptions::default() }).unwrap();
    while let Ok(Take::Lease(mut lease)) = source.take() {
        lease.walk(|packet| {
            body(&packet);
            ControlFlow::Continue(())
        });
    }
}

/// Both lines as their feed is configured.
fn config() -> FeedConfig {
    let line = |name: &str, group: [u8; 4], port| LineConfig {
        name: name.to_owned(),
        group: IpAddr::V4(Ipv4Addr::from(group)),
        port,
        source: None,
        interface: None,
    };
    let lines = vec![line("A", [224, 0, 31, 11], 14320), line("B", [224, 0, 32, 11], 15320)];
    FeedConfig { lines, ..FeedConfig::one_line("cme", FeedProtocol::CmeMdp3, [224, 0, 31, 11].into(), 14320) }
}

#[test]
fn the_real_capture_holds_what_is_expected_of_it() {
    let Some((path, table)) = capture() else { return };
    for feeds in [vec![], vec![config()]] {
        let mut judge = Judge::new(&JudgeConfig { feeds, ..JudgeConfig::default() });
        let (mut types, mut packets) = (BTreeMap::<String, u64>::new(), 0);
        let mut messages = BTreeMap::<IpAddr, u64>::new();
        each_packet(&path, |packet| {
            packets += 1;
            assert_eq!(judge.judge(packet).verdict, Verdict::ACCEPTED);
            let dissection = dissect(packet);
            let payload = dissection.payload;
            assert!(Mdp3.recognises(payload, payload.len(), 0), "packet {packets}");
            for message in Mdp3.frame(payload, payload.len()).unwrap().messages() {
                *types.entry(Mdp3.message_name(message)).or_default() += 1;
                *messages.entry(dissection.network.dst().unwrap()).or_default() += 1;
            }
        });
        let types: BTreeMap<_, _> = types.into_iter().map(|(key, n)| (key, n.to_string())).collect();
        assert_eq!(types, expected(&table, "messages"));
        assert_eq!(packets.to_string(), expected(&table, "packets")["all"]);
        let found: BTreeMap<String, String> = judge
            .feeds()
            .iter()
            .map(|report| {
                assert_eq!((report.rejected, report.unknown_types), (0, 0));
                let key = format!("{}:{}>{}:{}", report.src.unwrap(), report.port, report.dst, report.port);
                let value = format!(
                    "pkts={} msgs={} first={} next={} gaps={} missing={} dups={}",
                    report.packets,
                    messages[&report.dst],
                    report.first_seq,
                    report.next_seq,
                    report.gaps,
                    report.missing_messages,
                    report.duplicates
                );
                (key, value)
            })
            .collect();
        assert_eq!(found, expected(&table, "stream"));
    }
}

/// The records of a schema, as the `dbn` crate reads them.
fn records<T: dbn::HasRType<Header = dbn::RecordHeader> + Clone>(out: &Output, schema: Schema) -> Vec<T> {
    let bytes = &out.streams[Output::index(schema)][..];
    let mut decoder =
        DbnRecordDecoder::with_version(bytes, dbn::DBN_VERSION, dbn::VersionUpgradePolicy::AsIs, false)
            .unwrap();
    let mut records = Vec::new();
    while let Some(record) = decoder.decode::<T>().unwrap() {
        records.push(record.clone());
    }
    assert_eq!(records.len() * size_of::<T>(), bytes.len(), "every byte is of a record");
    records
}

fn side(out: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&out.side).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_real_capture_becomes_records_that_the_dbn_crate_reads() {
    let Some((path, _)) = capture() else { return };
    let made = || {
        let mut room = Room::new(&[config()]);
        each_packet(&path, |packet| room.packet(packet));
        room.finish();
        let (_, out) = room.outputs().next().unwrap();
        let stats: Vec<StatMsg> = records(out, Schema::Statistics);
        let mbo: Vec<MboMsg> = records(out, Schema::Mbo);
        let trades: Vec<TradeMsg> = records(out, Schema::Trades);
        let status: Vec<StatusMsg> = records(out, Schema::Status);
        (stats, mbo, trades, status, side(out), out.streams.clone(), out.side.clone())
    };
    let (stats, mbo, trades, status, rows, streams, text) = made();
    // Of the capture's messages each came on both lines: 56 of volume, 20 of session statistics, 3 of status.
    let volumes = stats.iter().filter(|stat| stat.stat_type == StatType::VenueSpecificVolume1 as u16);
    let volumes: Vec<_> = volumes.collect();
    assert!(volumes.len() >= 56, "{}", volumes.len());
    assert!(volumes.iter().all(|stat| stat.quantity > 0 && stat.price == UNDEF_PRICE));
    assert!(stats.len() > volumes.len() && status.len() + trades.len() < stats.len());
    assert!(stats.iter().all(|stat| stat.hd.instrument_id > 0 && stat.ts_recv > stat.hd.ts_event));
    let prices = stats.iter().filter(|stat| stat.price != UNDEF_PRICE).map(|stat| stat.price);
    // Version 8 has seven decimals.
    assert!(prices.clone().count() > 0 && prices.clone().all(|price| price % 100 == 0));
    let levels: Vec<_> = rows.iter().filter(|row| row["kind"] == "level").collect();
    assert!(levels.len() >= 61, "{}", levels.len());
    assert!(
        levels.iter().all(|row| row["price"].as_i64().unwrap() % 100 == 0 && row["level"].as_u64() > Some(0))
    );
    assert!(mbo.iter().all(|record| record.hd.instrument_id > 0));
    // The lines lost the same packets: every gap was on both.
    assert_eq!(rows.iter().filter(|row| row["kind"] == "gap").count(), 55);
    let missing: u64 =
        rows.iter().filter(|row| row["kind"] == "gap").map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(missing, 4017);
    // And again, the same bytes.
    let again = made();
    assert!(again.5 == streams && again.6 == text);
}

/// A feed's normalizer, and what it made.
struct Bench {
    normalizer: Box<dyn Normalizer>,
    out: Output,
    seq: u32,
}

const SENT: u64 = 1_700_000_000_000_000_000;
const EVENT: u64 = SENT - 5_000;

impl Bench {
    fn new() -> Self {
        let feed = config();
        Self { normalizer: normalizer(&feed).unwrap(), out: Output::new(&feed), seq: 0 }
    }

    /// One packet of the messages that `write` writes, 1 µs on its way.
    fn packet(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.seq += 1;
        let mut bytes = Vec::new();
        packet(&mut bytes, self.seq, SENT);
        write(&mut bytes);
        let frame = Mdp3.frame(&bytes, bytes.len()).unwrap();
        assert!(frame.messages().all(|message| Mdp3.check(message).is_ok()));
        self.normalizer.packet(&self.arrival(), &frame, 0, &mut self.out);
    }

    fn arrival(&self) -> Arrival {
        Arrival { stamp: Stamp::new(SENT + u64::from(self.seq) * 1_000, StampClock::HARDWARE), line: 0 }
    }

    fn last<T: dbn::HasRType<Header = dbn::RecordHeader> + Clone>(&self, schema: Schema) -> T {
        records::<T>(&self.out, schema).pop().unwrap()
    }
}

/// Begins a message of an incremental template in version 13 (or 9, where it is older).
fn begin(bytes: &mut Vec<u8>, id: u16, ends: bool) -> Encoder<'_> {
    let (_, template) = lookup(id).unwrap();
    let version = if template.is_in(13) { 13 } else { 9 };
    let mut encoder = Encoder::begin(bytes, template, version);
    encoder.set("TransactTime", EVENT);
    encoder.set("MatchEventIndicator", if ends { 0x80 } else { 0 });
    encoder
}

fn set(encoder: &mut Encoder<'_>, fields: &[(&str, i64)]) {
    for (name, value) in fields {
        assert!(encoder.set(name, value.cast_unsigned()), "{name}");
    }
}

#[test]
fn levels_and_the_orders_behind_them() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let mut m = begin(bytes, 46, true);
        for (kind, id, px) in
            [(b"0", 7, 123_456_789_012), (b"E", 7, -5), (b"1", 8, i64::MAX), (b"J", 9, i64::MAX)]
        {
            m.entry("NoMDEntries");
            set(
                &mut m,
                &[
                    ("MDEntryPx", px),
                    ("MDEntrySize", 11),
                    ("SecurityID", id),
                    ("NumberOfOrders", 2),
                    ("MDPriceLevel", 1),
                ],
            );
            m.set_text("MDEntryType", kind);
        }
        for (reference, action, display) in
            [(1, 0, 10), (1, 1, 9), (3, 2, i64::from(i32::MAX)), (9, 0, 1), (1, 7, 1)]
        {
            m.entry("NoOrderIDEntries");
            set(
                &mut m,
                &[
                    ("OrderID", 77),
                    ("MDDisplayQty", display),
                    ("ReferenceID", reference),
                    ("OrderUpdateAction", action),
                ],
            );
        }
        m.finish();
    });
    let rows = side(&bench.out);
    let levels: Vec<_> = rows.iter().filter(|row| row["kind"] == "level").collect();
    assert_eq!(levels.len(), 2);
    let told = |row: &Value| {
        (row["side"].to_string(), row["price"].as_i64().unwrap(), row["size"].as_u64().unwrap())
    };
    assert_eq!(told(levels[0]), ("\"B\"".to_owned(), 123_456_789_012, 11));
    assert_eq!((levels[0]["orders"].as_u64(), levels[0]["last"].as_bool()), (Some(2), Some(false)));
    assert_eq!(told(levels[1]), ("\"A\"".to_owned(), UNDEF_PRICE, 11));
    let implied = rows.iter().find(|row| row["kind"] == "level-of").unwrap();
    assert_eq!((implied["of"].as_str(), implied["last"].as_bool()), (Some("implied"), Some(true)));
    let mbo: Vec<MboMsg> = records(&bench.out, Schema::Mbo);
    let told: Vec<_> = mbo
        .iter()
        .map(|m| {
            (
                m.hd.instrument_id,
                m.action.cast_unsigned(),
                m.side.cast_unsigned(),
                m.price,
                m.size,
                m.flags.is_last(),
            )
        })
        .collect();
    let px = 123_456_789_012;
    assert_eq!(
        told,
        [
            (9, b'R', b'N', UNDEF_PRICE, 0, true),
            (7, b'A', b'B', px, 10, false),
            (7, b'M', b'B', px, 9, true),
            (8, b'C', b'A', UNDEF_PRICE, u32::MAX, true),
        ]
    );
    assert!(mbo.iter().skip(1).all(|m| m.order_id == 77 && m.hd.ts_event == EVENT && m.ts_in_delta == 1_000));
    assert_eq!(rows.iter().filter(|row| row["rule"] == "field-unknown").count(), 2, "reference 9, action 7");
}

#[test]
fn a_trade_its_fills_and_its_break() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let mut m = begin(bytes, 48, true);
        for (action, aggressor) in [(0, 1), (0, 2), (0, 0), (2, 0)] {
            m.entry("NoMDEntries");
            set(&mut m, &[("MDEntryPx", 5), ("MDEntrySize", 3), ("SecurityID", 7), ("NumberOfOrders", 1)]);
            set(&mut m, &[("AggressorSide", aggressor), ("MDUpdateAction", action), ("MDTradeEntryID", 99)]);
        }
        for order in [40, 41, 42] {
            m.entry("NoOrderIDEntries");
            set(&mut m, &[("OrderID", order), ("LastQty", 2)]);
        }
        m.finish();
    });
    let trades: Vec<TradeMsg> = records(&bench.out, Schema::Trades);
    let told: Vec<_> =
        trades.iter().map(|t| (t.side.cast_unsigned(), t.size, t.price, t.flags.is_last())).collect();
    assert_eq!(told, [(b'B', 3, 5, false), (b'A', 3, 5, false), (b'N', 3, 5, true)]);
    let fills: Vec<MboMsg> = records(&bench.out, Schema::Mbo);
    assert_eq!(
        fills.iter().map(|f| (f.action.cast_unsigned(), f.order_id)).collect::<Vec<_>>(),
        [(b'F', 40), (b'F', 41), (b'F', 42)]
    );
    let rows = side(&bench.out);
    assert!(rows.iter().any(|row| row["kind"] == "break" && row["trade"] == 99));
}

#[test]
fn a_quantity_of_64_bits_is_saturated_and_told_whole() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let mut m = begin(bytes, 65, true);
        m.entry("NoMDEntries");
        set(&mut m, &[("MDEntryPx", 5), ("MDEntrySize", 1 << 40), ("SecurityID", 7)]);
        m.finish();
    });
    assert_eq!(bench.last::<TradeMsg>(Schema::Trades).size, u32::MAX);
    let rows = side(&bench.out);
    let wide = rows.iter().find(|row| row["kind"] == "wide").unwrap();
    assert_eq!((wide["field"].as_str(), wide["value"].as_u64()), (Some("MDEntrySize"), Some(1 << 40)));
    assert!(rows.iter().any(|row| row["rule"] == "too-wide"));
}

#[test]
fn the_end_of_an_event_is_last_even_if_the_packet_goes_on() {
    let mut bench = Bench::new();
    let trade = |bytes: &mut Vec<u8>, id, ends| {
        let mut m = begin(bytes, 48, ends);
        m.entry("NoMDEntries");
        set(&mut m, &[("MDEntryPx", 5), ("MDEntrySize", 3), ("SecurityID", id)]);
        m.finish();
    };
    bench.packet(|bytes| {
        for (id, ends) in [(1, false), (1, false), (2, true), (1, true), (2, false)] {
            trade(bytes, id, ends);
        }
    });
    let trades: Vec<TradeMsg> = records(&bench.out, Schema::Trades);
    let last: Vec<bool> = trades.iter().map(|t| t.flags.is_last()).collect();
    assert_eq!(last, [false, true, true, true, false]);
}

/// A future's definition with a symbol, in a group.
fn define(bytes: &mut Vec<u8>, id: i64, symbol: &[u8]) {
    let (_, future) = lookup(54).unwrap();
    let mut m = Encoder::begin(bytes, future, 13);
    set(
        &mut m,
        &[
            ("SecurityID", id),
            ("LastUpdateTime", 5),
            ("MinPriceIncrement", 250_000_000),
            ("MaturityMonthYear.year", 2026),
        ],
    );
    m.set_text("Symbol", symbol);
    m.set_text("SecurityGroup", b"ES");
    m.set_text("Asset", b"ES");
    m.set_text("SecurityUpdateAction", b"M");
    for (kind, time) in [(5, 100), (7, 200)] {
        m.entry("NoEvents");
        set(&mut m, &[("EventType", kind), ("EventTime", time)]);
    }
    for (feed, depth) in [(b"GBX", 10), (b"GBI", 2)] {
        m.entry("NoMDFeedTypes");
        m.set_text("MDFeedType", feed);
        set(&mut m, &[("MarketDepth", depth)]);
    }
    m.finish();
}

#[test]
fn definitions_name_instruments_and_a_groups_status_is_that_of_each() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        define(bytes, 11, b"ESZ6");
        define(bytes, 12, b"ESH7");
        define(bytes, 11, b"ESZ6");
    });
    let definitions: Vec<InstrumentDefMsg> = records(&bench.out, Schema::Definition);
    assert_eq!(definitions.len(), 3);
    let first = &definitions[0];
    assert_eq!((first.raw_symbol().unwrap(), first.group().unwrap()), ("ESZ6", "ES"));
    assert_eq!((first.hd.instrument_id, first.raw_instrument_id, first.hd.ts_event), (11, 11, 5));
    assert_eq!((first.min_price_increment, first.high_limit_price), (250_000_000, UNDEF_PRICE));
    assert_eq!((first.activation, first.expiration, first.maturity_year), (100, 200, 2026));
    assert_eq!((first.market_depth, first.market_depth_implied), (10, 2));
    assert_eq!(
        (first.instrument_class.cast_unsigned(), first.security_update_action.cast_unsigned()),
        (b'F', b'M')
    );
    assert_eq!(bench.normalizer.symbols(), [(11, "ESZ6".to_owned()), (12, "ESH7".to_owned())]);
    bench.packet(|bytes| {
        let mut m = begin(bytes, 30, true);
        m.set_text("SecurityGroup", b"ES");
        set(&mut m, &[("SecurityTradingStatus", 17), ("SecurityTradingEvent", 1)]);
        m.finish();
    });
    let status: Vec<StatusMsg> = records(&bench.out, Schema::Status);
    let told: Vec<_> = status
        .iter()
        .map(|s| (s.hd.instrument_id, s.action, s.reason, s.trading_event, s.is_trading.cast_unsigned()))
        .collect();
    assert_eq!(told, [(11, 7, 1, 1, b'Y'), (12, 7, 1, 1, b'Y')]);
    bench.packet(|bytes| {
        let mut m = begin(bytes, 30, true);
        set(&mut m, &[("SecurityID", 12), ("SecurityTradingStatus", 2), ("HaltReason", 2)]);
        m.finish();
    });
    let status: StatusMsg = bench.last(Schema::Status);
    assert_eq!((status.hd.instrument_id, status.action, status.reason), (12, 8, 3));
}

#[test]
fn a_spread_has_a_record_a_leg() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let (_, spread) = lookup(56).unwrap();
        let mut m = Encoder::begin(bytes, spread, 10);
        set(&mut m, &[("SecurityID", 50)]);
        m.set_text("SecurityType", b"FUT");
        for (leg, side, ratio) in [(11, 1, 1), (12, 2, 2)] {
            m.entry("NoLegs");
            set(&mut m, &[("LegSecurityID", leg), ("LegSide", side), ("LegRatioQty", ratio)]);
        }
        m.finish();
    });
    let legs: Vec<InstrumentDefMsg> = records(&bench.out, Schema::Definition);
    let told: Vec<_> = legs
        .iter()
        .map(|d| {
            (
                d.leg_count,
                d.leg_index,
                d.leg_instrument_id,
                d.leg_side.cast_unsigned(),
                d.leg_ratio_qty_numerator,
            )
        })
        .collect();
    assert_eq!(told, [(2, 0, 11, b'B', 1), (2, 1, 12, b'A', 2)]);
    assert!(legs.iter().all(|d| d.instrument_class.cast_unsigned() == b'S'));
}

#[test]
fn statistics_have_their_types_and_days() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let mut m = begin(bytes, 49, false);
        for kind in [b"6", b"B"] {
            m.entry("NoMDEntries");
            set(
                &mut m,
                &[
                    ("MDEntryPx", 9),
                    ("MDEntrySize", 4),
                    ("SecurityID", 7),
                    ("TradingReferenceDate", 19_000),
                    ("SettlPriceType", 3),
                ],
            );
            m.set_text("MDEntryType", kind);
        }
        m.finish();
        // Seven decimals.
        let mut m = begin(bytes, 35, false);
        m.entry("NoMDEntries");
        set(&mut m, &[("MDEntryPx", 9), ("SecurityID", 7), ("OpenCloseSettlFlag", 5)]);
        m.set_text("MDEntryType", b"4");
        m.finish();
        let mut m = begin(bytes, 50, true);
        m.entry("NoMDEntries");
        set(&mut m, &[("HighLimitPrice", 100), ("MaxPriceVariation", 1), ("SecurityID", 7)]);
        m.finish();
    });
    let stats: Vec<StatMsg> = records(&bench.out, Schema::Statistics);
    let told: Vec<_> =
        stats.iter().map(|s| (s.stat_type, s.price, s.quantity, s.stat_flags, s.update_action)).collect();
    assert_eq!(
        told,
        [
            (StatType::SettlementPrice as u16, 9, 4, 3, 1),
            (StatType::ClearedVolume as u16, 9, 4, 0, 1),
            (StatType::IndicativeOpeningPrice as u16, 900, dbn::UNDEF_STAT_QUANTITY, 0, 1),
            (StatType::UpperPriceLimit as u16, 100, dbn::UNDEF_STAT_QUANTITY, 0, 1),
            (StatType::LowerPriceLimit as u16, UNDEF_PRICE, dbn::UNDEF_STAT_QUANTITY, 0, 2),
        ]
    );
    assert_eq!((stats[0].ts_ref, stats[4].ts_ref), (19_000 * 86_400_000_000_000, u64::MAX));
    let rows = side(&bench.out);
    assert_eq!(rows.iter().filter(|row| row["fields"] == "MaxPriceVariation=1").count(), 1);
}

#[test]
fn snapshots_are_flagged_and_begin_with_an_empty_book() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        for chunk in [1, 2] {
            let (_, book) = lookup(53).unwrap();
            let mut m = Encoder::begin(bytes, book, 13);
            set(&mut m, &[("SecurityID", 7), ("CurrentChunk", chunk), ("TransactTime", 1)]);
            m.entry("NoMDEntries");
            set(&mut m, &[("OrderID", 3), ("MDEntryPx", 5), ("MDDisplayQty", 6)]);
            m.set_text("MDEntryType", b"1");
            m.finish();
        }
        let (_, levels) = lookup(52).unwrap();
        let mut m = Encoder::begin(bytes, levels, 13);
        set(&mut m, &[("SecurityID", 7)]);
        m.entry("NoMDEntries");
        set(&mut m, &[("MDEntryPx", 5), ("MDEntrySize", 6)]);
        m.set_text("MDEntryType", b"0");
        m.finish();
    });
    let mbo: Vec<MboMsg> = records(&bench.out, Schema::Mbo);
    let told: Vec<_> =
        mbo.iter().map(|m| (m.action.cast_unsigned(), m.side.cast_unsigned(), m.size)).collect();
    assert_eq!(told, [(b'R', b'N', 0), (b'A', b'A', 6), (b'A', b'A', 6)]);
    assert!(mbo.iter().all(|m| m.flags.is_snapshot()));
    assert!(side(&bench.out).iter().any(|row| row["of"] == "snapshot" && row["size"] == 6));
}

#[test]
fn after_a_gap_books_may_be_bad_until_the_channel_is_reset() {
    let mut bench = Bench::new();
    let order = |bytes: &mut Vec<u8>| {
        let mut m = begin(bytes, 47, true);
        m.entry("NoMDEntries");
        set(&mut m, &[("OrderID", 3), ("MDEntryPx", 5), ("MDDisplayQty", 6), ("SecurityID", 7)]);
        m.set_text("MDEntryType", b"0");
        m.finish();
    };
    let bad = |bench: &Bench| bench.last::<MboMsg>(Schema::Mbo).flags.raw() & flags::MAYBE_BAD_BOOK != 0;
    bench.packet(|bytes| define(bytes, 7, b"GEZ6"));
    bench.packet(order);
    assert!(!bad(&bench));
    let arrival = bench.arrival();
    bench.normalizer.gap(&arrival, &mut bench.out);
    bench.packet(order);
    assert!(bad(&bench));
    bench.packet(|bytes| assert!(begin(bytes, 4, true).finish() > 0));
    let clear: MboMsg = bench.last(Schema::Mbo);
    assert_eq!(
        (clear.action.cast_unsigned(), clear.hd.instrument_id, clear.flags),
        (b'R', 7, FlagSet::new(flags::LAST))
    );
    bench.packet(order);
    assert!(!bad(&bench));
}

#[test]
fn a_message_without_a_record_keeps_its_fields() {
    let mut bench = Bench::new();
    bench.packet(|bytes| {
        let mut m = begin(bytes, 39, true);
        m.set_text("QuoteReqID", b"Q1");
        m.entry("NoRelatedSym");
        m.set_text("Symbol", b"ESZ6");
        set(&mut m, &[("SecurityID", 7), ("QuoteType", 1)]);
        m.finish();
    });
    let rows = side(&bench.out);
    let fields: Vec<_> =
        rows.iter().filter(|row| row["message"] == "QuoteRequest").map(|row| &row["fields"]).collect();
    assert_eq!(
        fields,
        [
            &format!("TransactTime={EVENT} QuoteReqID=Q1 MatchEventIndicator=128"),
            "Symbol=ESZ6 SecurityID=7 QuoteType=1"
        ]
    );
}

/// Every template of every version, with fields of any value, makes whole records and rows that are JSON.
#[test]
fn fields_of_any_value_make_records_that_can_be_read() {
    let mut bench = Bench::new();
    let mut bits = 1_u64;
    let mut next = move || {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Small numbers too: enumerations, references, counts.
        let bits = bits ^ bits >> 29;
        if bits & 1 == 0 { bits >> 1 & 7 } else { bits }
    };
    for round in 0..10 {
        for version in OLDEST..=NEWEST {
            for template in of_version(version) {
                bench.packet(|bytes| {
                    let mut m = Encoder::begin(bytes, template, version);
                    for field in template.root.fields {
                        m.set(field.name, next());
                    }
                    for (_, group) in template.groups_in(version) {
                        for _ in 0..next() % 4 {
                            m.entry(group.name);
                            for field in group.entry.fields {
                                let kinds = b"01EFJ46789BCNOWegwx2?";
                                let kind = kinds[usize::try_from(next() % 21).unwrap()];
                                let bits = if field.name == "MDEntryType" { kind.into() } else { next() };
                                m.set(field.name, bits);
                            }
                        }
                    }
                    m.finish();
                });
            }
        }
        let out = &bench.out;
        let made = [
            records::<MboMsg>(out, Schema::Mbo).len(),
            records::<TradeMsg>(out, Schema::Trades).len(),
            records::<StatMsg>(out, Schema::Statistics).len(),
            records::<StatusMsg>(out, Schema::Status).len(),
            records::<InstrumentDefMsg>(out, Schema::Definition).len(),
            side(out).len(),
        ];
        assert!(round < 5 || made.iter().all(|made| *made > 0), "{made:?}");
    }
}
