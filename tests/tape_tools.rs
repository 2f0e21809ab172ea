//! `tape export`, `hist`, `decode`, and the tools that only journals have, run as a user runs them.

mod tape_common;

use tape_common::{Made, START_NS, feed, frame, other, tape, tape_ok, until_written, write_journal};
use wiretape::journal::format::MIB;
use wiretape::journal::{Fingerprint, Journal, JournalOptions};
use wiretape::packet::{Findings, InterfaceDef, Judgement, LinkType, Verdict};
use wiretape::time::StampClock;

fn ethernet(_: u16) -> LinkType {
    LinkType::ETHERNET
}

#[test]
fn exported_files_hold_what_the_journal_holds_by_tsharks_reading() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    write_journal(&dir.path().join("j"), 2, &feed(50), ethernet);
    tape_ok(&["export", &path("j"), "-o", &path("a.pcap")]);
    tape_ok(&["export", &path("j"), "-o", &path("a.pcapng")]);
    let magic = std::fs::read(path("a.pcap")).expect("written");
    assert_eq!(magic[..4], 0xa1b2_3c4d_u32.to_le_bytes());
    let fields =
        ["-n", "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "udp.payload", "-r"];
    let of = |file: &str| other("tshark", &[&fields[..], &[file]].concat());
    let (Some(classic), Some(ng)) = (of(&path("a.pcap")), of(&path("a.pcapng"))) else { return };
    assert_eq!(classic, ng);
    let expected: Vec<String> = feed(50)
        .iter()
        .map(|m| format!("{}.{:09}\t{}\t", m.at_ns / 1_000_000_000, m.at_ns % 1_000_000_000, m.bytes.len()))
        .collect();
    assert_eq!(classic.lines().count(), 50);
    for (line, expected) in classic.lines().zip(expected) {
        assert!(line.starts_with(&expected), "{line}");
    }
}

#[test]
fn a_pcap_file_refuses_a_second_link_type_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, out) = (dir.path().join("j"), dir.path().join("a.pcap"));
    write_journal(&journal, 2, &feed(4), |queue| if queue == 0 { LinkType::ETHERNET } else { LinkType::RAW });
    let (journal, out) = (journal.display().to_string(), out.display().to_string());
    let refused = tape(&["export", &journal, "-o", &out]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("one link type") && said.contains("pcapng"), "{said}");
    assert_eq!(tape(&["export", &journal, "-o", &out, "--format", "pcapng"]).status.code(), Some(0));
    // Never over its own input.
    let own = format!("{journal}/q00-000000.pcapng");
    assert_eq!(tape(&["export", &own, "-o", &own]).status.code(), Some(2));
    assert_eq!(tape_ok(&["read", &own]).lines().count(), 2);
}

#[test]
fn two_clocks_never_share_a_histogram() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    let mut packets = feed(100);
    for (n, made) in packets.iter_mut().enumerate() {
        made.queue = 0;
        if n >= 60 {
            made.clock = StampClock::HARDWARE;
            made.delay_ns = 500;
        }
    }
    write_journal(&journal, 1, &packets, ethernet);
    let journal = journal.display().to_string();
    let log = dir.path().join("x.hlog");
    let text = tape_ok(&["hist", &journal, "--hlog", log.to_str().expect("plain")]);
    for table in ["stamp to arrival, clock hw", "stamp to arrival, clock sw", "stamp to next stamp, clock hw"]
    {
        assert!(text.contains(table), "{text}");
    }
    assert_eq!(text.matches("1/(1-Percentile)").count(), 4);
    assert!(text.contains("#[Max     =     2000.000, Total count    =           60]"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&tape_ok(&["hist", "--json", &journal])).expect("JSON");
    let counts: Vec<u64> = json["distributions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|d| d["count"].as_u64())
        .collect();
    assert_eq!(counts, [40, 60, 39, 59]);
    assert_eq!(std::fs::read_to_string(log).expect("written").matches("Tag=").count(), 4);
}

#[test]
fn decode_agrees_with_a_true_tape_and_names_the_place_of_a_lie() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("true");
    let mut packets = feed(200);
    for made in packets.iter_mut().skip(50).take(20) {
        made.shed = true;
    }
    packets[120].bytes[50] ^= 1; // a wrong checksum, judged so live
    write_journal(&journal, 2, &packets, ethernet);
    let said = tape_ok(&["decode", "--json", journal.to_str().expect("plain")]);
    let sum: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((sum["packets"].as_u64(), sum["same"].as_u64()), (Some(200), Some(180)));
    assert_eq!((sum["not_judged"].as_u64(), sum["different"].as_u64()), (Some(20), Some(0)));

    let lying = dir.path().join("lying");
    packets[30].lie = Some(Judgement { verdict: Verdict::ACCEPTED, findings: Findings(Findings::GAP) });
    packets[31].lie = Some(Judgement { verdict: Verdict::UDP_BAD_CHECKSUM, findings: Findings::NONE });
    write_journal(&lying, 2, &packets, ethernet);
    let output = tape(&["decode", lying.to_str().expect("plain")]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("q00-000000.pcapng at byte") && text.contains("on tape accepted [gap], now accepted"),
        "{text}"
    );
    assert!(
        text.contains("q01-000000.pcapng at byte") && text.contains("on tape udp-bad-checksum"),
        "{text}"
    );
}

