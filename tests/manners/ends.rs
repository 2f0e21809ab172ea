//! What ends a capture, and exactly when.

use crate::common::run_in_netns;
use crate::support::*;
use wiretape::clock::{Clock, SystemClock};
use wiretape::lab::net::Lab;

#[test]
fn exactly_as_many_packets_as_counted_are_on_tape() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for (name, words) in [
            ("fused", &["-c", "7", "--threads", "fused"][..]),
            ("split", &["-a", "packets:7", "--threads", "split"]),
            ("blocks", &["-c", "7", "--mode", "throughput"]),
            ("queues", &["-c", "7", "--queues", "2"]),
        ] {
            let journal = dir.path().join(name);
            let live = Live::start(&[&["-w", text(&journal), "--json"], words].concat());
            send_in(&mixed(300));
            let ran = live.ended();
            let report = ran.says(0, &[]).json();
            adds_up(&report);
            assert_eq!(report["ended"], "the count was reached", "{name}");
            assert_eq!(number(&report, "/packets/on_tape"), 7, "{name}: {report}");
            assert_eq!(packets_on(&journal).len(), 7, "{name}");
        }
        let live = Live::start(&["-c", "7"]);
        send_in(&mixed(300));
        live.ended().says(0, &["\n7 packets captured\n"]);
    });
}

#[test]
fn time_ends_a_capture() {
    run_in_netns(|_| {
        for words in [["--duration", "700ms"], ["-a", "duration:1"]] {
            let began_ns = SystemClock.monotonic_ns();
            let report = report_of(&["-i", Lab::RECEIVER, words[0], words[1]]);
            let took_ms = (SystemClock.monotonic_ns() - began_ns) / 1_000_000;
            // No upper bound: the machine may be busy.
            assert!(took_ms >= 650, "{words:?}: {took_ms} ms");
            assert_eq!(report["ended"], "the time was up");
        }
    });
}

#[test]
fn captured_bytes_end_a_capture() {
    run_in_netns(|_| {
        let live = Live::start(&["-a", "filesize:10", "--json"]);
        send_in(&mixed(200)); // 142 bytes each
        let report = live.ended().says(0, &[]).json();
        assert_eq!(report["ended"], "the size was reached");
        assert!(number(&report, "/packets/seen_bytes") >= 10 * 1024, "{report}");
    });
}
