//! Any packets of any link type, with any marks, cut anywhere: dissected and judged without a panic, the parts of a
//! dissection lie within the packet, and a second judge says what the first one said.
//!
//! Input: a byte of choices, then packets: link type, marks, flags, bytes missing at the end (a byte each), length
//! (two bytes, little-endian), bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{FeedConfig, FeedProtocol, Judge, JudgeConfig};
use wiretape::wire::{Network, dissect};

const LINKS: [u16; 10] = [1, 0, 101, 108, 113, 228, 229, 276, 12, 147];

fn packets(data: &[u8]) -> Vec<Packet<'_>> {
    let (mut packets, mut rest) = (Vec::new(), data);
    while let Some(([link, marks, flags, cut, low, high], tail)) = rest.split_first_chunk::<6>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let gso_size = if marks & Marks::GSO == 0 { 0 } else { u16::from(*cut) * 8 };
        // 255: more bytes than were on the wire, as only a file can say.
        let wire_len = if *cut == 255 { length / 2 } else { length + usize::from(*cut) };
        packets.push(Packet {
            bytes,
            wire_len: u32::try_from(wire_len).expect("below 70,000"),
            stamp: Stamp::new(0, StampClock::FILE),
            arrival_ns: 0,
            interface: 0,
            link: LinkType(LINKS.get(usize::from(*link)).copied().unwrap_or(u16::from(*link))),
            flags: EpbFlags(u32::from(*flags) << 2),
            marks: Marks(*marks),
            gso_size,
            lost_before: 0,
        });
    }
    packets
}

fn judges(choices: u8) -> [Judge; 2] {
    let group = IpAddr::V4(Ipv4Addr::new(233, 54, 12, 111));
    let feed = |name: &str, protocol, source| {
        let mut feed = FeedConfig::one_line(name, protocol, group, 26477);
        feed.lines[0].source = source;
        feed
    };
    let all = [
        feed("itch", FeedProtocol::MoldUdp64Itch50, None),
        feed("mold", FeedProtocol::MoldUdp64, Some(IpAddr::V4(Ipv4Addr::new(206, 200, 127, 138)))),
    ];
    let feeds = all.into_iter().enumerate().filter(|(at, _)| choices & (1 << at) != 0).map(|(_, f)| f).collect();
    let config = JudgeConfig { feeds, recognise: choices & 4 != 0, max_streams: usize::from(choices >> 6) };
    [Judge::new(&config), Judge::new(&config)]
}

fuzz_target!(|data: &[u8]| {
    let Some((&choices, data)) = data.split_first() else { return };
    let [mut judge, mut second] = judges(choices);
    for packet in packets(data) {
        let dissection = dissect(&packet);
        let within = packet.bytes.as_ptr_range();
        let part = dissection.payload.as_ptr_range();
        assert!(dissection.payload.is_empty() || (part.start >= within.start && part.end <= within.end));
        if let Network::Ipv4(header) = &dissection.network {
            let _ = (header.src(), header.dst());
        }
        if choices & 8 != 0 && packet.bytes.len().is_multiple_of(7) {
            judge.skip();
            second.skip();
            continue;
        }
        let judgement = judge.judge(&packet);
        assert_ne!(judgement.verdict, Verdict::NOT_JUDGED);
        assert!(Verdict::ALL.iter().any(|(verdict, ..)| *verdict == judgement.verdict), "{judgement:?}");
        // A packet that its headers reject is not accepted by anything above them (a merged one is judged in parts).
        let rejected = dissection.verdict != Verdict::ACCEPTED;
        assert!(!rejected || judgement.verdict != Verdict::ACCEPTED || packet.gso_size != 0);
        assert_eq!(second.judge(&packet), judgement);
    }
    assert_eq!(judge.feeds(), second.feeds());
});
