//! Lines A and B on two interfaces: one capture, each interface on queues of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "manners/support.rs"]
#[allow(dead_code, reason = "its other users use the rest")]
mod support;

use common::run_in_netns;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use support::*;
use wiretape::journal::reader::{ReadOptions, Record, Tape};
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, send};

const FRAMES: u64 = 2000;

fn send_plain(interface: &str, plan: &PlainPlan) -> u64 {
    let mut id = 0;
    let options = SendOptions {
        interface: interface.to_owned(),
        pace: Pace::PerSecond(10_000),
        max_frames: Some(FRAMES),
        max_duration: Some(std::time::Duration::from_secs(30)),
        qdisc_bypass: true,
    };
    let make = |out: &mut Vec<u8>| {
        plan.append(id, out);
        id += 1;
        true
    };
    send(&options, make, &AtomicBool::new(false)).unwrap().frames
}

#[test]
fn two_interfaces_are_captured_together_each_under_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|lab| {
        let netlink = lab.netlink();
        netlink.create_veth("wt2", "wt3", Lab::MTU).unwrap();
        for end in ["wt2", "wt3"] {
            netlink.silence_ipv6(end).unwrap();
            netlink.set_up(end, true).unwrap();
        }
        let journal = dir.path().join("j");
        // Beside the one that `start` names.
        let live = Live::start(&["-i", "wt3", "-w", text(&journal), "-B", "4MiB", "--json"]);
        let (a, b) = (
            PlainPlan::new(1, &[Shape { frame_len: 200, tags: Vec::new(), ipv6: false }]),
            PlainPlan::new(2, &[Shape { frame_len: 300, tags: Vec::new(), ipv6: false }]),
        );
        assert_eq!(send_plain(Lab::SENDER, &a) + send_plain("wt2", &b), 2 * FRAMES);
        let report = live.stop().says(0, &[]).json();
        adds_up(&report);
        assert_eq!(number(&report, "/packets/on_tape"), 2 * FRAMES, "{report}");

        let mut found: BTreeMap<(String, usize), u64> = BTreeMap::new();
        let tape = Tape::open(&journal).unwrap();
        let mut all = tape.merged(ReadOptions::default());
        while all.next_record().unwrap().is_some() {
            let Some(Record::Packet(packet)) = all.record() else { continue };
            let name = all.interface_of(&packet).unwrap().name.clone();
            *found.entry((name, packet.bytes.len())).or_default() += 1;
        }
        let expected = [((Lab::RECEIVER.to_owned(), 200), FRAMES), (("wt3".to_owned(), 300), FRAMES)];
        assert_eq!(found, BTreeMap::from(expected));
    });
}

#[test]
fn an_interface_named_twice_is_refused() {
    capture(&["-i", "lo,lo"]).says(2, &["-i lo stands twice"]);
}
