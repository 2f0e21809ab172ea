//! INT, TERM, USR1, USR2, HUP.

use crate::common::run_in_netns;
use crate::support::*;

#[test]
fn int_and_term_end_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let journal = dir.path().join(signal.to_string());
            let live = Live::start(&["-w", text(&journal)]);
            send_in(&mixed(50));
            live.signal(signal);
            live.ended().says(0, &["\n50 packets captured\n", "ended: asked to stop"]);
            assert_eq!(packets_on(&journal).len(), 50);
            verifies(&journal);
        }
    });
}

#[test]
fn usr1_prints_counts_and_the_capture_goes_on() {
    run_in_netns(|_| {
        let live = Live::start(&[]);
        send_in(&mixed(50));
        eventually(
            || {
                live.signal(libc::SIGUSR1);
                std::thread::sleep(std::time::Duration::from_millis(50));
                live.heard().contains(" s  50 packets  ").then_some(())
            },
            || live.heard(),
        );
        send_in(&mixed(20));
        live.stop().says(0, &["70 packets captured"]);
    });
}

#[test]
fn usr2_makes_durable_what_is_on_tape() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--sync-interval", "1h"]);
        let durable = || {
            let text = std::fs::read_to_string(journal.join("durable")).unwrap_or_default();
            text.split_whitespace().nth(2).and_then(|bytes| bytes.parse().ok()).unwrap_or(0_u64)
        };
        send_in(&mixed(50));
        let before = durable();
        let after = eventually(
            || {
                live.signal(libc::SIGUSR2);
                std::thread::sleep(std::time::Duration::from_millis(30));
                Some(durable()).filter(|bytes| *bytes > before + 50 * 142)
            },
            || format!("durable {} from {before}", durable()),
        );
        send_in(&mixed(50));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(durable() < after + 50 * 142, "nobody asked for a second sync");
        live.stop().says(0, &[]);
    });
}

#[test]
fn hup_begins_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let live = Live::start(&["-w", text(&journal), "--segment-size", "64MiB", "--json"]);
        let sealed = || std::fs::read_to_string(journal.join("manifest")).unwrap_or_default();
        send_in(&mixed(20));
        live.signal(libc::SIGHUP);
        eventually(|| sealed().contains("q00-000000.pcapng").then_some(()), sealed);
        send_in(&mixed(20));
        let report = live.stop().says(0, &[]).json();
        assert_eq!(number(&report, "/journal/segments_sealed"), 2, "{report}");
        assert_eq!(packets_on(&journal).len(), 40);
        verifies(&journal);
    });
}