#[test]
fn info_verify_loss_and_extract_answer_for_a_sound_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 2, &feed(60), ethernet);
    let name = journal.display().to_string();
    for command in ["info", "verify", "loss"] {
        tape_ok(&[command, &name]);
        for line in tape_ok(&[command, "--json", &name]).lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        }
    }
    let out = dir.path().join("cut.pcapng").display().to_string();
    tape_ok(&["extract", &name, "-o", &out, "--begin", "10us", "--end", "20us", "udp"]);
    assert_eq!(tape_ok(&["read", &out]).lines().count(), 20);
    let segment = journal.join("q00-000000.pcapng");
    let mut bytes = std::fs::read(&segment).expect("sealed");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&segment).expect("ours");
    std::fs::write(&segment, bytes).expect("ours");
    let bad = tape(&["verify", &name]);
    assert_eq!(bad.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&bad.stdout).contains("q00-000000.pcapng"));
}

#[test]
fn follow_writes_a_finished_journal_from_its_start_and_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 1, &[Made::new(frame("239.1.2.3:5", b"hello"), START_NS)], ethernet);
    let name = journal.display().to_string();
    assert_eq!(tape_ok(&["follow", "--from-start", "-c", "1", &name]).lines().count(), 1);
    let out = dir.path().join("f.pcapng").display().to_string();
    tape_ok(&["follow", "--from-start", "-c", "1", "-w", &out, &name]);
    assert_eq!(tape_ok(&["read", &out]).lines().count(), 1);
}

#[test]
fn verify_wants_the_head_that_was_noted_down_and_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 1, &feed(4)[..1], ethernet);
    let name = journal.display().to_string();
    let report: serde_json::Value =
        serde_json::from_str(&tape_ok(&["verify", "--json", &name])).expect("JSON");
    let head = report["head"].as_str().expect("a head").to_owned();
    tape_ok(&["verify", "--head", &head, &name]);
    let other = tape(&["verify", "--head", &"0".repeat(64), &name]);
    assert_eq!(other.status.code(), Some(3));
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(said.contains("NOT VERIFIED") && said.contains(&head), "{said}");
    assert_eq!(tape(&["verify", "--head", "12ab", &name]).status.code(), Some(2));
}

#[test]
fn info_says_what_is_durable_of_a_live_segment_and_what_the_capture_runs_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = JournalOptions::new(dir.path());
    options.segment_bytes = 4 * MIB;
    let facts = [("kernel", "Linux 6.1"), ("clocksource", "tsc"), ("nic", "ixgbe"), ("judge", "x = 1")];
    options.host = Fingerprint(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let (journal, _) = Journal::open(options).expect("a fresh journal");
    let (mut writers, mut keeper) = journal.start();
    let writer = &mut writers[0];
    let def = InterfaceDef::named("test0", LinkType::ETHERNET);
    until_written(&mut keeper, || writer.add_interface(&def));
    let made = Made::new(frame("239.1.2.3:5", b"hello"), START_NS);
    until_written(&mut keeper, || writer.append(&made.packet(), Judgement::NOT_JUDGED));
    keeper.handle().sync_now();
    keeper.step();
    let name = dir.path().display().to_string();
    let info: serde_json::Value = serde_json::from_str(&tape_ok(&["info", "--json", &name])).expect("JSON");
    let segments = info["segments"].as_array().expect("a list");
    let live = segments.iter().find(|s| s["packets"] == 1).expect("the packet's segment");
    assert_eq!((&live["live"], &live["durable_bytes"]), (&true.into(), &live["used_bytes"]), "{live}");
    assert!(live["durable_at_ns"].as_u64() > Some(START_NS), "{live}");
    let capture = &info["captures"][0];
    assert!(capture["created"].as_str().is_some_and(|t| t.ends_with('Z')), "{capture}");
    assert_eq!(
        capture["host"],
        serde_json::json!({"kernel": "Linux 6.1", "clocksource": "tsc", "nic": "ixgbe"})
    );
    let text = tape_ok(&["info", "--scan", &name]);
    assert!(text.contains(", Linux 6.1, clock source tsc, nic ixgbe\n"), "{text}");
    assert!(
        text.contains(" bytes durable at ") && text.contains("verdict     not-judged: 1 packet"),
        "{text}"
    );
    assert!(!tape_ok(&["info", "--no-scan", &name]).contains("verdict "));
}
