//! The file source on files made here byte by byte; `tests/corpus.rs` holds real ones against tshark.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its files has failed")]

mod file_source {
    pub(crate) mod made;
    pub(crate) mod reading;
}

use file_source::made::{Classic, Ng, Order};
use file_source::reading::{Outcome, read_bytes, read_options, read_path};
use proptest::prelude::*;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;
use wiretape::capture::file::{FileOptions, FileSource, by_program};
use wiretape::capture::{Lease as _, Source as _, SourceError, Take};
use wiretape::filter::{GroupPort, for_groups};
use wiretape::packet::LinkType;
use wiretape::time::StampClock;

// ---------------------------------------------------------------- files made here

#[test]
fn classic_pcap_reads_the_same_in_both_orders_and_units() {
    for order in [Order::Little, Order::Big] {
        for (nanos, fraction, ns) in [(false, 123_456, 123_456_000), (true, 123_456_789, 123_456_789)] {
            let mut file = Classic::new(order, nanos, 1);
            file.record(1_700_000_000, fraction, b"hello", 60);
            file.record(1_700_000_001, 0, b"", 0);
            let outcome = read_bytes(&file.bytes);
            assert!(outcome.error.is_none(), "{outcome:?}");
            assert_eq!(outcome.packets.len(), 2);
            assert_eq!(outcome.packets[0].ns, 1_700_000_000_000_000_000 + ns);
            assert_eq!(outcome.packets[0].clock, StampClock::FILE);
            assert_eq!(outcome.packets[0].bytes, b"hello");
            assert_eq!(outcome.packets[0].wire_len, 60);
            assert!(outcome.packets[1].bytes.is_empty(), "a record without bytes is a record");
            assert_eq!(outcome.interfaces.len(), 1);
        }
    }
}

#[test]
fn the_fcs_bits_of_the_link_type_field_become_packet_flags() {
    let mut file = Classic::new(Order::Little, false, 0x2400_0001);
    file.record(1, 0, b"12345678", 8);
    let outcome = read_bytes(&file.bytes);
    assert_eq!(outcome.packets[0].link, LinkType::ETHERNET);
    assert_eq!(outcome.packets[0].flags.fcs_len(), 4);
}

#[test]
fn sections_and_interfaces_keep_their_own_link_type_and_resolution() {
    for order in [Order::Little, Order::Big] {
        let mut file = Ng::new(order);
        file.section();
        file.interface(1, 0, &[]); // microseconds by default
        file.interface(101, 0, &[(9, &[9]), (2, b"nano0")]);
        file.enhanced(0, 1_500_000, b"one", 3, &[]);
        file.enhanced(1, 1_500_000_001, b"two", 3, &[]);
        let other = if order == Order::Little { Order::Big } else { Order::Little };
        file.order = other;
        file.section();
        file.interface(113, 0, &[(9, &[0x8a])]); // 1/1024 s
        file.interface(1, 0, &[(9, &[12]), (14, &file.order.u64(10))]); // picoseconds, 10 s later
        file.enhanced(0, 1536, b"three", 5, &[]);
        file.enhanced(1, 1_000_000_001_999, b"four", 4, &[]);
        let outcome = read_bytes(&file.bytes);
        assert!(outcome.error.is_none(), "{outcome:?}");
        let seen: Vec<_> = outcome.packets.iter().map(|p| (p.interface, p.link.0, p.ns)).collect();
        assert_eq!(
            seen,
            [(0, 1, 1_500_000_000), (1, 101, 1_500_000_001), (2, 113, 1_500_000_000), (3, 1, 11_000_000_001)]
        );
        assert_eq!(outcome.interfaces.len(), 4);
        assert_eq!(outcome.interfaces[1].name, "nano0");
    }
}

