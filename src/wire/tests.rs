//! Tables of real and hand-made bytes, and claims over mutated packets.
use super::*;
use crate::packet::{EpbFlags, LinkType};
use crate::time::{Stamp, StampClock};
use proptest::prelude::*;

pub(crate) fn packet(bytes: &[u8], link: LinkType) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(0, StampClock::FILE),
        arrival_ns: 0,
        interface: 0,
        link,
        flags: EpbFlags::NONE,
        marks: Marks::default(),
        gso_size: 0,
        lost_before: 0,
    }
}

fn verdict(bytes: &[u8]) -> Verdict {
    dissect(&packet(bytes, LinkType::ETHERNET)).verdict
}

fn frame(src: &str, dst: &str, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let dst: std::net::SocketAddr = dst.parse().unwrap();
    let frame = build::UdpFrame {
        src_mac: [2, 0, 0, 0, 0, 1],
        dst_mac: build::multicast_mac(dst.ip()),
        vlan,
        src: src.parse().unwrap(),
        dst,
        ttl: 16,
    };
    let mut out = Vec::new();
    build::udp_frame(&mut out, &frame, payload).unwrap();
    out
}

fn v4() -> Vec<u8> {
    frame("10.0.0.1:4000", "239.1.2.3:5000", None, b"hello, tape")
}
fn v6() -> Vec<u8> {
    frame("[fd00::1]:4000", "[ff15::7]:5000", Some(0x6005), b"hello, tape!")
}

/// A real ARP request, as it stood on a cable network.
const ARP_REQUEST: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x07, 0x0d, 0xaf, 0xf4, 0x54, 0x08, 0x06, 0x00, 0x01, 0x08,
    0x00, 0x06, 0x04, 0x00, 0x01, 0x00, 0x07, 0x0d, 0xaf, 0xf4, 0x54, 0x18, 0xa6, 0xac, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x18, 0xa6, 0xad, 0x9f,
];

#[test]
fn an_arp_request_is_read_and_one_byte_less_is_bad() {
    let dissection = dissect(&packet(ARP_REQUEST, LinkType::ETHERNET));
    assert_eq!(dissection.verdict, Verdict::ACCEPTED);
    let Network::Arp(arp) = dissection.network else { panic!("no ARP: {dissection:?}") };
    assert_eq!(arp.sender_ip().unwrap().to_string(), "24.166.172.1");
    assert_eq!(arp.target_ip().unwrap().to_string(), "24.166.173.159");
    assert_eq!(arp.operation(), 1);
    assert_eq!(verdict(&ARP_REQUEST[..ARP_REQUEST.len() - 1]), Verdict::ARP_BAD);
}

#[test]
fn a_sound_udp_frame_is_accepted_with_its_headers() {
    for (bytes, dst, tags) in [(v4(), "239.1.2.3", 0), (v6(), "ff15::7", 1)] {
        let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
        assert_eq!(dissection.verdict, Verdict::ACCEPTED);
        assert_eq!(dissection.network.dst().unwrap().to_string(), dst);
        assert_eq!(dissection.vlans.len(), tags);
        assert!(dissection.payload.starts_with(b"hello, tape"));
        assert!(matches!(dissection.transport, Transport::Udp { src_port: 4000, dst_port: 5000, .. }));
    }
    assert_eq!(dissect(&packet(&v6(), LinkType::ETHERNET)).vlans.iter().next().unwrap().vid(), 5);
}

#[test]
fn padding_a_trailer_and_an_fcs_behind_the_packet_are_no_errors() {
    for extra in [1, 4, 18, 60] {
        for bytes in [v4(), v6()] {
            let len = dissect(&packet(&bytes, LinkType::ETHERNET)).payload.len();
            let mut longer = bytes;
            longer.extend(std::iter::repeat_n(0xa5, extra));
            let dissection = dissect(&packet(&longer, LinkType::ETHERNET));
            assert_eq!((dissection.verdict, dissection.payload.len()), (Verdict::ACCEPTED, len));
        }
    }
}

#[test]
fn every_truncation_on_the_wire_is_rejected_and_every_snap_is_not() {
    for bytes in [v4(), v6()] {
        for len in 0..bytes.len() {
            let mut short = packet(&bytes[..len], LinkType::ETHERNET);
            assert_ne!(dissect(&short).verdict, Verdict::ACCEPTED, "cut at {len} of {}", bytes.len());
            short.wire_len = u32::try_from(bytes.len()).unwrap();
            let snapped = dissect(&short);
            assert_eq!(snapped.verdict, Verdict::ACCEPTED, "snapped at {len}");
            assert!(snapped.findings.has(Findings::SNAPPED));
        }
    }
}

