//! `tape export --events`: what comes out is what stands on the event tape, for DuckDB, pyarrow and the official DBN reader.
#![cfg(feature = "tape")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod tape_common;

use dbn::encode::{EncodeRecord, dbn::Encoder};
use dbn::record::str_to_c_chars;
use dbn::{
    InstrumentDefMsg, MappingInterval, MboMsg, Metadata, RecordHeader, SType, Schema, SymbolMapping,
    TradeMsg, UNDEF_PRICE, rtype,
};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tape_common::{missing, tape, tape_ok, write_journal};
use wiretape::packet::LinkType;

/// 23:59:59.9 UTC: the records go over into the next day.
const START_NS: u64 = 1_700_006_399_900_000_000;
const STEP_NS: u64 = 1_000_003;

fn metadata(schema: Schema) -> Metadata {
    let day = |day| time::Date::from_calendar_date(2023, time::Month::November, day).unwrap();
    let interval = MappingInterval { start_date: day(14), end_date: day(16), symbol: "77".to_owned() };
    Metadata::builder()
        .dataset("XNAS.ITCH")
        .schema(Some(schema))
        .start(START_NS)
        .stype_in(Some(SType::RawSymbol))
        .stype_out(SType::InstrumentId)
        .mappings(vec![SymbolMapping { raw_symbol: "A,B\"C".to_owned(), intervals: vec![interval] }])
        .build()
}

/// An order each millisecond; every seventh stamp steps back behind its predecessor, one price has no value, one is negative.
fn orders(count: u64) -> Vec<MboMsg> {
    let order = |n: u64| {
        let back_ns = if n % 7 == 6 { 2 * STEP_NS } else { 0 };
        MboMsg {
            hd: RecordHeader::new::<MboMsg>(rtype::MBO, 2, 77, START_NS + n * STEP_NS - 5_000),
            order_id: u64::MAX - n,
            price: match n {
                3 => UNDEF_PRICE,
                4 => -1_500_000_001,
                _ => 187_430_000_000 + i64::try_from(n).unwrap(),
            },
            size: u32::MAX - 1,
            action: b'A'.cast_signed(),
            side: b'B'.cast_signed(),
            ts_recv: START_NS + n * STEP_NS - back_ns,
            ts_in_delta: -7,
            sequence: u32::try_from(n).unwrap(),
            ..MboMsg::default()
        }
    };
    (0..count).map(order).collect()
}

fn write_dbn<R: dbn::encode::DbnEncodable>(path: &Path, schema: Schema, records: &[R], torn: bool) {
    let mut encoder = Encoder::new(File::create(path).unwrap(), &metadata(schema)).unwrap();
    encoder.encode_records(records).unwrap();
    if torn {
        use std::io::Write as _;
        encoder.get_mut().write_all(&[14, 160, 0]).unwrap();
    }
}

/// A journal with one packet, and an event tape beside it: orders in two files (the second ends in a torn record), a trade, a
/// definition, and a side table.
fn made(dir: &Path) -> (PathBuf, Vec<MboMsg>) {
    let journal = dir.join("j");
    let packet = tape_common::Made::new(tape_common::mold_frame(1, 1, 0), START_NS);
    write_journal(&journal, 1, &[packet], |_| LinkType::ETHERNET);
    let feed = journal.join("events").join("0123456789abcdef0123456789abcdef").join("XNAS_1");
    std::fs::create_dir_all(&feed).unwrap();
    let orders = orders(200);
    write_dbn(&feed.join("mbo-000000.dbn"), Schema::Mbo, &orders[..120], false);
    write_dbn(&feed.join("mbo-000001.dbn"), Schema::Mbo, &orders[120..], true);
    let trade = TradeMsg {
        hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, 2, 78, START_NS),
        ts_recv: START_NS + 1,
        price: 1,
        ..TradeMsg::default()
    };
    write_dbn(&feed.join("trades-000000.dbn"), Schema::Trades, &[trade], false);
    let definition = InstrumentDefMsg {
        hd: RecordHeader::new::<InstrumentDefMsg>(rtype::INSTRUMENT_DEF, 2, 77, START_NS),
        ts_recv: START_NS,
        raw_symbol: str_to_c_chars("AAPL").unwrap(),
        ..InstrumentDefMsg::default()
    };
    write_dbn(&feed.join("definition-000000.dbn"), Schema::Definition, &[definition], false);
    let side = format!(
        "{{\"kind\":\"gap\",\"at_ns\":{START_NS},\"session\":\"S\",\"first\":7,\"count\":3,\"since_ns\":1}}\n\
         {{\"kind\":\"symbol\",\"at_ns\":{START_NS},\"instrument_id\":78,\"symbol\":\"MSFT\"}}\n\
         {{\"kind\":\"rule-count\",\"rule\":\"gap\",\"severity\":\"error\",\"count\":1}}\n{{\"kind\":\"to"
    );
    std::fs::write(feed.join("side-000000.jsonl"), side).unwrap();
    (journal, orders)
}

