//! What was sent is what is read: bytes, lengths, tags, direction, filter.

use crate::support::{Sender, drain, frame, in_namespace, ip, opened, options, tagged, take};
use std::os::fd::AsRawFd;
use wiretape::capture::af_packet::{
    Direction, Fanout, Mode, OpenError, Ring, RingOptions, open, open_queues,
};
use wiretape::packet::{EpbFlags, LinkType, Marks};
use wiretape::time::StampClock;

const MODES: [Mode; 2] = [Mode::Latency, Mode::Throughput];

fn both(test: impl Fn(RingOptions) + Send + Copy + 'static) {
    for mode in MODES {
        in_namespace(move || test(RingOptions { mode, ..options("rx") }));
    }
}

#[test]
fn frames_of_all_sizes_come_byte_for_byte_in_order() {
    both(|options| {
        let mut opened = opened(&options);
        assert_eq!(opened.interface.link, LinkType::ETHERNET);
        assert_eq!(opened.interface.hardware, "veth");
        let sender = Sender::on("tx");
        let sent: Vec<_> = (0..2000u32).map(|n| frame(n, 18 + (n as usize * 37) % 1497)).collect();
        for chunk in sent.chunks(100) {
            sender.send_all(chunk);
        }
        let got = drain(&mut opened.ring);
        assert_eq!(got.counts.ring_dropped, 0);
        assert_eq!(got.counts.received, 2000);
        assert_eq!(got.unreadable, 0);
        assert_eq!(got.packets.len(), sent.len());
        let mut last_ns = 0;
        for (got, sent) in got.packets.iter().zip(&sent) {
            assert_eq!(&got.bytes, sent);
            assert_eq!(got.wire_len as usize, sent.len());
            assert_eq!(got.flags.0, EpbFlags::INBOUND | EpbFlags::BROADCAST);
            assert!(matches!(got.clock, StampClock::KERNEL_DELIVERY | StampClock::KERNEL_SOFTWARE));
            assert!(got.stamp_ns >= last_ns && got.arrival_ns >= got.stamp_ns);
            last_ns = got.stamp_ns;
        }
    });
}

#[test]
fn a_ring_that_wrapped_many_times_loses_nothing_while_it_is_read() {
    both(|options| {
        let mut opened = opened(&RingOptions { ring_bytes: 64 << 10, ..options });
        let sender = Sender::on("tx");
        let mut next = 0u32;
        for _ in 0..100 {
            for n in 0..20 {
                sender.send(&frame(next + n, 200));
            }
            for kept in take(&mut opened.ring, 20).packets {
                assert_eq!(kept.bytes, frame(next, 200));
                next += 1;
            }
        }
        assert_eq!(next, 2000);
    });
}

#[test]
fn vlan_tags_are_put_back_whole() {
    both(|options| {
        let mut opened = opened(&options);
        let sender = Sender::on("tx");
        let sent = [
            tagged(&[(0x8100, 0x0005)], 0x0800, 1, 60),
            tagged(&[(0x8100, 0xffff)], 0x0800, 2, 1500), // priority, DEI and VLAN 4095: all 16 bits
            tagged(&[(0x88a8, 0x6064), (0x8100, 0x0007)], 0x86dd, 3, 100), // QinQ
            tagged(&[(0x8100, 0)], 0x0800, 4, 64),        // priority tag of VLAN 0
            frame(5, 64),
        ];
        sender.send_all(&sent);
        let got = drain(&mut opened.ring);
        assert_eq!(got.packets.len(), sent.len());
        for (n, (got, sent)) in got.packets.iter().zip(&sent).enumerate() {
            assert_eq!(&got.bytes, sent, "frame {n}");
            assert_eq!(got.wire_len as usize, sent.len());
            assert_eq!(got.marks.has(Marks::VLAN_RESTORED), n != 4);
        }
    });
}

#[test]
fn jumbo_frames_fit_once_the_mtu_says_so() {
    both(|options| {
        ip("link set dev rx mtu 9000");
        ip("link set dev tx mtu 9000");
        let mut opened = opened(&options);
        assert!(opened.granted.longest_packet_bytes >= 9022);
        let sender = Sender::on("tx");
        let sent = [frame(1, 9014), tagged(&[(0x8100, 5)], 0x0800, 2, 9018), frame(3, 60)];
        sender.send_all(&sent);
        let got = drain(&mut opened.ring);
        assert_eq!(got.packets.iter().map(|p| p.bytes.clone()).collect::<Vec<_>>(), sent);
    });
}

