//! The lockdown, from outside and from inside every thread role.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "manners/support.rs"]
#[allow(dead_code, reason = "its other users use the rest")]
mod support;

use common::run_in_netns;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::*;
use wiretape::journal::reader::Record;
use wiretape::journal::{EventKind, Note};
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, send};

fn send_frames(frames: u64) {
    let plan = PlainPlan::new(5, &[Shape { frame_len: 900, tags: Vec::new(), ipv6: false }]);
    let options = SendOptions {
        interface: Lab::SENDER.to_owned(),
        pace: Pace::PerSecond(5_000),
        max_frames: Some(frames),
        max_duration: Some(Duration::from_secs(60)),
        qdisc_bypass: true,
    };
    let mut id = 0;
    let make = |out: &mut Vec<u8>| {
        plan.append(id, out);
        id += 1;
        true
    };
    assert_eq!(send(&options, make, &AtomicBool::new(false)).unwrap().frames, frames);
}

fn field(pid: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let line = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line[name.len()..].trim().to_owned()
    };
    tasks.map(line).collect()
}

/// Rotation, syncs, sealing, two queues of two threads, in a directory that only root can reach.
#[test]
fn every_thread_is_locked_down_and_the_capture_works() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        let journal = dir.path().join("j");
        let words = [
            "-w",
            text(&journal),
            "--segment-size",
            "4MiB",
            "--rotate",
            "1s",
            "--sync-interval",
            "200ms",
            "--threads",
            "split",
            "--queues",
            "2",
            "-B",
            "4MiB",
            "--lockdown",
            "--check-lockdown",
            "--json",
        ];
        let live = Live::start(&words);
        // Real, effective, saved, file system: nobody. And no capability, no new privileges, a filter in each thread.
        let uids = field(live.pid(), "Uid:");
        assert!(uids.len() >= 6, "{uids:?}");
        assert!(uids.iter().all(|uids| uids.split_whitespace().all(|uid| uid == "65534")), "{uids:?}");
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "CapBnd:"] {
            assert!(field(live.pid(), set).iter().all(|caps| caps == "0000000000000000"), "{set}");
        }
        assert!(field(live.pid(), "NoNewPrivs:").iter().all(|set| set == "1"));
        assert!(field(live.pid(), "Seccomp:").iter().all(|mode| mode == "2"));
        send_frames(15_000);
        let report = live.stop().says(0, &[]).json();
        adds_up(&report);
        assert_eq!(number(&report, "/packets/on_tape") + number(&report, "/lost/ring"), 15_000, "{report}");
        assert!(number(&report, "/journal/segments_sealed") >= 4, "{report}");
        assert!(report["lockdown"].as_str().unwrap().starts_with("as nobody, no capabilities"), "{report}");
        verifies(&journal);
        // The next capture goes on in the same journal, as its owner.
        let live = Live::start(&["-w", text(&journal), "--segment-size", "4MiB", "--lockdown", "--json"]);
        send_frames(100);
        let report = live.stop().says(0, &[]).json();
        assert_eq!(number(&report, "/packets/on_tape"), 100, "{report}");
        verifies(&journal);
    });
}

/// The control thread must still see the link, and bind again without privilege.
#[test]
fn an_interface_that_goes_and_comes_back_is_captured_from_again() {
    run_in_netns(|lab| {
        let live = Live::start(&["--lockdown", "--json"]);
        lab.netlink().delete(Lab::RECEIVER).unwrap();
        live.wait_for("wt1: the interface is gone; the capture waits for it to come back");
        lab.netlink().create_veth(Lab::SENDER, Lab::RECEIVER, Lab::MTU).unwrap();
        for end in [Lab::SENDER, Lab::RECEIVER] {
            lab.netlink().silence_ipv6(end).unwrap();
            lab.netlink().set_up(end, true).unwrap();
        }
        live.wait_for("wt1: link is up");
        send_frames(100);
        let report = live.stop().says(0, &[]).json();
        assert_eq!(number(&report, "/packets/accepted"), 100, "{report}");
    });
}

/// Its system call is another.
#[test]
fn waiting_in_poll_works_too() {
    run_in_netns(|_| {
        let live = Live::start(&["--lockdown", "--check-lockdown", "--mode", "throughput", "--json"]);
        send_frames(500);
        let report = live.stop().says(0, &[]).json();
        assert_eq!(number(&report, "/packets/accepted"), 500, "{report}");
    });
}

#[test]
fn without_a_lockdown_report_and_tape_say_so() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        let journal = dir.path().join("j");
        let live = Live::start(&["-w", text(&journal), "--json"]);
        assert!(field(live.pid(), "Uid:").iter().all(|uids| uids.starts_with('0')));
        let report = live.stop().says(0, &[]).json();
        assert!(report["lockdown"].as_str().unwrap().starts_with("NONE"), "{report}");
        let mut began = String::new();
        each_record(&journal, |record| {
            if let Record::Note { note: Note::Event(event), .. } = record
                && event.kind == EventKind::START
            {
                began.clone_from(&event.text);
            }
        });
        assert!(began.contains("lockdown: NONE"), "{began}");
    });
}

#[test]
fn an_unknown_user_is_refused() {
    run_in_netns(|_| {
        capture(&["-i", Lab::RECEIVER, "--lockdown", "-Z", "nobody-of-that-name"])
            .says(1, &["-Z nobody-of-that-name: no such user"]);
    });
}
