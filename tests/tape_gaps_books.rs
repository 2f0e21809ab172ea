//! `tape gaps` and `tape books` over a feed of two lines: from the packets and from the event tape alike.
#![cfg(feature = "tape")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod tape_common;

use serde_json::Value;
use std::path::Path;
use tape_common::{Made, frame, tape, tape_ok, write_journal, write_journal_of};
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol};
use wiretape::packet::LinkType;
use wiretape::validate::JudgeConfig;

/// 2023-11-15 09:30:00 in New York, and ns since its midnight.
const OPEN_NS: u64 = 1_700_058_600_000_000_000;
const OPEN_SINCE_MIDNIGHT_NS: u64 = (9 * 3_600 + 30 * 60) * 1_000_000_000;
const MS: u64 = 1_000_000;

fn config() -> JudgeConfig {
    let group = |last: u8| std::net::IpAddr::from([239, 1, 2, last]);
    let mut feed = FeedConfig::one_line("XNAS", FeedProtocol::MoldUdp64Itch50, group(1), 26477);
    let mut other = feed.lines[0].clone();
    (other.name, other.group) = ("B".to_owned(), group(2));
    feed.lines.push(other);
    JudgeConfig { feeds: vec![feed], ..JudgeConfig::default() }
}

/// What every message begins with.
fn message(kind: u8, locate: u16, at_ns: u64, rest: &[&[u8]]) -> Vec<u8> {
    let since_midnight = (OPEN_SINCE_MIDNIGHT_NS + at_ns - OPEN_NS).to_be_bytes();
    let mut bytes = [&[kind][..], &locate.to_be_bytes(), &[0, 0], &since_midnight[2..]].concat();
    for part in rest {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn add(at_ns: u64, locate: u16, order: u64, side: u8, shares: u32, price4: u32) -> Vec<u8> {
    let stock = if locate == 7 { b"ACME    " } else { b"OTHER   " };
    let rest: [&[u8]; 5] =
        [&order.to_be_bytes(), &[side], &shares.to_be_bytes(), stock, &price4.to_be_bytes()];
    message(b'A', locate, at_ns, &rest)
}

fn cancel(at_ns: u64, order: u64, shares: u32) -> Vec<u8> {
    message(b'X', 7, at_ns, &[&order.to_be_bytes(), &shares.to_be_bytes()])
}

fn delete(at_ns: u64, order: u64) -> Vec<u8> {
    message(b'D', 7, at_ns, &[&order.to_be_bytes()])
}

/// A datagram on both lines (or on one), B 100 µs behind A.
fn send(packets: &mut Vec<Made>, lines: &[u8], sequence: u64, at_ns: u64, messages: &[Vec<u8>]) {
    for line in lines {
        let mut payload = Vec::new();
        let mut encoder = Encoder::begin(&mut payload, *b"GAPSBOOKS1", sequence);
        assert!(messages.iter().all(|message| encoder.message(message)));
        encoder.finish();
        let at_ns = at_ns + u64::from(line - 1) * 100_000;
        packets.push(Made::new(frame(&format!("239.1.2.{line}:26477"), &payload), at_ns));
    }
}

/// A book of three levels; message 4 on line B only; messages 8 and 9 on no line; heartbeats until long behind the last gap.
fn made(dir: &Path) {
    let mut packets = Vec::new();
    let at = |ms: u64| OPEN_NS + ms * MS;
    let p = &mut packets;
    send(
        p,
        &[1, 2],
        1,
        at(0),
        &[add(at(0), 7, 100, b'B', 300, 1_000_000), add(at(0), 7, 101, b'S', 50, 1_000_100)],
    );
    send(p, &[1, 2], 3, at(1), &[add(at(1), 7, 102, b'B', 200, 1_000_000)]);
    send(p, &[2], 4, at(2), &[add(at(2), 7, 103, b'B', 10, 999_900)]);
    send(p, &[1, 2], 5, at(3), &[cancel(at(3), 100, 100), add(at(3), 8, 104, b'S', 5, 500)]);
    send(p, &[1, 2], 7, at(4), &[delete(at(4), 103)]);
    send(p, &[1, 2], 10, at(20), &[add(at(20), 8, 105, b'B', 5, 400)]);
    for second in 1..10 {
        send(p, &[1, 2], 11, at(1_000 * second), &[]);
    }
    packets.sort_by_key(|made| made.at_ns);
    write_journal_of(dir, 1, &packets, |_| LinkType::ETHERNET, &config());
}

fn lines(args: &[&str]) -> Vec<Value> {
    tape_ok(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn gaps_are_told_with_line_cause_and_what_could_be_asked_for_from_packets_and_event_tape_alike() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().to_str().unwrap();
    let from_packets = lines(&["gaps", "--json", path]);
    let of = |what: &str| from_packets.iter().find(|entry| entry["what"] == what).unwrap();
    let gap = of("gap");
    let place = (&gap["feed"], &gap["session"], &gap["first"], &gap["count"]);
    assert_eq!(place, (&"XNAS".into(), &"GAPSBOOKS1".into(), &8.into(), &2.into()));
    assert_eq!(
        (&gap["cause"], &gap["lost_here"], &gap["healed"]),
        (&"upstream".into(), &0.into(), &0.into())
    );
    // Shown by line A's packet at 20 ms; the message before it came first on line A at 4 ms.
    assert_eq!((&gap["at_ns"], &gap["duration_ns"]), (&(OPEN_NS + 20 * MS).into(), &16_000_000.into()));
    let line_gap = of("line-gap");
    let place = (&line_gap["line"], &line_gap["healed_by"], &line_gap["first"], &line_gap["count"]);
    assert_eq!(place, (&"A".into(), &"B".into(), &4.into(), &1.into()));
    assert_eq!(of("epoch")["first"], 1);
    let sums = &from_packets.last().unwrap()["sums"];
    assert_eq!(
        (&sums["gaps"], &sums["messages"], &sums["upstream"], &sums["line_gaps"]),
        (&1.into(), &2.into(), &1.into(), &1.into())
    );
    assert_eq!(tape_ok(&["gaps", "--requests", path]), "XNAS GAPSBOOKS1 8 2\n");
    let text = tape_ok(&["gaps", path]);
    assert!(
        text.contains("XNAS gap on every line: session GAPSBOOKS1 8..9 (2 messages) in 16.000 ms, upstream"),
        "{text}"
    );
    assert!(text.contains("missing on line A: session GAPSBOOKS1 4..4 (1 message), brought by B"), "{text}");

    tape_ok(&["decode", "--rebuild", path]);
    assert!(dir.path().join("events").is_dir());
    assert_eq!(lines(&["gaps", "--json", path]), from_packets);
}

#[test]
fn a_book_is_as_it_was_at_the_moment_from_packets_event_tape_and_dbn_file_alike() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().to_str().unwrap();
    let book = |more: &[&str]| lines(&[&["books", "--json", path, "ACME"][..], more].concat()).remove(0);
    let at = |ns: u64| format!("@{}.{:09}", (OPEN_NS + ns) / 1_000_000_000, (OPEN_NS + ns) % 1_000_000_000);
    let level = |price: i64, quantity: u64, orders: u32| serde_json::json!({ "price": price, "quantity": quantity, "orders": orders });
    let (bid, low, ask) = (100_000_000_000, 99_990_000_000, 100_010_000_000);
    let moments = |book: &dyn Fn(&[&str]) -> Value| {
        let first = book(&["--at", &at(0)]);
        assert_eq!(
            (&first["bids"], &first["asks"]),
            (&vec![level(bid, 300, 1)].into(), &vec![level(ask, 50, 1)].into())
        );
        let full = book(&["--at", &at(2 * MS + 100_000)]);
        assert_eq!(full["bids"], Value::from(vec![level(bid, 500, 2), level(low, 10, 1)]));
        let before = book(&["--at", &at(2 * MS + 99_999)]);
        assert_eq!(before["bids"], Value::from(vec![level(bid, 500, 2)]));
        let cut = book(&["--at", &at(3 * MS), "--levels", "1"]);
        assert_eq!(cut["bids"], Value::from(vec![level(bid, 400, 2)]));
        assert_eq!(
            (&cut["instrument_id"], &cut["crossed"], &cut["unknown_orders"]),
            (&7.into(), &false.into(), &0.into())
        );
        let last = book(&[]);
        assert_eq!(last["bids"], Value::from(vec![level(bid, 400, 2)]));
        [first, full, cut, last]
    };
    let made_again = moments(&book);
    // The capture begins with the first message of all, so the book is whole until the gap.
    assert_eq!(
        [&made_again[0]["maybe_bad"], &made_again[2]["maybe_bad"], &made_again[3]["maybe_bad"]],
        [&false, &false, &true]
    );
    tape_ok(&["decode", "--rebuild", path]);
    assert_eq!(moments(&book), made_again);
    let capture = std::fs::read_dir(dir.path().join("events")).unwrap().next().unwrap().unwrap().path();
    let file = capture.join("XNAS/mbo-000000.dbn").to_str().unwrap().to_owned();
    moments(&|more: &[&str]| lines(&[&["books", "--json", &file, "ACME"][..], more].concat()).remove(0));
    let text = tape_ok(&["books", path, "7"]);
    assert!(text.contains("100.000000000   100.010000000"), "{text}");
    assert!(text.contains("MAYBE_BAD_BOOK"), "{text}");
    let output = tape(&["books", path, "NOBODY"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("NOBODY"));
}

#[test]
fn an_export_of_a_made_event_tape_has_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    made(&journal);
    let (path, out) = (journal.to_str().unwrap(), dir.path().join("out"));
    tape_ok(&["decode", "--rebuild", path]);
    let output =
        tape(&["export", "--events", "--json", "--format", "csv", path, "-o", out.to_str().unwrap()]);
    let done: Value = serde_json::from_slice(&output.stderr).unwrap();
    // Six adds, a cancel, a delete; the other stock's second add comes after the gap.
    assert_eq!(done["records"]["XNAS/mbo"], 8, "{done}");
    let side = &done["records"]["XNAS/side"];
    assert!(side.as_u64().unwrap() >= 4, "{done}");
    let day = out.join("XNAS/mbo/day=2023-11-15");
    let host = std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(host.join("part-000000.csv")).unwrap();
    let first = format!("{OPEN_NS},{OPEN_NS},0,7,A,B,100.000000000,300,0,100,");
    assert!(text.lines().nth(1).unwrap().starts_with(&first), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with(",ACME"), "{text}");
}

#[test]
fn a_journal_without_feeds_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), 1, &[], |_| LinkType::ETHERNET);
    let output = tape(&["gaps", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--config"));
}