fn export(journal: &Path, out: &Path, more: &[&str]) -> Value {
    let args =
        [&["export", "--events", "--json", journal.to_str().unwrap(), "-o", out.to_str().unwrap()], more];
    let output = tape(&args.concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_str(&said).unwrap()
}

/// A Python with DuckDB, pyarrow and databento-dbn, made once; `None` if it cannot be.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(make_python).as_deref()
}

fn make_python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-readers");
    let python = home.join("bin/python");
    let works = |python: &Path| {
        let imports = Command::new(python).args(["-c", "import duckdb, pyarrow, databento_dbn"]).output();
        imports.is_ok_and(|output| output.status.success())
    };
    if !works(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&home).output();
        let pip = Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "duckdb", "pyarrow", "databento-dbn"])
            .output();
        if made.is_err() || pip.is_err() || !works(&python) {
            missing("python3 with duckdb, pyarrow and databento-dbn");
            return None;
        }
    }
    Some(python)
}

fn readers_see(python: &Path, dir: &Path, what: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/parquet.py");
    let output = Command::new(python).arg(script).arg(dir).arg(what).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The orders as they must come out: sorted, equal stamps in the order of the tape.
fn sorted(orders: &[MboMsg]) -> Vec<&MboMsg> {
    let mut sorted: Vec<&MboMsg> = orders.iter().collect();
    sorted.sort_by_key(|order| order.ts_recv);
    sorted
}

fn price(order: &MboMsg) -> Value {
    if order.price == UNDEF_PRICE { Value::Null } else { order.price.into() }
}

#[test]
fn duckdb_and_pyarrow_read_every_row_with_its_types_from_the_parquet_files() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, orders) = made(dir.path());
    let out = dir.path().join("out");
    let done = export(&journal, &out, &["--row-group", "64"]);
    let counts = serde_json::json!(
        {"XNAS_1/mbo": 200, "XNAS_1/trades": 1, "XNAS_1/definition": 1, "XNAS_1/side": 3}
    );
    assert_eq!((&done["records"], &done["unfit"]), (&counts, &0.into()));
    let Some(python) = python() else { return };
    let seen = readers_see(python, &out, "parquet");
    let types = |reader: &str, column: &str| seen["XNAS_1/mbo"][reader]["types"][column].clone();
    for (column, arrow, duck) in [
        ("ts_recv", "timestamp[ns, tz=UTC]", "TIMESTAMP"),
        ("ts_event", "timestamp[ns, tz=UTC]", "TIMESTAMP"),
        ("price", "decimal128(18, 9)", "DECIMAL(18,9)"),
        ("order_id", "uint64", "UBIGINT"),
        ("size", "uint32", "UINTEGER"),
        ("instrument_id", "uint32", "UINTEGER"),
        ("publisher_id", "uint16", "USMALLINT"),
        ("flags", "uint8", "UTINYINT"),
        ("ts_in_delta", "int32", "INTEGER"),
        ("action", "string", "VARCHAR"),
        ("symbol", "string", "VARCHAR"),
    ] {
        assert_eq!(types("pyarrow", column), arrow, "{column}");
        let found = types("duckdb", column);
        assert!(found.as_str().unwrap().starts_with(duck), "{column}: {found}");
    }
    for reader in ["pyarrow", "duckdb"] {
        let mut rows = seen["XNAS_1/mbo"][reader]["rows"].as_array().unwrap().clone();
        rows.sort_by_key(|row| (row["day"].to_string(), row["ts_recv"].as_u64()));
        assert_eq!(rows.len(), orders.len(), "{reader}");
        for (row, order) in rows.iter().zip(sorted(&orders)) {
            assert_eq!(row["ts_recv"], order.ts_recv);
            assert_eq!(row["ts_event"], order.hd.ts_event);
            assert_eq!(row["price"], price(order), "{reader}");
            assert_eq!((&row["order_id"], &row["size"]), (&order.order_id.into(), &order.size.into()));
            assert_eq!((&row["ts_in_delta"], &row["sequence"]), (&(-7).into(), &order.sequence.into()));
            assert_eq!(
                (&row["action"], &row["side"], &row["symbol"]),
                (&"A".into(), &"B".into(), &"A,B\"C".into())
            );
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let days: std::collections::BTreeSet<&str> =
            rows.iter().filter_map(|row| row["day"].as_str()).collect();
        assert_eq!(days.into_iter().collect::<Vec<_>>(), ["2023-11-14", "2023-11-15"], "{reader}");
        assert!(rows.iter().all(|row| row["host"] == "unknown" || row["host"] == host.trim()));
        assert_eq!(seen["XNAS_1/trades"][reader]["rows"][0]["symbol"], "MSFT");
        assert_eq!(seen["XNAS_1/definition"][reader]["rows"][0]["raw_symbol"], "AAPL");
        let side = seen["XNAS_1/side"][reader]["rows"].as_array().unwrap();
        assert_eq!((side.len(), &side[0]["kind"]), (3, &"gap".into()));
        let row: Value = serde_json::from_str(side[0]["row"].as_str().unwrap()).unwrap();
        assert_eq!((&row["first"], &side[0]["ts_recv"]), (&7.into(), &START_NS.into()));
    }
    // 100 ms are left of the first day, at a row a millisecond.
    assert_eq!(seen["XNAS_1/mbo"]["pyarrow"]["groups"], serde_json::json!([[64, 36], [64, 36]]));
}