#[test]
fn flags_drop_counts_simple_and_obsolete_packets_are_understood() {
    for order in [Order::Little, Order::Big] {
        let mut file = Ng::new(order);
        file.section();
        file.interface(1, 4, &[]);
        let (flags, drops) = (order.u32(0x85), order.u64(7));
        file.enhanced(0, 5, b"abcd", 9, &[(1, b"a comment"), (2, &flags), (4, &drops), (0x8757, b"local")]);
        file.simple(b"efgh", 6);
        file.obsolete(0, 3, 1_000_000, b"ijk", 3);
        file.block(0x8057_5401, b"local");
        file.block(4, &[0; 8]);
        let outcome = read_bytes(&file.bytes);
        assert!(outcome.error.is_none(), "{outcome:?}");
        let [enhanced, simple, obsolete] = &outcome.packets[..] else { panic!("{outcome:?}") };
        assert_eq!((enhanced.flags.0, enhanced.lost_before, enhanced.wire_len), (0x85, 7, 9));
        assert_eq!((&simple.bytes[..], simple.wire_len, simple.clock), (&b"efgh"[..], 6, StampClock::NONE));
        assert_eq!((&obsolete.bytes[..], obsolete.lost_before, obsolete.ns), (&b"ijk"[..], 3, 1_000_000_000));
    }
}

#[test]
fn a_stamp_beyond_what_can_be_told_saturates_and_is_counted() {
    let mut file = Ng::new(Order::Little);
    file.section();
    file.interface(1, 0, &[(9, &[0])]); // whole seconds
    file.interface(1, 0, &[(14, &(-5_i64).to_le_bytes())]);
    file.enhanced(0, u64::MAX, b"x", 1, &[]);
    file.enhanced(1, 1, b"x", 1, &[]);
    let outcome = read_bytes(&file.bytes);
    assert_eq!(outcome.packets[0].ns, u64::MAX);
    assert_eq!(outcome.packets[1].ns, 0);
    assert_eq!(outcome.out_of_range, 2);
}

#[test]
fn a_filter_and_a_snap_length_apply_to_files() {
    let mut file = Classic::new(Order::Little, false, 1);
    for number in 0..10_000_u32 {
        file.record(number, 0, &number.to_be_bytes().repeat(20), 80);
    }
    let options = FileOptions {
        filter: Some(Box::new(|packet| {
            packet.bytes.len() == 80 && packet.stamp.ns.is_multiple_of(4_000_000_000)
        })),
        snaplen: 6,
        ..FileOptions::default()
    };
    let outcome = read_options(&file.bytes, options);
    assert_eq!((outcome.counts.received, outcome.counts.filtered), (2_500, 7_500));
    assert_eq!(outcome.packets.len(), 2_500);
    assert!(outcome.packets.iter().all(|packet| packet.bytes.len() == 6 && packet.wire_len == 80));
    assert_eq!(outcome.interfaces[0].snaplen, 6);
}

#[test]
fn a_group_program_keeps_on_a_file_what_goes_to_the_group() {
    let group = GroupPort { group: "239.1.2.3".parse().unwrap(), port: None, source: None };
    let program = for_groups(&[group]).unwrap();
    let frame = |last: u8| {
        let mut frame = vec![0; 60];
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[16..18].copy_from_slice(&[0, 46]);
        frame[23] = 17;
        frame[30..34].copy_from_slice(&[239, 1, 2, last]);
        frame
    };
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, &frame(3), 60);
    file.record(2, 0, &frame(4), 60);
    let options = FileOptions { filter: Some(by_program(program)), ..FileOptions::default() };
    let outcome = read_options(&file.bytes, options);
    assert_eq!((outcome.counts.received, outcome.counts.filtered), (1, 1));
    assert_eq!(outcome.packets[0].ns, 1_000_000_000);
}

#[test]
fn the_first_link_type_is_known_before_the_first_packet_is_taken() {
    let mut file = Ng::new(Order::Big);
    file.section();
    file.interface(113, 0, &[]);
    file.enhanced(0, 1, b"x", 1, &[]);
    let (link, outcome) = file_source::reading::first_link_then_read(&file.bytes);
    assert_eq!(link, Some(LinkType::LINUX_SLL));
    assert_eq!(outcome.packets.len(), 1);
}

