//! An interface that goes down, goes away and comes back does not end the capture.

use crate::support::{Sender, frame, group, ifindex, in_namespace, ip, make_wire, opened, options, take};
use std::process::Command;
use wiretape::capture::af_packet::{LinkEvent, Mode, RingOptions, list_interfaces, stamp_sources};

fn ip_says(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn down_and_up_again_goes_on_in_the_same_ring() {
    for mode in [Mode::Latency, Mode::Throughput] {
        in_namespace(move || {
            let mut opened = opened(&RingOptions { mode, ..options("rx") });
            Sender::on("tx").send(&frame(1, 60));
            assert_eq!(take(&mut opened.ring, 1).packets.len(), 1);
            assert_eq!(opened.link.check(), None);

            ip("link set dev rx down");
            assert_eq!(opened.link.check(), Some(LinkEvent::Down));
            assert_eq!(opened.link.check(), None, "told once");
            // Polling a socket whose link is down is no error.
            assert_eq!(take(&mut opened.ring, 1).packets.len(), 0);

            ip("link set dev rx up");
            assert_eq!(opened.link.check(), Some(LinkEvent::Up { ifindex: ifindex("rx") }));
            Sender::on("tx").send(&frame(2, 60));
            assert_eq!(take(&mut opened.ring, 1).packets[0].bytes, frame(2, 60));
        });
    }
}

#[test]
fn deleted_and_made_anew_goes_on_in_the_same_ring() {
    for mode in [Mode::Latency, Mode::Throughput] {
        in_namespace(move || {
            let options =
                RingOptions { mode, promiscuous: true, groups: vec![group("239.1.2.3")], ..options("rx") };
            let mut opened = opened(&options);
            let before = ifindex("rx");
            assert!(ip_says("maddr show dev rx").contains("239.1.2.3"));
            Sender::on("tx").send(&frame(1, 60));

            ip("link del dev rx");
            assert_eq!(opened.link.check(), Some(LinkEvent::Gone));
            assert_eq!(opened.link.check(), None);
            make_wire();
            let after = ifindex("rx");
            assert_ne!(before, after);
            assert_eq!(opened.link.check(), Some(LinkEvent::Up { ifindex: after }));

            assert!(ip_says("-d link show dev rx").contains("promiscuity 1"));
            assert!(ip_says("maddr show dev rx").contains("239.1.2.3"));
            Sender::on("tx").send(&frame(2, 60));
            let got = take(&mut opened.ring, 2).packets;
            assert_eq!(got.iter().map(|p| p.bytes.clone()).collect::<Vec<_>>(), [frame(1, 60), frame(2, 60)]);
        });
    }
}

#[test]
fn an_interface_that_comes_back_down_is_up_when_it_is_up() {
    in_namespace(|| {
        let mut opened = opened(&options("rx"));
        ip("link del dev rx");
        ip("link add rx type veth peer name tx");
        // Nobody looked in between: it is back already, but down.
        assert_eq!(opened.link.check(), None);
        for end in ["rx", "tx"] {
            crate::support::quiet(end);
            ip(&format!("link set dev {end} up"));
        }
        assert_eq!(opened.link.check(), Some(LinkEvent::Up { ifindex: ifindex("rx") }));
        Sender::on("tx").send(&frame(2, 60));
        assert_eq!(take(&mut opened.ring, 1).packets.len(), 1);
    });
}

#[test]
fn a_renamed_interface_is_still_itself() {
    in_namespace(|| {
        let mut opened = opened(&options("rx"));
        ip("link set dev rx name other");
        assert_eq!(opened.link.check(), None);
        Sender::on("tx").send(&frame(2, 60));
        assert_eq!(take(&mut opened.ring, 1).packets.len(), 1);
    });
}

#[test]
fn a_fanout_group_survives_down_and_up_and_says_that_it_cannot_follow_a_new_interface() {
    in_namespace(|| {
        let mut queues = wiretape::capture::af_packet::open_queues(&options("rx"), 2).unwrap();
        ip("link set dev rx down");
        assert_eq!(queues.link.check(), Some(LinkEvent::Down));
        ip("link set dev rx up");
        assert!(matches!(queues.link.check(), Some(LinkEvent::Up { .. })));
        Sender::on("tx").send(&frame(2, 60));
        let got: usize = queues.rings.iter_mut().map(|(ring, _)| take(ring, 1).packets.len()).sum();
        assert_eq!(got, 1);
        ip("link del dev rx");
        assert_eq!(queues.link.check(), Some(LinkEvent::Gone));
        make_wire();
        assert!(matches!(queues.link.check(), Some(LinkEvent::Stranded { .. })));
    });
}

#[test]
fn more_groups_than_a_socket_holds_are_joined_all_the_same() {
    in_namespace(|| {
        let mut groups: Vec<_> = (1..=45).map(|n| group(&format!("239.1.1.{n}"))).collect();
        groups.push(group("ff15::77"));
        let opened = opened(&RingOptions { groups, ..options("rx") });
        let joined = ip_says("maddr show dev rx");
        assert_eq!(joined.matches("239.1.1.").count(), 45);
        assert!(joined.contains("ff15::77"));
        drop(opened);
        assert!(!ip_says("maddr show dev rx").contains("239.1.1."));
    });
}

#[test]
fn an_interface_that_is_down_can_be_opened_and_the_user_is_told() {
    in_namespace(|| {
        ip("link set dev rx down");
        let mut opened = opened(&options("rx"));
        assert!(opened.warnings.iter().any(|w| w.contains("is down")));
        assert!(!opened.link.is_up());
        ip("link set dev rx up");
        assert!(matches!(opened.link.check(), Some(LinkEvent::Up { .. })));
        Sender::on("tx").send(&frame(2, 60));
        assert_eq!(take(&mut opened.ring, 1).packets.len(), 1);
    });
}

#[test]
fn interfaces_and_their_stamps_are_listed_for_this_namespace() {
    in_namespace(|| {
        let names: Vec<_> = list_interfaces().unwrap().into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["lo", "tx", "rx"]);
        let sources = stamp_sources("rx").unwrap();
        assert_eq!(sources.iter().map(|s| s.name).collect::<Vec<_>>(), ["host"]);
        assert!(stamp_sources("nope").is_err());
    });
}

#[test]
fn demanding_hardware_stamps_of_a_veth_says_that_it_has_none() {
    use wiretape::capture::af_packet::{HwStamp, open};
    in_namespace(|| {
        let auto = opened(&RingOptions { hwstamp: HwStamp::Auto, ..options("rx") });
        assert!(!auto.granted.hardware_stamps);
        assert!(auto.warnings.iter().any(|w| w.contains("no hardware stamps")));
        let error = open(&RingOptions { hwstamp: HwStamp::Force, ..options("rx") }).unwrap_err().to_string();
        assert!(error.contains("no hardware stamps"), "{error}");
    });
}