#[test]
fn plain_integers_hold_what_the_types_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = made(dir.path());
    let feed = journal.join("events/0123456789abcdef0123456789abcdef/XNAS_1");
    let mut order = orders(1).remove(0);
    // The year 2500, and a price of 19 digits.
    (order.hd.ts_event, order.price) = (16_725_225_600_000_000_000, i64::MAX - 1);
    write_dbn(&feed.join("mbo-000002.dbn"), Schema::Mbo, &[order], false);
    let typed = export(&journal, &dir.path().join("typed"), &[]);
    assert_eq!(typed["unfit"], 2);
    let out = dir.path().join("plain");
    assert_eq!(export(&journal, &out, &["--plain-integers"])["unfit"], 0);
    let Some(python) = python() else { return };
    let seen = readers_see(python, &out, "parquet");
    let table = &seen["XNAS_1/mbo"]["pyarrow"];
    assert_eq!((&table["types"]["ts_event"], &table["types"]["price"]), (&"uint64".into(), &"int64".into()));
    let rows = table["rows"].as_array().unwrap();
    let wide = rows.iter().find(|row| row["price"] == i64::MAX - 1).unwrap();
    assert_eq!(wide["ts_event"], 16_725_225_600_000_000_000_u64);
}

#[test]
fn the_official_reader_reads_the_compressed_dbn() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, orders) = made(dir.path());
    let out = dir.path().join("out");
    assert_eq!(export(&journal, &out, &["--format", "dbn"])["records"]["XNAS_1/mbo"], 200);
    let feed = out.join("0123456789abcdef0123456789abcdef/XNAS_1");
    let side = zstd::decode_all(File::open(feed.join("side-000000.jsonl.zst")).unwrap()).unwrap();
    assert_eq!(String::from_utf8(side).unwrap().lines().count(), 3);
    let Some(python) = python() else { return };
    let seen = readers_see(python, &out, "dbn");
    let mut rows = Vec::new();
    for file in ["mbo-000000.dbn.zst", "mbo-000001.dbn.zst"] {
        let answer = &seen[&format!("0123456789abcdef0123456789abcdef/XNAS_1/{file}")];
        assert_eq!((&answer["version"], &answer["schema"]), (&3.into(), &"mbo".into()));
        assert_eq!((&answer["dataset"], &answer["record"]), (&"XNAS.ITCH".into(), &"MBOMsg".into()));
        rows.extend(answer["rows"].as_array().unwrap().clone());
    }
    assert_eq!(rows.len(), orders.len());
    for (row, order) in rows.iter().zip(&orders) {
        assert_eq!((&row["ts_recv"], &row["ts_event"]), (&order.ts_recv.into(), &order.hd.ts_event.into()));
        assert_eq!((&row["price"], &row["order_id"]), (&order.price.into(), &order.order_id.into()));
    }
}

#[test]
fn csv_has_exact_decimals_and_quotes_what_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, orders) = made(dir.path());
    let out = dir.path().join("out");
    export(&journal, &out, &["--format", "csv"]);
    let host =
        std::fs::read_dir(out.join("XNAS_1/mbo/day=2023-11-14")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(host.join("part-000000.csv")).unwrap();
    let mut lines = text.lines();
    let head = "ts_recv,ts_event,publisher_id,instrument_id,action,side,price,size,channel_id,order_id,flags,ts_in_delta,sequence,symbol";
    assert_eq!(lines.next(), Some(head));
    let of = |n: usize| {
        let order = &orders[n];
        let price = match n {
            3 => String::new(),
            4 => "-1.500000001".to_owned(),
            _ => format!("187.43{n:07}"),
        };
        format!(
            "{},{},2,77,A,B,{price},4294967294,255,{},0,-7,{n},\"A,B\"\"C\"",
            order.ts_recv, order.hd.ts_event, order.order_id
        )
    };
    // The seventh is stamped before the sixth.
    let expected: Vec<String> = [0, 1, 2, 3, 4, 6, 5].map(of).to_vec();
    assert_eq!(lines.take(7).collect::<Vec<_>>(), expected);
}

#[test]
fn what_cannot_be_exported_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = made(dir.path());
    let journal = journal.to_str().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("something"), "").unwrap();
    let said = |args: &[&str], code: i32| {
        let output = tape(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let out = out.to_str().unwrap();
    assert!(said(&["export", "--events", journal, "-o", out], 1).contains("not empty"));
    assert!(said(&["export", journal, "-o", "x", "--format", "csv"], 2).contains("--events"));
    assert!(said(&["export", "--events", journal, "-o", "x", "--format", "pcap"], 2).contains("packets"));
    assert!(said(&["export", "--events", journal, "-o", "x", "udp"], 2).contains("selection"));
    std::fs::remove_dir_all(Path::new(journal).join("events")).unwrap();
    assert!(said(&["export", "--events", journal, "-o", out], 1).contains("no event tape"));
    assert!(tape_ok(&["export", "--help"]).contains("--plain-integers"));
}
