//! `tape latency`: exchange to arrival, line against line, tap against tap.
#![cfg(feature = "tape")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod tape_common;

use serde_json::Value;
use std::path::Path;
use tape_common::{Made, frame, tape, tape_ok, write_journal, write_journal_of};
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol};
use wiretape::packet::LinkType;
use wiretape::time::StampClock;
use wiretape::validate::JudgeConfig;

/// 2023-11-15 09:30:00 in New York, and ns since its midnight.
const OPEN_NS: u64 = 1_700_058_600_000_000_000;
const OPEN_SINCE_MIDNIGHT_NS: u64 = (9 * 3_600 + 30 * 60) * 1_000_000_000;

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&tape_ok(args)).unwrap()
}

fn feed_of_two_lines() -> JudgeConfig {
    let group = |last: u8| std::net::IpAddr::from([239, 1, 2, last]);
    let mut feed = FeedConfig::one_line("XNAS", FeedProtocol::MoldUdp64Itch50, group(1), 26477);
    let mut other = feed.lines[0].clone();
    (other.name, other.group) = ("B".to_owned(), group(2));
    feed.lines.push(other);
    JudgeConfig { feeds: vec![feed], ..JudgeConfig::default() }
}

/// A datagram of two system events; the first is `before_ns` old when the packet is stamped, the second is newer.
fn itch(line: u8, sequence: u64, at_ns: u64, before_ns: i64) -> Made {
    let since_midnight = OPEN_SINCE_MIDNIGHT_NS + at_ns - OPEN_NS;
    let mut payload = Vec::new();
    let mut encoder = Encoder::begin(&mut payload, *b"LATENCY001", sequence);
    for newer_ns in [0, 7] {
        let event = since_midnight.checked_add_signed(newer_ns - before_ns).unwrap().to_be_bytes();
        encoder.message(&[&[b'S', 0, 1, 0, 2], &event[2..], b"O"].concat());
    }
    encoder.finish();
    Made::new(frame(&format!("239.1.2.{line}:26477"), &payload), at_ns)
}

#[test]
fn event_times_are_held_against_stamps_by_line_and_clock_and_lines_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut packets = Vec::new();
    for n in 0..100_u64 {
        let at_ns = OPEN_NS + n * 1_000_000;
        // B is 300 ns behind, but for each tenth, where it is 50 ns ahead; and it is stamped before its event.
        let b_at_ns = if n % 10 == 0 { at_ns - 50 } else { at_ns + 300 };
        packets.push(itch(1, 1 + 2 * n, at_ns, 2_000));
        packets.push(itch(2, 1 + 2 * n, b_at_ns, -400));
    }
    packets[199].clock = StampClock::HARDWARE;
    packets.push(itch(1, 1, OPEN_NS + 200_000_000, 2_000));
    packets.sort_by_key(|made| made.at_ns);
    write_journal_of(dir.path(), 1, &packets, |_| LinkType::ETHERNET, &feed_of_two_lines());
    let path = dir.path().to_str().unwrap();
    let log = dir.path().with_extension("hlog");
    let report = json(&["latency", "--json", "--hlog", log.to_str().unwrap(), path]);
    let arrivals = report["arrivals"].as_array().unwrap();
    let of = |name: &str, clock: &str| {
        arrivals.iter().find(|d| d["of"] == name && d["to"] == clock && d["from"] == "event").unwrap()
    };
    assert_eq!(arrivals.len(), 3);
    let a = of("XNAS/A", "sw");
    assert_eq!((&a["count"], &a["min_ns"], &a["max_ns"]), (&101.into(), &2_000.into(), &2_000.into()));
    let b = of("XNAS/B", "sw");
    assert_eq!((&b["count"], &b["negative"], &b["p50_ns"]), (&99.into(), &99.into(), &(-400).into()));
    assert_eq!(of("XNAS/B", "hw")["count"], 1);
    let lead = &report["leads"][0];
    // Two messages in each packet; the pair that two clocks stamped is left out, and so is the repeat of the first packet.
    assert_eq!((&lead["of"], &lead["count"]), (&"XNAS/A-before-B".into(), &198.into()));
    assert_eq!(
        (&lead["min_ns"], &lead["p50_ns"], &lead["negative"]),
        (&(-50).into(), &300.into(), &20.into())
    );
    assert_eq!(report["races"][0]["first_wins"], 178);
    assert_eq!(report["races"][0]["second_wins"], 20);
    assert_eq!(report["mixed_clocks"], 2);
    let text = tape_ok(&["latency", path]);
    assert!(text.contains("one-way delays only if both were synchronised"), "{text}");
    assert!(text.contains("no clock readings on tape") && text.contains("receive path"), "{text}");
    let log = std::fs::read_to_string(log).unwrap();
    for tag in ["Tag=XNAS/A-event-sw,", "Tag=XNAS/B-event-sw-negative,", "Tag=XNAS/A-before-B-sw-sw,"] {
        assert!(log.contains(tag), "{tag} in {log}");
    }
}

/// What the second tap makes of a frame: other MACs, a hop further (with the IPv4 checksum that goes with it), in a VLAN.
fn a_hop_further(frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    bytes[..12].copy_from_slice(&[9; 12]);
    bytes[22] -= 1;
    let sum = u16::from_be_bytes([bytes[24], bytes[25]]);
    let (sum, carry) = sum.overflowing_add(0x0100);
    bytes[24..26].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    bytes.splice(12..12, [0x81, 0, 0, 5]);
    bytes
}

struct Tapped {
    dir: tempfile::TempDir,
    lost_ns: Vec<u64>,
}

