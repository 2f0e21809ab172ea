//! IEX from a capture file to DBN: what the judge counts, and what the room makes of it, beside a reading of the file that
//! shares no code with either.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use dbn::decode::dbn::RecordDecoder;
use dbn::{Mbp1Msg, Schema, TradeMsg, UNDEF_PRICE, VersionUpgradePolicy};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use wiretape::capture::file::{FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, Take};
use wiretape::events::output::Output;
use wiretape::events::room::Room;
use wiretape::feed::iextp::IexTp;
use wiretape::feed::{FeedConfig, FeedProtocol, Protocol as _};
use wiretape::packet::{Packet, Verdict};
use wiretape::validate::{Judge, JudgeConfig};
use wiretape::wire::dissect;

const NAME: &str = "feeds/iex-tops16-classic-pcap-despite-name.pcapng";

fn capture() -> Option<(PathBuf, PathBuf)> {
    let captures = common::shared_dir()?.join("captures");
    Some((captures.join(NAME), captures.join("EXPECTED.tsv")))
}

fn expected(table: &Path, kind: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(table).unwrap();
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[0] == NAME && row[1] == kind)
        .map(|row| (row[2].to_owned(), row[3].to_owned()))
        .collect()
}

fn each_packet(path: &Path, mut body: impl FnMut(&Packet<'_>)) {
    let options = FileOptions { path: path.to_str().unwrap().to_owned(), ..FileOptions::default() };
    let mut source = FileSource::open(options).unwrap();
    while let Take::Lease(mut lease) = source.take().unwrap() {
        lease.walk(|packet| {
            body(&packet);
            ControlFlow::Continue(())
        });
    }
}

/// The capture's feed as an operator would configure it.
fn feed() -> FeedConfig {
    let mut feed = FeedConfig::one_line("iex", FeedProtocol::IexTp, [224, 67, 0, 199].into(), 16_642);
    "IEXG.TOPS".clone_into(&mut feed.dataset);
    feed.publisher_id = 4;
    feed
}

#[test]
fn the_capture_is_recognised_and_holds_what_is_expected_of_it() {
    let Some((path, table)) = capture() else { return };
    let mut judge = Judge::new(&JudgeConfig::default());
    let mut types = BTreeMap::<String, u64>::new();
    let mut packets = 0;
    each_packet(&path, |packet| {
        packets += 1;
        assert_eq!(judge.judge(packet).verdict, Verdict::ACCEPTED, "packet {packets}");
        let dissection = dissect(packet);
        let frame = IexTp.frame(dissection.payload, dissection.payload_on_wire).unwrap();
        for message in frame.messages() {
            *types.entry(IexTp.message_name(message)).or_default() += 1;
        }
    });
    assert_eq!(expected(&table, "packets")["all"], packets.to_string());
    let types: BTreeMap<String, String> = types.into_iter().map(|(name, n)| (name, n.to_string())).collect();
    assert_eq!(types, expected(&table, "messages"));
    let [report] = &judge.feeds()[..] else { panic!("{:?}", judge.feeds()) };
    let (stream, facts) = expected(&table, "stream").pop_first().unwrap();
    assert!(report.recognised && report.protocol == "iex-tp");
    assert!(
        stream.ends_with(&format!(">{}:{}/ver1/{}", report.dst, report.port, report.session)),
        "{stream}"
    );
    let found = format!(
        "hb={} msgs={} first={} next={} gaps={} missing={} dups={}",
        report.heartbeats,
        report.messages,
        report.first_seq,
        report.next_seq,
        report.gaps,
        report.missing_messages,
        report.duplicates
    );
    assert_eq!(found, facts);
    assert_eq!((report.rejected, report.unknown_types), (0, 0));
}

/// A message as read here: number, stamp and send time of its packet, the rest of the packet's messages that have its symbol,
/// its bytes.
struct Read {
    seq: u64,
    recv_ns: u64,
    sent_ns: u64,
    packet: usize,
    bytes: Vec<u8>,
}

impl Read {
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }
    fn i64_at(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }
    fn symbol(&self) -> String {
        String::from_utf8(self.bytes[10..18].to_vec()).unwrap().trim_end().to_owned()
    }
    /// The price at `at` by way of its decimal writing.
    fn nanos(&self, at: usize) -> i64 {
        let price = self.i64_at(at);
        let text = format!("{}.{:04}00000", price / 10_000, price % 10_000);
        text.replace('.', "").parse().unwrap()
    }
}

