//! A network namespace with a veth pair, a sender on one end, a ring on the other.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::time::Duration;
use wiretape::capture::af_packet::{Opened, Ring, RingOptions, open};
use wiretape::capture::{Lease, Source, SourceCounts, Take};
use wiretape::packet::{EpbFlags, Loss, Marks, Packet};
use wiretape::sys::packet_socket::PacketSocket;
use wiretape::sys::{clock, netdev, socket_filter};
use wiretape::time::StampClock;

/// Runs `test` on a thread with a fresh network namespace, `rx` and `tx` being two ends of a wire.
/// Skips (or, in CI, fails) without the privilege to make one.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Err(error) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "network namespaces are refused: {error}");
            eprintln!("skipped: no right to make a network namespace ({error})");
            return;
        }
        ip("link set dev lo up");
        make_wire();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn make_wire() {
    ip("link add rx type veth peer name tx");
    for end in ["rx", "tx"] {
        quiet(end);
        ip(&format!("link set dev {end} up"));
    }
}

/// No address of its own, so that the kernel sends nothing that a test does not expect.
pub(crate) fn quiet(name: &str) {
    ip(&format!("link set dev {name} arp off multicast off"));
    ip(&format!("link set dev {name} addrgenmode none"));
}

/// Runs `ip` with these words, in the namespace of the calling thread.
pub(crate) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip (iproute2) is installed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn ifindex(name: &str) -> u32 {
    let found = netdev::LinkQuery::open().unwrap().by_name(name).unwrap();
    found.unwrap_or_else(|| panic!("{name} is there")).ifindex
}

/// Sends whole frames.
pub(crate) struct Sender(PacketSocket);

impl Sender {
    pub(crate) fn on(name: &str) -> Self {
        let socket = PacketSocket::open().unwrap();
        // It only sends.
        socket_filter::attach(socket.as_fd(), &[(6, 0, 0, 0)]).unwrap();
        socket.bind(ifindex(name)).unwrap();
        Self(socket)
    }

    pub(crate) fn send_all(&self, frames: &[Vec<u8>]) {
        for frame in frames {
            self.send(frame);
        }
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        let sent =
            nix::sys::socket::send(self.0.as_fd().as_raw_fd(), frame, nix::sys::socket::MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()));
    }
}

/// What a packet was, kept beyond its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub bytes: Vec<u8>,
    pub wire_len: u32,
    pub stamp_ns: u64,
    pub clock: StampClock,
    pub arrival_ns: u64,
    pub flags: EpbFlags,
    pub marks: Marks,
    pub gso_size: u16,
    pub lost_before: u64,
}

impl From<Packet<'_>> for Kept {
    fn from(p: Packet<'_>) -> Self {
        Self {
            bytes: p.bytes.to_vec(),
            wire_len: p.wire_len,
            stamp_ns: p.stamp.ns,
            clock: p.stamp.clock,
            arrival_ns: p.arrival_ns,
            flags: p.flags,
            marks: p.marks,
            gso_size: p.gso_size,
            lost_before: p.lost_before,
        }
    }
}

/// All that a source gave until it ended.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub packets: Vec<Kept>,
    pub losses: Vec<Loss>,
    pub counts: SourceCounts,
    pub unreadable: u64,
}

/// Opens, or fails the test with the reason in words.
pub(crate) fn opened(options: &RingOptions) -> Opened {
    open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Small rings, polled: tests share two CPUs.
pub(crate) fn options(interface: &str) -> RingOptions {
    RingOptions { spin: false, ring_bytes: 4 << 20, ..RingOptions::new(interface) }
}

/// Takes until `wanted` packets have come, or two seconds have passed.
pub(crate) fn take(ring: &mut Ring, wanted: usize) -> Drained {
    match ring {
        Ring::V2(ring) => take_from(&mut ring.source(), wanted),
        Ring::V3(ring) => take_from(&mut ring.source(), wanted),
    }
}

/// Stops the intake and takes the rest.
pub(crate) fn drain(ring: &mut Ring) -> Drained {
    match ring {
        Ring::V2(ring) => drain_from(&mut ring.source()),
        Ring::V3(ring) => drain_from(&mut ring.source()),
    }
}

fn take_from(source: &mut impl Source, wanted: usize) -> Drained {
    let give_up_ns = clock::monotonic_ns() + 2_000_000_000;
    let mut got = Drained::default();
    while got.packets.len() < wanted && clock::monotonic_ns() < give_up_ns {
        step(source, &mut got);
    }
    got.losses.extend(source.tick());
    got.counts = source.counts();
    got
}

fn drain_from(source: &mut impl Source) -> Drained {
    let mut got = Drained::default();
    source.stop_intake();
    while step(source, &mut got) {}
    got.losses.extend(source.tick());
    got.counts = source.counts();
    got
}

/// False at the end.
fn step(source: &mut impl Source, got: &mut Drained) -> bool {
    match source.take().expect("a ring does not fail") {
        Take::Lease(mut lease) => {
            got.losses.extend(lease.loss());
            let walked = lease.walk(|packet| {
                got.packets.push(packet.into());
                ControlFlow::Continue(())
            });
            got.unreadable += walked.unreadable;
        }
        Take::Idle => source.wait(Duration::from_millis(10)).expect("waiting does not fail"),
        Take::End => return false,
    }
    true
}

/// An Ethernet frame of `len` bytes whose payload says its number.
pub(crate) fn frame(number: u32, len: usize) -> Vec<u8> {
    tagged(&[], 0x88b5, number, len)
}

/// The same with tags (TPID, TCI) between addresses and type.
pub(crate) fn tagged(tags: &[(u16, u16)], ethertype: u16, number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(number.to_be_bytes());
    let mut fill = number as u8;
    while frame.len() < len {
        fill = fill.wrapping_mul(31).wrapping_add(7);
        frame.push(fill);
    }
    frame
}

/// An IPv4 address's place in a list of groups.
pub(crate) fn group(text: &str) -> IpAddr {
    text.parse().unwrap()
}
