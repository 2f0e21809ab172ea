//! What stands in a journal beside the packets, and how it is cut and kept.

use crate::common::run_in_netns;
use crate::support::*;
use std::path::Path;
use std::time::Duration;
use wiretape::journal::reader::Record;
use wiretape::journal::{EventKind, Note};
use wiretape::lab::net::Lab;

#[test]
fn start_clocks_and_stop_stand_on_tape_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--duration", "2500ms"]);
        send_in(&mixed(20));
        live.ended().says(0, &[]);
        let mut order = Vec::new();
        each_record(&journal, |record| {
            order.push(match record {
                Record::Packet(_) => "packet",
                Record::Note { note: Note::Clock(_), .. } => "clock",
                Record::Note { note: Note::Event(e), .. } if e.kind == EventKind::START => "start",
                Record::Note { note: Note::Event(e), .. } if e.kind == EventKind::STOP => "stop",
                _ => "other",
            });
        });
        order.retain(|what| *what != "other");
        let clocks = order.iter().filter(|what| **what == "clock").count();
        assert!((3..=4).contains(&clocks), "one a second, the first at once: {order:?}");
        let at =
            |what| order.iter().position(|w| *w == what).unwrap_or_else(|| panic!("{what} in {order:?}"));
        assert!(at("start") < at("packet") && at("start") < at("clock"), "{order:?}");
        assert_eq!(order.last(), Some(&"stop"), "{order:?}");
        assert_eq!(texts(&events_on(&journal), EventKind::STOP), ["capture ends: the time was up"]);
    });
}

#[test]
fn start_and_stop_surround_a_short_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("a.pcap"), dir.path().join("j"));
    pcap(&file, &mixed(3));
    report_of(&["-r", text(&file), "-w", text(&journal)]);
    let mut order = Vec::new();
    each_record(&journal, |record| match record {
        Record::Packet(_) => order.push("packet".to_owned()),
        Record::Note { note: Note::Event(e), .. } => order.push(e.kind.name().to_owned()),
        _ => {}
    });
    assert_eq!(order, ["start", "packet", "packet", "packet", "stop"]);
}

/// 40 batches of packets, a quarter MiB each, 10 MiB in all.
fn ten_mib() {
    let frames: Vec<_> = (0..1000).map(|_| datagram("10.0.0.2", 5000, 8_950)).collect();
    send_in(&frames);
}

fn manifest_of(journal: &Path) -> String {
    std::fs::read_to_string(journal.join("manifest")).unwrap()
}

#[test]
fn segments_have_the_size_asked_for_and_the_oldest_go_by_size() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for (name, words) in [
            ("retain", &["--segment-size", "4MiB", "--retain", "20MiB"][..]),
            ("dumpcap", &["-b", "filesize:4096", "-b", "files:5"]),
        ] {
            let journal = dir.path().join(name);
            let live = Live::start(&[&["-w", text(&journal), "--json"], words].concat());
            for _ in 0..4 {
                ten_mib();
            }
            let report = live.stop().says(0, &[]).json();
            adds_up(&report);
            assert_eq!(number(&report, "/packets/on_tape"), 4000, "{report}");
            assert!(number(&report, "/journal/segments_retired") >= 3, "{report}");
            let left: u64 = segments(&journal).iter().map(|p| p.metadata().unwrap().len()).sum();
            assert!(left <= 20 << 20, "{left} bytes are left");
            assert!(segments(&journal).iter().all(|p| p.metadata().unwrap().len() <= 4 << 20));
            assert!(!segments(&journal)[0].ends_with("q00-000000.pcapng"), "the oldest went");
            verifies(&journal);
            let kept = packets_on(&journal).len();
            assert!(kept > 300 && kept < 4000, "{kept}");
        }
    });
}

#[test]
fn the_oldest_go_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--retain", "2s", "--rotate", "500ms", "--json"]);
        for _ in 0..8 {
            send_in(&mixed(10));
            std::thread::sleep(Duration::from_millis(500));
        }
        let report = live.stop().says(0, &[]).json();
        assert!(number(&report, "/journal/segments_retired") >= 1, "{report}");
        assert!(manifest_of(&journal).contains("age"), "{}", manifest_of(&journal));
        verifies(&journal);
    });
}