#[test]
fn the_snap_length_cuts_bytes_and_keeps_the_length() {
    both(|options| {
        let mut opened = opened(&RingOptions { snaplen: 64, ..options });
        let sender = Sender::on("tx");
        let sent = [frame(1, 1000), tagged(&[(0x8100, 5)], 0x0800, 2, 1000), frame(3, 40)];
        sender.send_all(&sent);
        let got = drain(&mut opened.ring);
        for (got, sent) in got.packets.iter().zip(&sent) {
            assert_eq!(got.bytes, sent[..sent.len().min(64)]);
            assert_eq!(got.wire_len as usize, sent.len());
        }
        assert_eq!(got.packets.len(), 3);
    });
}

#[test]
fn a_packet_longer_than_a_frame_is_cut_honestly() {
    in_namespace(|| {
        let mut opened = opened(&RingOptions { frame_bytes: Some(256), ..options("rx") });
        Sender::on("tx").send(&frame(1, 1000));
        let got = drain(&mut opened.ring);
        let [only] = &got.packets[..] else { panic!("one packet, not {}", got.packets.len()) };
        assert!(only.bytes.len() >= opened.granted.longest_packet_bytes as usize && only.bytes.len() < 256);
        assert_eq!(only.bytes, frame(1, 1000)[..only.bytes.len()]);
        assert_eq!(only.wire_len, 1000);
    });
}