/// One byte changed, and what that must be called.
#[test]
fn a_changed_byte_is_called_by_its_name() {
    let ip = 14;
    let udp = 34;
    for (at, value, expected) in [
        (ip, 0x55, Verdict::IPV4_BAD_VERSION),
        (ip, 0x44, Verdict::IPV4_BAD_HEADER_LENGTH),
        (ip + 8, 0xff, Verdict::IPV4_BAD_CHECKSUM),
        (udp, 0x77, Verdict::UDP_BAD_CHECKSUM),
        (udp + 5, 7, Verdict::UDP_BAD_LENGTH),
        (udp + 5, 200, Verdict::UDP_BAD_LENGTH),
        (udp + 9, 0, Verdict::UDP_BAD_CHECKSUM),
    ] {
        let mut bytes = v4();
        bytes[at] = value;
        assert_eq!(verdict(&bytes), expected, "byte {at} = {value:#x}");
    }
    for (at, value, expected) in [
        (18, 0x50, Verdict::IPV6_BAD_VERSION),
        (18 + 4, 0xff, Verdict::IPV6_BAD_PAYLOAD_LENGTH),
        (18 + 24, 0xfe, Verdict::UDP_BAD_CHECKSUM),
    ] {
        let mut bytes = v6();
        bytes[at] = value;
        assert_eq!(verdict(&bytes), expected, "byte {at} = {value:#x}");
    }
}