#[test]
fn segments_begin_anew_as_often_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for (name, words) in [("rotate", ["--rotate", "1s"]), ("dumpcap", ["-b", "duration:1"])] {
            let journal = dir.path().join(name);
            let live =
                Live::start(&["-w", text(&journal), words[0], words[1], "--duration", "3500ms", "--json"]);
            for _ in 0..16 {
                send_in(&mixed(4));
                std::thread::sleep(Duration::from_millis(200));
            }
            let report = live.ended().says(0, &[]).json();
            let sealed = number(&report, "/journal/segments_sealed");
            let ran_s = (number(&report, "/ended_ns") - number(&report, "/began_ns")) / 1_000_000_000;
            assert!(sealed >= 3 && sealed <= ran_s + 2, "{words:?}: {report}");
            verifies(&journal);
        }
    });
}

#[test]
fn a_second_capture_goes_on_in_the_same_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        for round in 1..=3 {
            let live = Live::start(&["-w", text(&journal)]);
            send_in(&mixed(10));
            live.stop().says(0, &[]);
            assert_eq!(packets_on(&journal).len(), 10 * round);
        }
        verifies(&journal);
    });
}

#[test]
fn what_is_written_is_synced_as_often_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--sync-interval", "50ms"]);
        let durable = || std::fs::read_to_string(journal.join("durable")).unwrap_or_default();
        let bytes = || durable().split_whitespace().nth(2).and_then(|b| b.parse::<u64>().ok()).unwrap_or(0);
        send_in(&mixed(50));
        eventually(|| (bytes() > 50 * 142).then_some(()), durable);
        live.stop().says(0, &[]);
    });
}

#[test]
fn an_interface_that_goes_down_or_away_and_comes_back_does_not_end_the_capture() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|lab| {
        let live = Live::start(&["-w", text(&journal), "--json"]);
        send_in(&mixed(10));
        lab.netlink().set_up(Lab::RECEIVER, false).unwrap();
        live.wait_for("wt1: link is down; the capture waits for it");
        lab.netlink().set_up(Lab::RECEIVER, true).unwrap();
        live.wait_for("wt1: link is up");
        send_in(&mixed(20));
        lab.netlink().delete(Lab::RECEIVER).unwrap();
        live.wait_for("wt1: the interface is gone; the capture waits for it to come back");
        lab.netlink().create_veth(Lab::SENDER, Lab::RECEIVER, Lab::MTU).unwrap();
        for end in [Lab::SENDER, Lab::RECEIVER] {
            lab.netlink().silence_ipv6(end).unwrap();
            lab.netlink().set_up(end, true).unwrap();
        }
        eventually(|| (live.heard().matches("link is up").count() == 2).then_some(()), || live.heard());
        send_in(&mixed(40));
        let report = live.stop().says(0, &[]).json();
        adds_up(&report);
        let udp = packets_on(&journal).iter().filter(|(bytes, _)| bytes.len() == 142).count();
        assert_eq!(udp, 70, "{report}");
        let events = events_on(&journal);
        assert_eq!(texts(&events, EventKind::LINK_DOWN).len(), 2, "{events:?}");
        assert_eq!(texts(&events, EventKind::LINK_UP).len(), 2, "{events:?}");
        assert!(report["warnings"].to_string().contains("link is down"), "{report}");
        verifies(&journal);
    });
}

#[test]
fn a_reader_that_is_killed_or_slow_does_not_touch_the_capture() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--json"]);
        let follow = || {
            let mut tape = std::process::Command::new(TAPE);
            tape.args(["follow", text(&journal)]).stdout(std::process::Stdio::piped());
            tape.spawn().unwrap()
        };
        // One is killed, one reads nothing of its pipe and stands still.
        let (mut killed, mut stuck) = (follow(), follow());
        send_in(&mixed(2000));
        killed.kill().unwrap();
        send_in(&mixed(2000));
        let report = live.stop().says(0, &[]).json();
        stuck.kill().unwrap();
        killed.wait().unwrap();
        stuck.wait().unwrap();
        assert_eq!(number(&report, "/packets/on_tape"), 4000, "{report}");
        verifies(&journal);
    });
}
