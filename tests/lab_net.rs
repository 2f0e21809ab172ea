//! The laboratory's network: what goes in comes out, nothing else does, and nothing stays behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod common;

use common::{need_root, run_in_netns};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wiretape::lab::net::Lab;
use wiretape::lab::send::{Pace, SendError, SendOptions, send};
use wiretape::sys::rtnetlink::{LinkError, Rtnetlink};

fn options(pace: Pace) -> SendOptions {
    SendOptions {
        interface: Lab::SENDER.to_owned(),
        pace,
        max_frames: None,
        max_duration: None,
        qdisc_bypass: false,
    }
}

/// A plain packet socket over every interface of the namespace.
struct Listener(OwnedFd);

impl Listener {
    fn open(timeout_ms: i64) -> Self {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .unwrap();
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(timeout_ms)).unwrap();
        setsockopt(&fd, sockopt::RcvBuf, &(64 << 20)).unwrap();
        Self(fd)
    }
    /// The next frame on the interface with this index, or none within the timeout.
    fn next(&self, index: u32) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 16384];
        loop {
            match recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut bytes) {
                Ok((len, Some(from))) if from.ifindex() == usize::try_from(index).unwrap() => {
                    bytes.truncate(len);
                    return Some(bytes);
                }
                Ok(_) => {}
                Err(Errno::EAGAIN) => return None,
                Err(errno) => panic!("recvfrom: {errno}"),
            }
        }
    }
}

fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; len];
    frame[..14].copy_from_slice(&[1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame[14..22].copy_from_slice(&number.to_be_bytes());
    frame
}

fn interfaces(dir: &str) -> BTreeSet<String> {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Makes `count` frames of these lengths in turn, numbered from 0.
fn maker(count: u64, lens: &'static [usize]) -> impl FnMut(&mut Vec<u8>) -> bool {
    let mut numbers = 0..count;
    let mut lens = lens.iter().cycle();
    move |out| {
        let next = numbers.next();
        if let Some(number) = next {
            out.extend(frame(number, *lens.next().unwrap()));
        }
        next.is_some()
    }
}

const LENS: &[usize] = &[60, 64, 1514, 9000];

#[test]
fn what_is_sent_into_one_end_comes_out_of_the_other_in_order_and_nothing_else_does() {
    run_in_netns(|lab| {
        let listener = Listener::open(1500);
        let index = lab.netlink().link(Lab::RECEIVER).unwrap().index;
        let sent =
            send(&options(Pace::PerSecond(10_000)), maker(200, LENS), &AtomicBool::new(false)).unwrap();
        assert_eq!(sent.frames, 200);
        assert_eq!(sent.bytes, 50 * LENS.iter().sum::<usize>() as u64);
        for number in 0..200 {
            let expected = frame(number, LENS[usize::try_from(number).unwrap() % LENS.len()]);
            let got = listener.next(index);
            let head = got.as_ref().map(|bytes| &bytes[..22]);
            assert!(got.as_ref() == Some(&expected), "frame {number}: {head:02x?}");
        }
        // Long enough for a solicitation or report of the kernel's own, had it any to send.
        assert_eq!(listener.next(index), None, "somebody else sent a frame");
        assert_eq!(lab.lost_between(sent.frames).unwrap(), 0);
    });
}

#[test]
fn a_flood_is_accounted_for_to_the_frame() {
    for qdisc_bypass in [false, true] {
        run_in_netns(|lab| {
            let flood = SendOptions { qdisc_bypass, max_frames: Some(50_000), ..options(Pace::Flood) };
            let sent = send(&flood, maker(u64::MAX, &[256]), &AtomicBool::new(false)).unwrap();
            assert_eq!((sent.frames, sent.unsent), (50_000, 0));
            // What the sender counted is what the wire carried: no less, no more.
            let received = lab.netlink().link(Lab::RECEIVER).unwrap().counts.rx_packets;
            assert_eq!(received + lab.lost_between(sent.frames).unwrap(), sent.frames, "{sent:?}");
        });
    }
}

#[test]
fn a_frame_that_the_wire_drops_is_refused_or_counted_as_lost_but_never_taken_for_sent() {
    for qdisc_bypass in [false, true] {
        run_in_netns(|lab| {
            // The receiving end takes no frame longer than this; the sending end does not know.
            lab.netlink().set_mtu(Lab::RECEIVER, 1500).unwrap();
            let bounded = SendOptions {
                qdisc_bypass,
                max_duration: Some(Duration::from_millis(200)),
                ..options(Pace::PerSecond(10_000))
            };
            let sent = send(&bounded, maker(1000, &[100, 4000]), &AtomicBool::new(false)).unwrap();
            let received = lab.netlink().link(Lab::RECEIVER).unwrap().counts.rx_packets;
            assert_eq!(received + lab.lost_between(sent.frames).unwrap(), sent.frames, "{sent:?}");
            // Newer kernels say ENOBUFS, and the frame is tried again until the time is over; older ones accept it.
            assert!(sent.refusals > 0 || received * 2 == sent.frames, "{sent:?}, received {received}");
        });
    }
}

#[test]
fn a_paced_sender_keeps_its_pace_and_its_bounds() {
    run_in_netns(|_| {
        let bounded =
            SendOptions { max_duration: Some(Duration::from_millis(500)), ..options(Pace::PerSecond(2_000)) };
        let sent = send(&bounded, maker(u64::MAX, &[100]), &AtomicBool::new(false)).unwrap();
        // Frames 0 to 999 are due before the end, and lateness does not add up; a paused
        // virtual machine may cost the last of them.
        assert!((900..=1000).contains(&sent.frames), "{sent:?}");
        assert!(sent.elapsed_ns < 600_000_000, "{sent:?}");

        let counted = SendOptions { max_frames: Some(70), ..options(Pace::PerSecond(50_000)) };
        let sent = send(&counted, maker(u64::MAX, &[100]), &AtomicBool::new(false)).unwrap();
        assert_eq!((sent.frames, sent.unsent), (70, 0));

        let stopped = send(&options(Pace::Flood), maker(u64::MAX, &[100]), &AtomicBool::new(true)).unwrap();
        assert_eq!(stopped.frames, 0);
    });
}

#[test]
fn refusals_are_named() {
    run_in_netns(|lab| {
        let netlink = lab.netlink();
        assert!(matches!(netlink.create_veth(Lab::SENDER, "other", 1500), Err(LinkError::Exists { .. })));
        assert!(matches!(netlink.set_up("nothere", true), Err(LinkError::NoSuchInterface { .. })));
        assert!(matches!(netlink.link("nothere"), Err(LinkError::NoSuchInterface { .. })));
        assert!(matches!(netlink.set_up("a name far too long", true), Err(LinkError::BadName { .. })));
        let too_big = netlink.set_mtu(Lab::SENDER, 1 << 30).unwrap_err().to_string();
        assert!(too_big.contains("mtu greater than device maximum"), "{too_big}");

        netlink.set_mtu(Lab::SENDER, 1500).unwrap();
        let error = send(&options(Pace::Flood), maker(1, &[4000]), &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(&error, SendError::Send { frame_len: 4000, .. }), "{error}");
        assert!(error.to_string().contains("MTU"), "{error}");
        let nowhere = SendOptions { interface: "nothere".to_owned(), ..options(Pace::Flood) };
        let error = send(&nowhere, maker(1, &[60]), &AtomicBool::new(false)).unwrap_err();
        assert!(error.to_string().contains("no such interface"), "{error}");
    });
}

#[test]
fn addresses_mtu_and_state_are_set_as_asked_and_a_deleted_pair_is_gone() {
    run_in_netns(|lab| {
        let netlink = lab.netlink();
        netlink.create_veth("va", "vb", 1500).unwrap();
        assert!(!netlink.link("va").unwrap().up);
        netlink.set_up("va", true).unwrap();
        assert!(netlink.link("va").unwrap().up && !netlink.link("va").unwrap().carrier);
        netlink.set_up("vb", true).unwrap();
        let facts = netlink.link("va").unwrap();
        assert!(facts.carrier && facts.mtu == 1500 && facts.mac.is_some(), "{facts:?}");
        netlink.set_mtu("va", 4000).unwrap();
        assert_eq!(netlink.link("va").unwrap().mtu, 4000);

        for (address, bits) in [("10.9.8.7", 24), ("fd00::7", 64)] {
            let address: IpAddr = address.parse().unwrap();
            netlink.add_address("va", address, bits).unwrap();
            assert!(matches!(netlink.add_address("va", address, bits), Err(LinkError::Exists { .. })));
            // An address that is ours can be bound at once.
            std::net::UdpSocket::bind((address, 0)).unwrap();
        }
        netlink.delete("vb").unwrap();
        assert!(matches!(netlink.link("va"), Err(LinkError::NoSuchInterface { .. })));
    });
}

#[test]
fn nothing_is_left_on_the_host_and_the_inside_is_seen_only_inside() {
    if !need_root() {
        return;
    }
    let before = interfaces("/sys/class/net");
    run_in_netns(|lab| {
        let inside = BTreeSet::from(["lo", Lab::SENDER, Lab::RECEIVER].map(str::to_owned));
        if lab.entered().own_sysfs {
            assert_eq!(interfaces("/sys/class/net"), inside);
        }
        // Threads started inside are inside.
        std::thread::scope(|scope| {
            scope.spawn(|| Rtnetlink::open().unwrap().link(Lab::SENDER).unwrap()).join().unwrap();
        });
    });
    assert_eq!(interfaces("/sys/class/net"), before);
    assert!(Rtnetlink::open().unwrap().link(Lab::SENDER).is_err());
}
