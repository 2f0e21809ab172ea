//! Packets built by another library (`pnet_packet`): its checksums and fields against ours.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::{ethernet, icmp, ipv4, ipv6, tcp, udp, util};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::wire::{Transport, dissect};

fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(0, StampClock::FILE),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks::default(),
        gso_size: 0,
        lost_before: 0,
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Udp,
    Tcp,
    Icmp,
}

/// The transport segment, with its checksum by pnet.
fn segment(kind: Kind, ports: (u16, u16), payload: &[u8], src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let header = match kind {
        Kind::Tcp => 20,
        Kind::Udp | Kind::Icmp => 8,
    };
    let mut bytes = vec![0; header];
    bytes.extend_from_slice(payload);
    let len = u16::try_from(bytes.len()).unwrap();
    match kind {
        Kind::Udp => {
            let mut view = udp::MutableUdpPacket::new(&mut bytes).unwrap();
            view.set_source(ports.0);
            view.set_destination(ports.1);
            view.set_length(len);
            let sum = match (src, dst) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => udp::ipv4_checksum(&view.to_immutable(), &src, &dst),
                (IpAddr::V6(src), IpAddr::V6(dst)) => udp::ipv6_checksum(&view.to_immutable(), &src, &dst),
                _ => unreachable!(),
            };
            view.set_checksum(if sum == 0 { 0xffff } else { sum });
        }
        Kind::Tcp => {
            let mut view = tcp::MutableTcpPacket::new(&mut bytes).unwrap();
            view.set_source(ports.0);
            view.set_destination(ports.1);
            view.set_sequence(0x0102_0304);
            view.set_data_offset(5);
            view.set_flags(0x18);
            view.set_window(777);
            let sum = match (src, dst) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => tcp::ipv4_checksum(&view.to_immutable(), &src, &dst),
                (IpAddr::V6(src), IpAddr::V6(dst)) => tcp::ipv6_checksum(&view.to_immutable(), &src, &dst),
                _ => unreachable!(),
            };
            view.set_checksum(sum);
        }
        Kind::Icmp => {
            bytes[0] = if src.is_ipv4() { 8 } else { 128 };
            let sum = match (src, dst) {
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    util::ipv6_checksum(&bytes, 1, &[], &src, &dst, IpNextHeaderProtocols::Icmpv6)
                }
                _ => icmp::checksum(&icmp::IcmpPacket::new(&bytes).unwrap()),
            };
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    bytes
}

fn frame(kind: Kind, src: IpAddr, dst: IpAddr, segment: &[u8]) -> Vec<u8> {
    let ip_header = if src.is_ipv4() { 20 } else { 40 };
    let mut bytes = vec![0; 14 + ip_header];
    bytes.extend_from_slice(segment);
    let protocol = match kind {
        Kind::Udp => IpNextHeaderProtocols::Udp,
        Kind::Tcp => IpNextHeaderProtocols::Tcp,
        Kind::Icmp if src.is_ipv4() => IpNextHeaderProtocols::Icmp,
        Kind::Icmp => IpNextHeaderProtocols::Icmpv6,
    };
    let mut link = ethernet::MutableEthernetPacket::new(&mut bytes).unwrap();
    link.set_ethertype(if src.is_ipv4() { ethernet::EtherTypes::Ipv4 } else { ethernet::EtherTypes::Ipv6 });
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut view = ipv4::MutableIpv4Packet::new(&mut bytes[14..]).unwrap();
            view.set_version(4);
            view.set_header_length(5);
            view.set_total_length(u16::try_from(20 + segment.len()).unwrap());
            view.set_ttl(64);
            view.set_next_level_protocol(protocol);
            view.set_source(src);
            view.set_destination(dst);
            let sum = ipv4::checksum(&view.to_immutable());
            view.set_checksum(sum);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut view = ipv6::MutableIpv6Packet::new(&mut bytes[14..]).unwrap();
            view.set_version(6);
            view.set_payload_length(u16::try_from(segment.len()).unwrap());
            view.set_next_header(protocol);
            view.set_hop_limit(64);
            view.set_source(src);
            view.set_destination(dst);
        }
        _ => unreachable!(),
    }
    bytes
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(a, b)| (Ipv4Addr::from(a).into(), Ipv4Addr::from(b).into())),
        any::<(u128, u128)>().prop_map(|(a, b)| (Ipv6Addr::from(a).into(), Ipv6Addr::from(b).into())),
    ]
}

proptest! {
    #[test]
    fn what_another_library_builds_is_accepted_with_its_fields(
        kind in prop_oneof![Just(Kind::Udp), Just(Kind::Tcp), Just(Kind::Icmp)],
        (src, dst) in addresses(),
        ports in any::<(u16, u16)>(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        flip in any::<(usize, u8)>(),
    ) {
        let segment = segment(kind, ports, &payload, src, dst);
        let mut bytes = frame(kind, src, dst, &segment);
        let dissection = dissect(&packet(&bytes));
        prop_assert_eq!(dissection.verdict, Verdict::ACCEPTED);
        prop_assert_eq!((dissection.network.src(), dissection.network.dst()), (Some(src), Some(dst)));
        match (kind, dissection.transport) {
            (Kind::Udp, Transport::Udp { src_port, dst_port, length }) => {
                prop_assert_eq!((src_port, dst_port), ports);
                prop_assert_eq!(usize::from(length), segment.len());
                prop_assert_eq!(dissection.payload, &payload[..]);
            }
            (Kind::Tcp, Transport::Tcp { src_port, dst_port, seq, flags, window, payload_len, .. }) => {
                prop_assert_eq!((src_port, dst_port), ports);
                prop_assert_eq!((seq, flags, window, payload_len), (0x0102_0304, 0x18, 777, payload.len()));
            }
            (Kind::Icmp, Transport::Icmp { kind: 8, .. } | Transport::Icmpv6 { kind: 128, .. }) => {}
            (_, other) => prop_assert!(false, "{:?}", other),
        }
        // One changed bit of the payload breaks the checksum.
        if !payload.is_empty() {
            let at = bytes.len() - 1 - flip.0 % payload.len();
            bytes[at] ^= 1 << (flip.1 % 8);
            prop_assert_ne!(dissect(&packet(&bytes)).verdict, Verdict::ACCEPTED);
        }
    }
}
