//! The generated feed and the judge: every injected fault is found, by its name and nothing else.

use proptest::prelude::*;
use std::collections::BTreeMap;
use wiretape::lab::answers::Answers;
use wiretape::lab::frame::{TPID_VLAN, Tag};
use wiretape::lab::generate::FeedGenerator;
use wiretape::lab::plan::{Fault, FeedPlan, PlannedFault};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{FeedConfig, FeedProtocol, FeedReport, Judge, JudgeConfig};

fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).expect("a frame"),
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

/// Judges all frames of a plan; every frame with a verdict must be one that the answers name.
fn judge(plan: FeedPlan) -> (Answers, BTreeMap<&'static str, u64>, Vec<FeedReport>) {
    let mut feed = FeedConfig::one_line("lab", FeedProtocol::MoldUdp64Itch50, plan.group, plan.port);
    feed.lines[0].source = Some(plan.source);
    let mut judge = Judge::new(&JudgeConfig { feeds: vec![feed], recognise: false, max_streams: 16 });
    let mut generator = FeedGenerator::new(plan).expect("a sound plan");
    let (mut frame, mut verdicts, mut rejected) = (Vec::new(), Vec::new(), BTreeMap::new());
    while generator.next_frame(&mut frame) {
        let verdict = judge.judge(&packet(&frame)).verdict;
        if verdict != Verdict::ACCEPTED {
            *rejected.entry(verdict.name()).or_insert(0) += 1;
        }
        verdicts.push(verdict.name());
        frame.clear();
    }
    let answers = generator.answers().clone();
    for fault in &answers.faults {
        let found = verdicts[usize::try_from(fault.frame).expect("an index")];
        assert_eq!(found, fault.verdict.unwrap_or("accepted"), "{fault:?}");
    }
    (answers, rejected, judge.feeds())
}

fn sum(feeds: &[FeedReport], of: impl Fn(&FeedReport) -> u64) -> u64 {
    feeds.iter().map(of).sum()
}

fn check(plan: FeedPlan) {
    let (answers, rejected, feeds) = judge(plan);
    assert_eq!(rejected, answers.rejected);
    assert_eq!(feeds.len() as u64, answers.sessions);
    assert_eq!(sum(&feeds, |f| f.messages), answers.messages);
    assert_eq!(sum(&feeds, |f| f.gaps), answers.gaps);
    assert_eq!(sum(&feeds, |f| f.missing_messages), answers.missing_messages);
    assert_eq!(sum(&feeds, |f| f.duplicates), answers.duplicates);
    assert_eq!(sum(&feeds, |f| f.out_of_order), answers.out_of_order);
    assert_eq!(sum(&feeds, |f| f.filled), answers.filled);
    assert_eq!(sum(&feeds, |f| f.heartbeats), answers.heartbeats);
    assert_eq!(sum(&feeds, |f| f.unknown_types), 0);
    let last = feeds.iter().find(|f| f.session == answers.session).expect("the last session");
    assert!(last.ended);
    assert_eq!(last.next_seq, answers.next_sequence);
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (1..40_u16).prop_map(Fault::Gap),
        Just(Fault::Duplicate),
        Just(Fault::Reorder),
        Just(Fault::ItchShort),
        Just(Fault::UdpChecksum),
        Just(Fault::MoldCount),
        Just(Fault::MoldLength),
        Just(Fault::MoldTruncated),
        Just(Fault::SessionChange),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_judge_finds_exactly_what_was_put_in(
        seed: u64,
        // At most 8 sessions, since the tables of the judge are bounded.
        faults in prop::collection::vec((2..9_u64, any_fault()), 0..8),
        heartbeat_every in 0..20_u64,
        tagged: bool,
    ) {
        let mut at = 0;
        let faults = faults.into_iter().map(|(step, fault)| {
            at += step;
            PlannedFault { at, fault }
        });
        let tags = if tagged { vec![Tag { tpid: TPID_VLAN, tci: 0xa005 }] } else { Vec::new() };
        check(FeedPlan { seed, data_packets: 100, heartbeat_every, tags, faults: faults.collect(), ..FeedPlan::default() });
    }
}

#[test]
fn over_ipv6_the_same_is_found() {
    check(FeedPlan {
        source: "fd00::1".parse().expect("an address"),
        group: "ff15::42".parse().expect("an address"),
        faults: vec![
            PlannedFault { at: 5, fault: Fault::Gap(3) },
            PlannedFault { at: 50, fault: Fault::UdpChecksum },
            PlannedFault { at: 60, fault: Fault::ItchShort },
        ],
        ..FeedPlan::default()
    });
}