#[test]
fn a_capture_without_packets_still_names_its_interface() {
    let outcome = read_bytes(&Classic::new(Order::Little, false, 1).bytes);
    assert!(outcome.error.is_none() && outcome.packets.is_empty());
    assert_eq!(outcome.interfaces.len(), 1);
}

#[test]
fn a_record_larger_than_a_batch_is_read_whole() {
    let big = vec![7_u8; 262_144];
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, b"before", 6);
    file.record(2, 0, &big, 262_144);
    file.record(3, 0, b"after", 5);
    let lengths: Vec<_> = read_bytes(&file.bytes).packets.iter().map(|packet| packet.bytes.len()).collect();
    assert_eq!(lengths, [6, 262_144, 5]);
}

#[test]
fn more_captured_than_on_the_wire_is_kept_and_left_to_validation() {
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, b"abcdef", 4);
    let outcome = read_bytes(&file.bytes);
    assert!(outcome.error.is_none());
    assert_eq!((outcome.packets[0].bytes.len(), outcome.packets[0].wire_len), (6, 4));
}

#[test]
fn a_pipe_hands_out_what_has_come_and_never_blocks_the_taker() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let mut source = FileSource::open(FileOptions { path, ..FileOptions::default() }).unwrap();
    drop(reader);
    assert!(matches!(source.take(), Ok(Take::Idle)), "nothing has come yet");
    source.wait(Duration::from_millis(1)).unwrap();
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, b"first", 5);
    let whole = file.bytes.len();
    file.record(2, 0, b"second", 6);
    writer.write_all(&file.bytes[..whole + 3]).unwrap();
    let Ok(Take::Lease(mut lease)) = source.take() else { panic!("the first record has come") };
    assert_eq!(lease.walk(|_| ControlFlow::Continue(())).packets, 1);
    assert!(matches!(source.take(), Ok(Take::Idle)), "the second has not come wholly");
    writer.write_all(&file.bytes[whole + 3..]).unwrap();
    drop(writer);
    let rest = file_source::reading::drain_after(source, lease);
    assert!(rest.error.is_none());
    assert_eq!(rest.packets[0].bytes, b"second");
}

#[test]
fn stopping_the_intake_ends_the_file() {
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, b"first", 5);
    let (mut source, _kept) = file_source::reading::open(&file.bytes, FileOptions::default());
    source.stop_intake();
    assert!(matches!(source.take(), Ok(Take::End)));
}

// ---------------------------------------------------------------- damage

fn damaged_at(outcome: &Outcome) -> Option<u64> {
    match &outcome.error {
        Some(SourceError::Damaged { offset, .. }) => Some(*offset),
        _ => None,
    }
}

#[test]
fn an_impossible_length_ends_the_file_after_the_records_before_it() {
    let mut file = Classic::new(Order::Little, false, 1);
    file.record(1, 0, b"good", 4);
    let at = file.bytes.len() as u64;
    file.raw_record_header(2, 0, 262_145, 262_145);
    let outcome = read_bytes(&file.bytes);
    assert_eq!((outcome.packets.len(), damaged_at(&outcome)), (1, Some(at)));
    let text = outcome.error.unwrap().to_string();
    assert!(text.contains(&format!("damaged at byte {at}: record of 262145 captured bytes")), "{text}");
}

#[test]
fn a_packet_of_an_interface_never_described_is_damage_at_its_block() {
    let mut file = Ng::new(Order::Little);
    file.section();
    file.interface(1, 0, &[]);
    file.enhanced(0, 1, b"x", 1, &[]);
    let at = file.bytes.len() as u64;
    file.enhanced(1, 1, b"x", 1, &[]);
    let outcome = read_bytes(&file.bytes);
    assert_eq!((outcome.packets.len(), damaged_at(&outcome)), (1, Some(at)));
}