#[test]
fn the_filter_holds_from_the_first_packet_on() {
    // Traffic runs while the ring is opened: `ldh [12]; jeq #0x88b6, 0, 1; ret #-1; ret #0`.
    let only_b6 = vec![(0x28, 0, 0, 12), (0x15, 0, 1, 0x88b6), (6, 0, 0, u32::MAX), (6, 0, 0, 0)];
    for mode in MODES {
        let filter = Some(only_b6.clone());
        in_namespace(move || {
            let sender = Sender::on("tx");
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|s| {
                s.spawn(|| {
                    for n in 0u32.. {
                        if stop.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        let ethertype = if n % 8 == 0 { 0x88b6 } else { 0x88b5 };
                        sender.send(&tagged(&[], ethertype, n, 60));
                    }
                });
                for _ in 0..5 {
                    let mut opened = opened(&RingOptions { mode, filter: filter.clone(), ..options("rx") });
                    let mut got = take(&mut opened.ring, 50);
                    got.packets.extend(drain(&mut opened.ring).packets);
                    assert!(got.packets.len() >= 50);
                    assert!(got.packets.iter().all(|p| p.bytes[12..14] == [0x88, 0xb6]));
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
        });
    }
}

#[test]
fn direction_is_in_out_or_both() {
    for direction in [Direction::In, Direction::Out, Direction::Both] {
        both(move |options| {
            let wanted = wanted_of(direction);
            let mut opened = opened(&RingOptions { direction, ..options });
            Sender::on("tx").send(&frame(1, 60));
            Sender::on("rx").send(&frame(2, 60));
            let got = drain(&mut opened.ring);
            let numbers: Vec<_> = got.packets.iter().map(|p| p.bytes[17]).collect();
            assert_eq!(numbers, wanted, "{direction:?}");
            assert_eq!(got.counts.received as usize, wanted.len());
            for p in &got.packets {
                assert_eq!(p.flags.is_outbound(), p.bytes[17] == 2);
            }
        });
    }
}

fn wanted_of(direction: Direction) -> Vec<u8> {
    match direction {
        Direction::In => vec![1],
        Direction::Out => vec![2],
        Direction::Both => vec![1, 2],
    }
}

#[test]
fn two_queues_of_a_group_share_the_packets_and_miss_none() {
    for fanout in [Fanout::LoadBalance, Fanout::Hash, Fanout::Cpu, Fanout::QueueMapping] {
        both(move |options| {
            let mut queues = open_queues(&RingOptions { fanout, ..options }, 2).unwrap();
            let sender = Sender::on("tx");
            for n in 0..1000 {
                sender.send(&frame(n, 60));
            }
            Sender::on("rx").send(&frame(9999, 60)); // outgoing: not wanted
            let mut all = Vec::new();
            let mut counts = Vec::new();
            for (ring, granted) in &mut queues.rings {
                assert_eq!(granted.fanout.unwrap().1, fanout);
                let got = drain(ring);
                assert_eq!(got.counts.received as usize, got.packets.len());
                counts.push(got.packets.len());
                all.extend(got.packets.into_iter().map(|p| p.bytes));
            }
            all.sort();
            let mut sent: Vec<_> = (0..1000).map(|n| frame(n, 60)).collect();
            sent.sort();
            assert_eq!(all, sent, "{fanout:?}");
            if fanout == Fanout::LoadBalance {
                assert_eq!(counts, [500, 500]);
            }
        });
    }
}

#[test]
fn merged_datagrams_are_marked_with_their_segment_size() {
    both(|options| {
        ip("addr add 10.9.0.1/24 dev tx");
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev tx nud permanent");
        let mut opened = opened(&RingOptions { frame_bytes: Some(8192), ..options });
        assert!(opened.granted.sees_merged);
        let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
        let fd = socket.as_raw_fd();
        assert!(fd >= 0);
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &1000).unwrap();
        socket.send_to(&[7; 3000], "10.9.0.2:5000").unwrap();
        let got = drain(&mut opened.ring);
        let [only] = &got.packets[..] else { panic!("one merged packet, not {}", got.packets.len()) };
        assert!(only.marks.has(Marks::GSO));
        assert!(only.marks.has(Marks::CSUM_NOT_READY), "nobody has computed its checksum");
        assert_eq!(only.gso_size, 1000);
        assert_eq!(only.wire_len, 14 + 20 + 8 + 3000);
        assert_eq!(only.bytes.len(), 14 + 20 + 8 + 3000);
    });
}

#[test]
fn a_tun_interface_gives_raw_ip_and_the_loopback_ethernet() {
    in_namespace(|| {
        ip("tuntap add tun9 mode tun");
        ip("link set dev tun9 up");
        assert_eq!(opened(&options("tun9")).interface.link, LinkType::RAW);
        let mut lo = opened(&options("lo"));
        assert_eq!(lo.interface.link, LinkType::ETHERNET);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        let got = drain(&mut lo.ring);
        assert_eq!(got.packets.len(), 1, "once: what is sent on the loopback comes in again");
        assert!(got.packets[0].bytes.ends_with(b"hello"));
        assert!(got.packets[0].marks.has(Marks::CSUM_NOT_READY));
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    in_namespace(|| {
        let text = |name: &str| open(&options(name)).unwrap_err().to_string();
        assert_eq!(text("eth7"), "eth7: no such interface; have: lo, tx, rx");
        assert!(text("any").contains("name one"));
        let long = RingOptions { filter: Some(vec![(6, 0, 0, 0); 5000]), ..options("rx") };
        assert!(matches!(open(&long), Err(OpenError::FilterTooLong { instructions: 5000 })));
        let bad = RingOptions { filter: Some(vec![(0xffff, 0, 0, 0)]), ..options("rx") };
        assert!(matches!(open(&bad), Err(OpenError::Filter { .. })));
        let zero = RingOptions { mode: Mode::Throughput, retire_ms: 0, ..options("rx") };
        assert!(matches!(open(&zero), Err(OpenError::Options(_))));
    });
}

#[test]
fn opening_says_what_was_granted() {
    in_namespace(|| {
        let opened = opened(&RingOptions { mode: Mode::Throughput, retire_ms: 3, ..options("rx") });
        assert!(matches!(opened.ring, Ring::V3(_)));
        assert_eq!(opened.granted.ring_bytes, 4 << 20);
        assert_eq!(opened.granted.retire_ms_asked, Some(3));
        assert!(opened.granted.retire_ns.unwrap() >= 3_000_000);
        assert!(!opened.granted.hardware_stamps);
        assert_eq!(opened.warnings, Vec::<String>::new());
        assert_eq!(opened.interface.speed_bps, 10_000_000_000, "what a veth claims");
    });
}