/// Rewrites the IPv4 header checksum of an untagged frame.
fn reseal(bytes: &mut [u8]) {
    let end = 14 + usize::from(bytes[14] & 15) * 4;
    bytes[24..26].fill(0);
    let sum = Sum::ZERO.bytes(&bytes[14..end]).checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn a_total_length_beyond_the_frame_or_below_the_header_is_bad() {
    for total in [0_u16, 19, 40, 1500] {
        let mut bytes = v4();
        bytes[16..18].copy_from_slice(&total.to_be_bytes());
        reseal(&mut bytes);
        assert_eq!(verdict(&bytes), Verdict::IPV4_BAD_TOTAL_LENGTH, "{total}");
    }
}

#[test]
fn no_udp_checksum_is_sound_over_ipv4_and_not_over_ipv6() {
    let mut bytes = v4();
    bytes[40..42].fill(0);
    assert_eq!(verdict(&bytes), Verdict::ACCEPTED);
    let mut bytes = v6();
    bytes[64..66].fill(0);
    assert_eq!(verdict(&bytes), Verdict::UDP_BAD_CHECKSUM);
}

#[test]
fn a_udp_checksum_of_the_pseudo_header_alone_is_no_fault_but_is_said() {
    // Addresses, protocol and length of a real multicast sender's heartbeat, which went on the wire of a capture with 0x7e14.
    let mut bytes = frame("26.90.130.110:58854", "224.67.0.199:16642", None, &[7; 40]);
    bytes[40..42].copy_from_slice(&[0x7e, 0x14]);
    let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
    assert_eq!(dissection.verdict, Verdict::ACCEPTED);
    assert_eq!(dissection.findings, Findings(Findings::CHECKSUM_PARTIAL));
    bytes[41] = 0x15;
    let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
    assert_eq!((dissection.verdict, dissection.findings), (Verdict::UDP_BAD_CHECKSUM, Findings::NONE));
}

#[test]
fn checksums_left_to_a_device_and_merged_datagrams_are_not_judged() {
    for mark in [Marks::CSUM_NOT_READY, Marks::GSO] {
        let mut bytes = v4();
        bytes[40] ^= 0x55;
        let mut marked = packet(&bytes, LinkType::ETHERNET);
        assert_eq!(dissect(&marked).verdict, Verdict::UDP_BAD_CHECKSUM);
        marked.marks = Marks(mark);
        assert_eq!(dissect(&marked).verdict, Verdict::ACCEPTED);
    }
    // A merged packet whose UDP length is that of one part: the IP payload decides.
    let mut bytes = v4();
    bytes[38..40].copy_from_slice(&9_u16.to_be_bytes());
    let mut merged = packet(&bytes, LinkType::ETHERNET);
    merged.marks = Marks(Marks::GSO);
    assert_eq!(dissect(&merged).payload, b"hello, tape");
}

#[test]
fn fragments_are_found_and_nothing_above_them_is_judged() {
    for (word, is_first) in [(0x2000_u16, true), (0x0010, false), (0x2010, false)] {
        let mut bytes = v4();
        bytes[20..22].copy_from_slice(&word.to_be_bytes());
        bytes[40] ^= 0xff;
        reseal(&mut bytes);
        let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
        assert_eq!(dissection.verdict, Verdict::ACCEPTED);
        assert!(dissection.findings.has(Findings::FRAGMENT));
        assert_eq!(matches!(dissection.transport, Transport::Udp { .. }), is_first);
    }
}

#[test]
fn options_are_walked_and_one_past_the_header_is_bad() {
    for (option, expected) in [
        ([1, 1, 1, 0], Verdict::ACCEPTED),
        ([0x94, 4, 0, 0], Verdict::ACCEPTED),
        ([0x94, 5, 0, 0], Verdict::IPV4_BAD_OPTIONS),
        ([0x94, 1, 0, 0], Verdict::IPV4_BAD_OPTIONS),
        ([1, 1, 1, 0x94], Verdict::IPV4_BAD_OPTIONS),
    ] {
        let mut bytes = v4();
        bytes.splice(34..34, option);
        bytes[14] = 0x46;
        bytes[17] += 4;
        reseal(&mut bytes);
        assert_eq!(verdict(&bytes), expected, "{option:?}");
    }
}

/// Puts extension headers between an untagged IPv6 header and its UDP datagram.
fn with_extensions(first: u8, extensions: &[u8]) -> Vec<u8> {
    let mut bytes = frame("[fd00::1]:4000", "[ff15::7]:5000", None, b"hello");
    bytes[20] = first;
    bytes[19] += u8::try_from(extensions.len()).unwrap();
    bytes.splice(54..54, extensions.iter().copied());
    bytes
}

#[test]
fn extension_headers_are_followed_and_bounded() {
    let pad = [17, 0, 1, 4, 0, 0, 0, 0];
    let accepted = [
        (0, pad.to_vec()),
        (60, pad.to_vec()),
        (44, vec![17, 0, 0, 0, 1, 2, 3, 4]),
        (51, vec![17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
        (43, vec![17, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (first, extension) in accepted {
        let dissection = dissect(&packet(&with_extensions(first, &extension), LinkType::ETHERNET)).verdict;
        assert_eq!(dissection, Verdict::ACCEPTED, "extension {first}");
    }
    let mut past = pad;
    past[1] = 200;
    assert_eq!(verdict(&with_extensions(0, &past)), Verdict::IPV6_BAD_EXTENSION);
    let mut option_past = pad;
    option_past[3] = 5;
    assert_eq!(verdict(&with_extensions(0, &option_past)), Verdict::IPV6_BAD_EXTENSION);
    let mut many = [60, 0, 1, 4, 0, 0, 0, 0].repeat(ipv6::MAX_EXTENSIONS + 1);
    let last = many.len() - 8;
    many[last] = 17;
    assert_eq!(verdict(&with_extensions(60, &many)), Verdict::IPV6_BAD_EXTENSION);
    assert_eq!(verdict(&with_extensions(60, &many[8..])), Verdict::ACCEPTED);
}

#[test]
fn an_ipv6_fragment_is_found() {
    let bytes = with_extensions(44, &[17, 0, 0, 1, 1, 2, 3, 4]);
    let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
    assert!(dissection.findings.has(Findings::FRAGMENT));
    assert_eq!(dissection.verdict, Verdict::ACCEPTED);
}

#[test]
fn tags_and_labels_are_passed_and_bounded() {
    let inner = v4();
    let tagged = |count: usize, tpid: u16| {
        let mut bytes = inner.clone();
        let tag = [tpid.to_be_bytes(), [0, 7]].concat().repeat(count);
        bytes.splice(12..12, tag);
        bytes
    };
    for tpid in [vlan::TPID_CTAG, vlan::TPID_STAG, vlan::TPID_OLD_QINQ] {
        for count in 0..=vlan::MAX_TAGS {
            let bytes = tagged(count, tpid);
            let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
            assert_eq!((dissection.verdict, dissection.vlans.len()), (Verdict::ACCEPTED, count));
            assert_eq!(dissection.payload, b"hello, tape");
        }
    }
    assert_eq!(verdict(&tagged(vlan::MAX_TAGS + 1, 0x8100)), Verdict::TOO_MANY_TAGS);
    assert_eq!(verdict(&tagged(1, 0x8100)[..16]), Verdict::VLAN_TRUNCATED);

    let labelled = |count: usize| {
        let mut bytes = inner.clone();
        let mut labels = [0, 1, 0, 64].repeat(count);
        labels[4 * count - 2] |= 1;
        bytes.splice(12..14, [vec![0x88, 0x47], labels].concat());
        bytes
    };
    let bytes = labelled(3);
    let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
    assert_eq!((dissection.verdict, dissection.mpls_labels), (Verdict::ACCEPTED, 3));
    assert_eq!(dissection.payload, b"hello, tape");
    assert_eq!(verdict(&labelled(17)), Verdict::TOO_MANY_TAGS);
    assert_eq!(verdict(&labelled(3)[..20]), Verdict::MPLS_TRUNCATED);
}

#[test]
fn an_802_3_frame_and_an_unknown_ethertype_are_opaque() {
    let mut bytes = vec![1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3];
    bytes.resize(60, 0);
    let dissection = dissect(&packet(&bytes, LinkType::ETHERNET));
    assert_eq!(dissection.verdict, Verdict::ACCEPTED);
    assert!(matches!(dissection.network, Network::Other(38)));
    bytes[12..14].copy_from_slice(&[0x88, 0xf7]);
    assert!(matches!(dissect(&packet(&bytes, LinkType::ETHERNET)).network, Network::Other(0x88f7)));
}

#[test]
fn every_link_type_leads_to_the_same_datagram() {
    let ip = v4()[14..].to_vec();
    let with = |head: &[u8]| [head, &ip].concat();
    let sll = [0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
    let sll2 = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    for (link, bytes) in [
        (LinkType::RAW, with(&[])),
        (LinkType::IPV4, with(&[])),
        (LinkType::NULL, with(&[2, 0, 0, 0])),
        (LinkType::NULL, with(&[0, 0, 0, 2])),
        (LinkType::LOOP, with(&[0, 0, 0, 2])),
        (LinkType::LINUX_SLL, with(&sll)),
        (LinkType::LINUX_SLL2, with(&sll2)),
    ] {
        let dissection = dissect(&packet(&bytes, link));
        assert_eq!(
            (dissection.verdict, dissection.payload),
            (Verdict::ACCEPTED, &b"hello, tape"[..]),
            "{link:?}"
        );
    }
    let unknown = dissect(&packet(&ip, LinkType(147)));
    assert_eq!(unknown.verdict, Verdict::ACCEPTED);
    assert!(matches!(unknown.network, Network::Other(0)));
}

#[test]
fn more_bytes_than_the_record_says_is_a_verdict_of_its_own() {
    let bytes = v4();
    let mut odd = packet(&bytes, LinkType::ETHERNET);
    odd.wire_len -= 1;
    assert_eq!(dissect(&odd).verdict, Verdict::LENGTH_OVER_WIRE);
}

#[test]
fn a_frame_that_cannot_be_built_is_refused() {
    let frame = build::UdpFrame {
        src_mac: [0; 6],
        dst_mac: [0; 6],
        vlan: None,
        src: "1.2.3.4:1".parse().unwrap(),
        dst: "[::1]:1".parse().unwrap(),
        ttl: 1,
    };
    let mut out = Vec::new();
    assert!(build::udp_frame(&mut out, &frame, b"").is_err());
    let same = build::UdpFrame { dst: "1.2.3.5:1".parse().unwrap(), ..frame };
    assert!(build::udp_frame(&mut out, &same, &vec![0; 65_508]).is_err());
    assert!(out.is_empty());
    assert!(build::udp_frame(&mut out, &same, &vec![0; 65_507]).is_ok());
}

const LINKS: [LinkType; 9] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType(9999),
];

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), link in 0_usize..9,
                                wire in any::<u16>(), marks in any::<u8>()) {
        let mut packet = packet(&bytes, LINKS[link]);
        packet.wire_len = u32::from(wire);
        packet.marks = Marks(marks);
        let dissection = dissect(&packet);
        prop_assert!(dissection.payload.len() <= bytes.len());
        prop_assert!(dissection.payload_on_wire >= dissection.payload.len());
    }

    #[test]
    fn mutated_packets_never_panic(which in 0_usize..4, at in proptest::collection::vec((0_usize..120, any::<u8>()), 1..6),
                                   keep in 0_usize..140) {
        let mut bytes = match which {
            0 => v4(),
            1 => v6(),
            2 => with_extensions(0, &[43, 0, 1, 4, 0, 0, 0, 0, 17, 2, 4, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7]),
            _ => ARP_REQUEST.to_vec(),
        };
        for (at, value) in at {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(keep);
        dissect(&packet(&bytes, LinkType::ETHERNET));
    }

    #[test]
    fn one_flipped_bit_of_headers_or_payload_is_always_caught(bit in (14_usize * 8)..(14 + 20 + 8 + 11) * 8) {
        let mut bytes = v4();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(verdict(&bytes), Verdict::ACCEPTED);
    }
}