#[test]
fn what_is_no_capture_file_is_named_with_the_mend() {
    let text = |bytes: &[u8]| read_bytes(bytes).error.unwrap().to_string();
    assert!(text(&[0x1f, 0x8b, 8, 0, 0]).contains("gunzip"));
    assert!(text(&[0x28, 0xb5, 0x2f, 0xfd]).contains("zstd"));
    assert!(text(b"#!/bin/sh\n").contains("neither pcap nor pcapng"));
    assert!(text(b"").contains("is empty"));
    assert!(text(&[0xd4, 0xc3]).contains("ends after 2"));
    let missing = read_path(Path::new("/nonexistent/file.pcap")).error.unwrap();
    let text = missing.to_string();
    assert!(text.contains("/nonexistent/file.pcap") && text.contains("No such file"), "{text}");
}

/// A classic file and a pcapng file, with the offset behind each whole record, and of where an end is no damage.
fn good_files() -> Vec<(Vec<u8>, Vec<usize>, Vec<usize>)> {
    let mut classic = Classic::new(Order::Big, true, 1);
    let mut ends = vec![];
    for length in [0, 1, 4, 7, 30] {
        classic.record(1, length, &vec![9; length as usize], length);
        ends.push(classic.bytes.len());
    }
    let mut clean = ends.clone();
    clean.push(24);
    let mut ng = Ng::new(Order::Little);
    let (mut ng_ends, mut ng_clean) = (vec![], vec![]);
    ng.section();
    ng_clean.push(ng.bytes.len());
    ng.interface(1, 0, &[(2, b"eth0")]);
    ng_clean.push(ng.bytes.len());
    for length in [0_usize, 3, 8] {
        ng.enhanced(0, 77, &vec![1; length], 8, &[(4, &[0; 8])]);
        ng_ends.push(ng.bytes.len());
        ng.simple(&vec![2; length], u32::try_from(length).unwrap());
        ng_ends.push(ng.bytes.len());
    }
    ng_clean.extend(&ng_ends);
    vec![(classic.bytes, ends, clean), (ng.bytes, ng_ends, ng_clean)]
}

#[test]
fn truncation_at_every_byte_keeps_exactly_the_whole_records_before_it() {
    for (bytes, ends, clean) in good_files() {
        for cut in 1..=bytes.len() {
            let outcome = read_bytes(&bytes[..cut]);
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(outcome.packets.len(), whole, "cut at {cut}");
            let last_clean = clean.iter().copied().filter(|&end| end <= cut).max().unwrap_or(0);
            let expected = (last_clean != cut).then_some(last_clean as u64);
            assert_eq!(damaged_at(&outcome), expected, "cut at {cut}: {:?}", outcome.error);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(magic in 0_usize..5, mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let magics: [&[u8]; 5] = [&[], &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], &[0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0], &[0xa1, 0xb2, 0xcd, 0x34]];
        bytes.splice(0..0, magics[magic].iter().copied());
        let outcome = read_bytes(&bytes);
        prop_assert!(outcome.packets.iter().map(|packet| packet.bytes.len()).sum::<usize>() <= bytes.len());
    }

    #[test]
    fn mutated_files_never_panic_and_keep_what_lies_before_the_mutation(
        which in 0_usize..2, at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let (mut bytes, ends, _) = good_files().swap_remove(which);
        let at = at.index(bytes.len());
        bytes[at] = value;
        let outcome = read_bytes(&bytes);
        let before = ends.iter().filter(|&&end| end <= at).count();
        // A changed header may change what every record means; behind it, what came before stands.
        if at >= 100 {
            prop_assert!(outcome.packets.len() >= before, "{} of {before} left", outcome.packets.len());
        }
        if let Some(offset) = damaged_at(&outcome) {
            prop_assert!(offset <= bytes.len() as u64);
        }
    }
}
