//! Real captures of feeds that are known by their layout alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod feed_captures;

use feed_captures::{each_packet, each_udp, judge_of, shared_captures};
use wiretape::feed::FeedProtocol;
use wiretape::feed::sequenced::{Endian, Field, Heartbeat, Layout};
use wiretape::packet::Verdict;
use wiretape::validate::FeedReport;

const fn field(offset: u16, width: u8) -> Field {
    Field { offset, width }
}

fn walk(file: &str, layout: Layout) -> Option<FeedReport> {
    let path = shared_captures()?.join("feeds").join(file);
    let mut judge = judge_of(&path, FeedProtocol::Sequenced, layout);
    each_packet(&path, |packet| assert_eq!(judge.judge(packet).verdict, Verdict::ACCEPTED));
    let mut reports = judge.feeds();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.pop()
}

#[test]
fn ice_impact_has_no_gap_by_its_layout_alone() {
    let layout = Layout {
        session: Some(field(0, 2)),
        sequence: field(2, 4),
        count: Some(field(6, 2)),
        sent: Some(field(8, 8)),
        time_unit_ns: 1_000_000,
        ..Layout::default()
    };
    let Some(report) = walk("ice-impact-1.1.24.pcap", layout) else { return };
    assert_eq!((report.packets, report.gaps, report.missing_messages, report.duplicates), (530, 0, 0, 0));
    assert_eq!((report.session.as_str(), report.first_seq), ("7971", 3_576));
    assert!(report.heartbeats > 0 && report.messages > report.packets, "{report:?}");
    assert_eq!(report.next_seq, report.first_seq + report.messages);
}

#[test]
fn nyse_xdp_has_no_gap_by_its_layout_alone() {
    let layout = Layout {
        endian: Endian::Little,
        sequence: field(4, 4),
        count: Some(field(3, 1)),
        sent: Some(field(8, 4)),
        time_unit_ns: 1_000_000_000,
        sent_ns: Some(field(12, 4)),
        heartbeat: Some(Heartbeat { offset: 2, width: 1, value: 1, repeats_last: false }),
        ..Layout::default()
    };
    let Some(report) = walk("nyse-xdp-imbalances.pcap", layout) else { return };
    assert_eq!((report.packets, report.gaps, report.missing_messages), (11_819, 0, 0));
    assert_eq!(report.next_seq, report.first_seq + report.messages, "{report:?}");
}

#[test]
fn a_packet_taken_out_is_a_gap() {
    let Some(captures) = shared_captures() else { return };
    let path = captures.join("feeds/ice-impact-1.1.24.pcap");
    let layout = Layout { sequence: field(2, 4), count: Some(field(6, 2)), ..Layout::default() };
    let mut judge = judge_of(&path, FeedProtocol::Sequenced, layout);
    let (mut number, mut lost) = (0, 0);
    each_udp(&path, |packet, payload, _| {
        number += 1;
        // Every fiftieth packet is lost; what it counted is what must be missed.
        if number % 50 == 0 && number < 500 {
            lost += u64::from(u16::from_be_bytes([payload[6], payload[7]]));
        } else {
            judge.judge(packet);
        }
    });
    let report = &judge.feeds()[0];
    assert!(lost > 0);
    assert_eq!(report.missing_messages, lost, "{report:?}");
}