/// 1,000 packets, one each 10 µs; the second tap sees them 1,500 ns later (each fourth 500 ns *earlier*, as its clock is set), without
/// every hundredth, and with an own packet every two hundred. Packets 500 to 509 have the same bytes.
fn taps(clock: StampClock) -> Tapped {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut second, mut lost_ns) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..1_000_u64 {
        let at_ns = OPEN_NS + n * 10_000;
        let content = if (500..510).contains(&n) { 500 } else { n };
        let bytes = frame("239.1.2.3:5000", &content.to_be_bytes());
        let late = if n % 4 == 3 { -500 } else { 1_500 };
        if n % 100 == 50 {
            lost_ns.push(at_ns);
        } else {
            let mut made = Made::new(a_hop_further(&bytes), at_ns.checked_add_signed(late).unwrap());
            made.clock = clock;
            second.push(made);
        }
        if n % 200 == 150 {
            second.push(Made::new(frame("239.1.2.3:5001", &n.to_be_bytes()), at_ns));
        }
        first.push(Made::new(bytes, at_ns));
    }
    // An earlier begin and a later end of the first tap are no losses.
    first.insert(0, Made::new(frame("239.1.2.3:5000", b"before"), OPEN_NS - 5_000_000));
    first.push(Made::new(frame("239.1.2.3:5000", b"behind"), OPEN_NS + 15_000_000));
    write_journal(&dir.path().join("one"), 1, &first, |_| LinkType::ETHERNET);
    write_journal(&dir.path().join("two"), 1, &second, |_| LinkType::ETHERNET);
    Tapped { dir, lost_ns }
}

fn compare(tapped: &Tapped, more: &[&str]) -> Value {
    let path = |name: &str| tapped.dir.path().join(name).to_str().unwrap().to_owned();
    let (one, two) = (path("one"), path("two"));
    json(&[&["latency", "--json", &one, "--to", &two], more].concat())
}

#[test]
fn two_taps_are_matched_by_content_with_signed_delays_losses_and_extras() {
    let tapped = taps(StampClock::HARDWARE);
    let log = tapped.dir.path().join("x.hlog");
    let report = compare(&tapped, &["--max-delay", "1ms", "--hlog", log.to_str().unwrap()]);
    assert_eq!((&report["matched"], &report["lost"], &report["extra"]), (&990.into(), &10.into(), &5.into()));
    assert_eq!((&report["outside"], &report["given_up"]), (&[2, 0][..].into(), &[0, 0][..].into()));
    assert_eq!(report["first_lost_ns"], Value::from(tapped.lost_ns.clone()));
    let delay = &report["delays"][0];
    assert_eq!((&delay["from"], &delay["to"], &delay["count"]), (&"sw".into(), &"hw".into(), &990.into()));
    assert_eq!(
        (&delay["min_ns"], &delay["max_ns"], &delay["negative"]),
        (&(-500).into(), &1_500.into(), &250.into())
    );
    assert!(std::fs::read_to_string(log).unwrap().contains("Tag=tap-to-tap-sw-hw-negative,"));
    let text = tape_ok(&[
        "latency",
        tapped.dir.path().join("one").to_str().unwrap(),
        "--to",
        tapped.dir.path().join("two").to_str().unwrap(),
    ]);
    assert!(text.contains("lost     10 (only at the first tap)"), "{text}");
    assert!(text.contains("only if both taps' clocks were synchronised"), "{text}");
}

#[test]
fn a_delay_longer_than_allowed_is_no_match_and_a_bound_on_memory_is_said() {
    let tapped = taps(StampClock::KERNEL_SOFTWARE);
    // Those that come 1,500 ns later are too late; the 250 that are ahead match.
    let report = compare(&tapped, &["--max-delay", "1us"]);
    assert_eq!(report["matched"], 250);
    assert_eq!(report["lost"].as_u64().unwrap() + report["outside"][0].as_u64().unwrap(), 1_002 - 250);
    // The first tap alone fills a room of one place a long way before the second begins to take from it.
    let report = compare(&tapped, &["--max-delay", "1ms", "--max-pending", "1"]);
    let sum = |name: &str| report[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert!(sum("given_up") > 0, "{report}");
    let told = 2 * report["matched"].as_u64().unwrap()
        + report["lost"].as_u64().unwrap()
        + report["extra"].as_u64().unwrap()
        + sum("outside")
        + sum("given_up");
    assert_eq!(told, 1_002 + 995);
    assert_eq!(tape(&["latency", "x", "--max-delay", "1s"]).status.code(), Some(2));
}

#[test]
fn a_capture_with_send_times_is_measured_from_its_own_clock() {
    let Some(path) = tape_common::captures()
        .into_iter()
        .find(|path| path.ends_with("iex-tops16-classic-pcap-despite-name.pcapng"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("wiretape.toml");
    std::fs::write(
        &config,
        "[[feed]]\nname = \"IEX\"\nprotocol = \"iex-tp\"\ngroup = \"224.67.0.199\"\nport = 16642\n",
    )
    .unwrap();
    let args = ["latency", "-K", "--json", "--config", config.to_str().unwrap(), path_of(&path)];
    let report = json(&args);
    let arrivals = &report["arrivals"][0];
    assert_eq!(
        (&arrivals["from"], &arrivals["to"], &arrivals["count"]),
        (&"sent".into(), &"file".into(), &13_022.into())
    );
    let text = tape_ok(&["latency", "-K", "--config", config.to_str().unwrap(), path_of(&path)]);
    assert!(text.contains("which one it was, the file does not say"), "{text}");
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}