/// The classic pcap file, little-endian with microseconds: Ethernet, IPv4 without options, UDP, IEX-TP, by their bytes alone.
fn read_by_hand(path: &Path) -> Vec<Read> {
    let file = std::fs::read(path).unwrap();
    let nanoseconds = file[..4] == [0x4d, 0x3c, 0xb2, 0xa1];
    assert!(nanoseconds || file[..4] == [0xd4, 0xc3, 0xb2, 0xa1], "{:x?}", &file[..4]);
    let word = |at: usize| u64::from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap()));
    let (mut at, mut packet, mut read) = (24, 0, Vec::new());
    while at < file.len() {
        let length = usize::try_from(word(at + 8)).unwrap();
        let recv_ns = word(at) * 1_000_000_000 + word(at + 4) * if nanoseconds { 1 } else { 1_000 };
        let segment = &file[at + 16 + 14 + 20 + 8..at + 16 + length];
        let u64_at = |at: usize| u64::from_le_bytes(segment[at..at + 8].try_into().unwrap());
        let count = u64::from(u16::from_le_bytes(segment[14..16].try_into().unwrap()));
        let mut next = 40;
        for seq in u64_at(24)..u64_at(24) + count {
            let length = usize::from(u16::from_le_bytes(segment[next..next + 2].try_into().unwrap()));
            let bytes = segment[next + 2..next + 2 + length].to_vec();
            read.push(Read { seq, recv_ns, sent_ns: u64_at(32), packet, bytes });
            next += 2 + length;
        }
        at += 16 + length;
        packet += 1;
    }
    read
}

/// Every record of a stream, by the `dbn` crate's decoder.
fn decoded<T: dbn::v3::HasRType + Clone>(output: &Output, schema: Schema) -> Vec<T> {
    let bytes = &output.streams[Output::index(schema)];
    let mut decoder = RecordDecoder::with_version(&bytes[..], 3, VersionUpgradePolicy::AsIs, false).unwrap();
    let mut records = Vec::new();
    while let Some(record) = decoder.decode::<T>().unwrap() {
        records.push(record.clone());
    }
    assert_eq!(records.len() * size_of::<T>(), bytes.len(), "{schema}: every byte is of a record");
    records
}

