//! On a real interface pair in a network namespace of its own, which goes with the test's thread.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod filter_common;

use filter_common::{is_root, missing};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use wiretape::filter::{GroupPort, Insn, Program, for_groups, op};
use wiretape::sys::libpcap::Libpcap;
use wiretape::sys::socket_filter::attach_filter;

/// Runs `test` on a thread with its own namespace.
fn in_own_namespace(test: fn()) {
    let thread = std::thread::spawn(move || {
        // Processes started by this thread are in its namespace too.
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return missing("right to make a network namespace");
        }
        for line in [
            "link add wt-a type veth peer name wt-b",
            "link set wt-a up",
            "link set wt-b up",
            "addr add 10.99.0.1/24 dev wt-a",
            "route add 239.0.0.0/8 dev wt-a",
        ] {
            match Command::new("ip").args(line.split(' ')).status() {
                Ok(status) => assert!(status.success(), "ip {line}"),
                Err(_) => return missing("ip (iproute2)"),
            }
        }
        test();
    });
    thread.join().unwrap();
}

fn index_of(interface: &str) -> usize {
    usize::try_from(nix::net::if_::if_nametoindex(interface).unwrap()).unwrap()
}

fn attached(program: &Program) -> std::os::fd::OwnedFd {
    let all = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_NONBLOCK, all).unwrap();
    let insns: Vec<_> = program.insns().iter().map(|&insn| insn.into()).collect();
    attach_filter(socket.as_fd(), &insns).unwrap();
    socket
}

/// The frames that came in on `interface`.
fn received(socket: &impl AsRawFd, interface: &str) -> Vec<Vec<u8>> {
    let (index, mut buffer, mut frames) = (index_of(interface), [0; 2048], Vec::new());
    loop {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((len, from)) if from.unwrap().ifindex() == index => frames.push(buffer[..len].to_vec()),
            Ok(_) => {}
            Err(Errno::EAGAIN) => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An address of `wt-a` to send frames to: that of a datagram seen leaving it.
fn way_out() -> LinkAddr {
    let everything = attached(&Program::new(vec![Insn::new(op::RET, 64)]).unwrap());
    let sender = UdpSocket::bind((Ipv4Addr::new(10, 99, 0, 1), 0)).unwrap();
    sender.send_to(b"x", (Ipv4Addr::new(239, 2, 2, 2), 1)).unwrap();
    let (index, mut buffer) = (index_of("wt-a"), [0; 2048]);
    loop {
        let (_, from) = recvfrom::<LinkAddr>(everything.as_raw_fd(), &mut buffer).unwrap();
        if let Some(from) = from.filter(|from| from.ifindex() == index) {
            return from;
        }
    }
}

/// Datagrams to 239.1.1.1, ports 5000 to 5002, tagged with VLAN 5 on the wire. Returns once the last one
/// has come in, so that every socket has had the first two.
fn send_tagged() {
    let witness = attached(&Program::new(vec![Insn::new(op::RET, 64)]).unwrap());
    let way_out = way_out();
    for port in [5000_u16, 5001, 5002] {
        let mut frame = vec![1, 0, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5];
        frame.extend([0x08, 0, 0x45, 0, 0, 34, 0, 0, 0, 0, 9, 17, 0, 0, 10, 99, 0, 1, 239, 1, 1, 1, 0, 9]);
        frame.extend(port.to_be_bytes());
        frame.extend(*b"\0\x0e\0\0tagged");
        sendto(witness.as_raw_fd(), &frame, &way_out, MsgFlags::empty()).unwrap();
    }
    for _ in 0..2000 {
        if received(&witness, "wt-b").iter().any(|frame| frame.get(36..38) == Some(&5002_u16.to_be_bytes())) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("the frames never came in on wt-b");
}

#[test]
fn a_group_is_found_when_the_kernel_has_stripped_its_tag() {
    if !is_root() {
        return;
    }
    in_own_namespace(|| {
        let group = GroupPort { group: Ipv4Addr::new(239, 1, 1, 1).into(), port: Some(5000), source: None };
        let socket = attached(&for_groups(&[group]).unwrap());
        send_tagged();
        let frames = received(&socket, "wt-b");
        assert_eq!(frames.len(), 1, "one of them has the port");
        assert_eq!(frames[0][12..14], [0x08, 0x00], "the tag is not in the bytes");
        assert_eq!(frames[0][36..38], 5000_u16.to_be_bytes());
    });
}

#[test]
fn only_a_live_program_finds_vlan_frames() {
    let Ok(_) = Libpcap::load() else { return missing("libpcap") };
    if !is_root() {
        return;
    }
    in_own_namespace(|| {
        let expression = "vlan and udp port 5000";
        let libpcap = Libpcap::load().unwrap();
        let live = Program::try_from(libpcap.compile_live("wt-b", 0, expression).unwrap()).unwrap();
        let dead = Program::try_from(libpcap.compile_dead(1, 0, expression).unwrap()).unwrap();
        eprintln!("{expression}: {} instructions dead, {} live", dead.insns().len(), live.insns().len());
        assert!(dead.insns().len() < live.insns().len());
        let (live, dead) = (attached(&live), attached(&dead));
        send_tagged();
        assert_eq!(received(&live, "wt-b").len(), 1);
        assert_eq!(received(&dead, "wt-b").len(), 0, "silently missed");
    });
}