#[test]
fn the_room_makes_the_records_that_the_messages_say() {
    let Some((path, _)) = capture() else { return };
    let mut room = Room::new(&[feed()]);
    each_packet(&path, |packet| room.packet(packet));
    room.finish();
    let (_, output) = room.outputs().next().unwrap();
    let read = read_by_hand(&path);
    let of = |kind: u8| read.iter().filter(move |message| message.bytes[0] == kind).collect::<Vec<_>>();

    // Instruments are numbered in order of first appearance.
    let mut ids = BTreeMap::<String, u32>::new();
    for message in read.iter().filter(|message| message.bytes[0] != b'S') {
        let next = u32::try_from(ids.len()).unwrap() + 1;
        ids.entry(message.symbol()).or_insert(next);
    }
    // The last message of its kind and symbol in a packet carries LAST.
    let mut last = BTreeMap::new();
    for (at, message) in read.iter().enumerate().filter(|(_, message)| message.bytes[0] != b'S') {
        last.insert((message.packet, message.bytes[0], message.symbol()), at);
    }
    let is_last = |message: &Read| {
        let at = last[&(message.packet, message.bytes[0], message.symbol())];
        read[at].seq == message.seq
    };
    let price = |message: &Read, price: usize, size: usize| {
        if message.i64_at(price) == 0 || message.u32_at(size) == 0 {
            UNDEF_PRICE
        } else {
            message.nanos(price)
        }
    };

    let quotes: Vec<Mbp1Msg> = decoded(output, Schema::Mbp1);
    assert_eq!(quotes.len(), 27_217);
    let mut both_sides = 0;
    for (record, message) in quotes.iter().zip(of(b'Q')) {
        let level = &record.levels[0];
        assert_eq!(u64::from(record.sequence), message.seq);
        assert_eq!(record.hd.instrument_id, ids[&message.symbol()]);
        assert_eq!((record.hd.publisher_id, record.hd.ts_event), (4, message.i64_at(2).cast_unsigned()));
        assert_eq!((level.bid_px, level.bid_sz), (price(message, 22, 18), message.u32_at(18)));
        assert_eq!((level.ask_px, level.ask_sz), (price(message, 30, 38), message.u32_at(38)));
        assert_eq!(record.ts_recv, message.recv_ns);
        let delta = i128::from(message.recv_ns) - i128::from(message.sent_ns);
        let clamped = delta.clamp(i32::MIN.into(), i32::MAX.into());
        assert_eq!(i128::from(record.ts_in_delta), clamped);
        assert_eq!(record.flags.is_last(), is_last(message), "sequence {}", message.seq);
        assert!(record.flags.is_tob() && !record.flags.is_maybe_bad_book());
        both_sides += usize::from(level.bid_px != UNDEF_PRICE && level.ask_px != UNDEF_PRICE);
    }
    assert!(both_sides > 1_000, "{both_sides} quotes have two sides");

    let trades: Vec<TradeMsg> = decoded(output, Schema::Trades);
    assert_eq!(trades.len(), 6_390);
    for (record, message) in trades.iter().zip(of(b'T')) {
        assert_eq!(u64::from(record.sequence), message.seq);
        assert_eq!(record.hd.instrument_id, ids[&message.symbol()]);
        assert_eq!((record.price, record.size), (message.nanos(22), message.u32_at(18)));
        assert_eq!(record.flags.is_last(), is_last(message), "sequence {}", message.seq);
    }

    // The quote before each trade, by hand.
    let mut tops = BTreeMap::<String, &Read>::new();
    let mut with_quote = Vec::new();
    for message in &read {
        match message.bytes[0] {
            b'Q' => drop(tops.insert(message.symbol(), message)),
            b'T' => with_quote.extend(tops.get(&message.symbol()).map(|quote| (message, *quote))),
            _ => {}
        }
    }
    let tbbo: Vec<Mbp1Msg> = decoded(output, Schema::Tbbo);
    assert_eq!(tbbo.len(), with_quote.len());
    assert!(tbbo.len() > 1_000, "{} trades have a quote before them", tbbo.len());
    for (record, (trade, quote)) in tbbo.iter().zip(with_quote) {
        assert_eq!((u64::from(record.sequence), record.price), (trade.seq, trade.nanos(22)));
        assert_eq!(record.levels[0].bid_px, price(quote, 22, 18));
        assert_eq!(record.levels[0].ask_px, price(quote, 30, 38));
    }

    let states: Vec<dbn::StatusMsg> = decoded(output, Schema::Status);
    assert_eq!(states.len(), 7_803 + 7_801 + 7_802);
    let short_sales =
        states.iter().filter(|state| state.action == dbn::StatusAction::SsrChange as u16).count();
    assert_eq!(short_sales, 7_802);

    let definitions: Vec<dbn::InstrumentDefMsg> = decoded(output, Schema::Definition);
    let directory = of(b'D');
    assert_eq!(definitions.len(), 10);
    for (record, message) in definitions.iter().zip(directory) {
        assert_eq!(record.raw_symbol().unwrap(), message.symbol());
        assert_eq!(record.min_lot_size_round_lot, i32::try_from(message.u32_at(18)).unwrap());
    }

    let imbalances: Vec<dbn::ImbalanceMsg> = decoded(output, Schema::Imbalance);
    assert_eq!(imbalances.len(), 642);
    for (record, message) in imbalances.iter().zip(of(b'A')) {
        let or_none = |at| if message.i64_at(at) == 0 { UNDEF_PRICE } else { message.nanos(at) };
        assert_eq!((record.paired_qty, record.total_imbalance_qty), (message.u32_at(18), message.u32_at(38)));
        assert_eq!((record.ref_price, record.cont_book_clr_price), (or_none(22), or_none(30)));
        assert_eq!((record.auct_interest_clr_price, record.lower_collar), (or_none(48), or_none(64)));
        assert_eq!(record.upper_collar, or_none(72));
        assert_eq!(record.auction_time, u64::from(message.u32_at(44)) * 1_000_000_000);
    }
    assert!(decoded::<dbn::StatMsg>(output, Schema::Statistics).is_empty(), "no official price in it");
    assert!(decoded::<dbn::MboMsg>(output, Schema::Mbo).is_empty());

    side_table(&output.side, &ids, &of(b'B'));
}

/// What DBN cannot carry: symbols, breaks, trade numbers; and which rules the capture breaks.
fn side_table(side: &[u8], ids: &BTreeMap<String, u32>, breaks: &[&Read]) {
    let rows: Vec<serde_json::Value> = side
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let of_kind = |kind: &'static str| rows.iter().filter(move |row| row["kind"] == kind).collect::<Vec<_>>();
    let symbols: BTreeMap<String, u32> = of_kind("symbol")
        .iter()
        .map(|row| {
            (
                row["symbol"].as_str().unwrap().to_owned(),
                row["instrument_id"].as_u64().unwrap().try_into().unwrap(),
            )
        })
        .collect();
    assert_eq!(&symbols, ids);
    let broken: Vec<(u64, i64)> = of_kind("break")
        .iter()
        .map(|row| (row["seq"].as_u64().unwrap(), row["trade"].as_i64().unwrap()))
        .collect();
    let by_hand: Vec<(u64, i64)> = breaks.iter().map(|message| (message.seq, message.i64_at(30))).collect();
    assert_eq!(broken, by_hand);
    let trades = of_kind("other").iter().filter(|row| row["message"] == "trade report").count();
    assert_eq!(trades, 6_390);
    let mut rules = BTreeMap::<&str, usize>::new();
    for row in of_kind("rule") {
        *rules.entry(row["rule"].as_str().unwrap()).or_default() += 1;
    }
    eprintln!("rules broken: {rules:?}");
    for rule in ["price-invalid", "quantity-zero", "field-unknown", "time-impossible", "instruments-full"] {
        assert_eq!(rules.get(rule), None, "{rule}");
    }
}
