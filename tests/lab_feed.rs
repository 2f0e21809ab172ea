//! One line of every protocol, with faults at random, and the judge: every injected fault is found, by its name and nothing else.

mod common;
mod feeds {
    pub(crate) mod found;
}

use feeds::found::{compare, judged};
use proptest::prelude::*;
use wiretape::feed::FeedProtocol;
use wiretape::lab::fault::{Damage, Fault};
use wiretape::lab::frame::{TPID_VLAN, Tag};
use wiretape::lab::plan::{FeedPlan, LinePlan, PlannedFault};

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (1..40_u16).prop_map(Fault::Gap),
        Just(Fault::Duplicate),
        Just(Fault::Reorder),
        Just(Fault::Late),
        Just(Fault::Damage(Damage::Checksum)),
        Just(Fault::Damage(Damage::Count)),
        Just(Fault::Damage(Damage::Length)),
        Just(Fault::Damage(Damage::Truncated)),
        Just(Fault::Short),
        Just(Fault::SessionChange),
        Just(Fault::Restart),
    ]
}

fn any_protocol() -> impl Strategy<Value = FeedProtocol> {
    prop::sample::select(FeedProtocol::ALL.map(|(_, protocol)| protocol).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_judge_finds_exactly_what_was_put_in(
        seed: u64,
        protocol in any_protocol(),
        faults in prop::collection::vec((2..9_u64, any_fault()), 0..8),
        heartbeat_every in 0..20_u64,
        tagged: bool,
    ) {
        let tags = if tagged { vec![Tag { tpid: TPID_VLAN, tci: 0xa005 }] } else { Vec::new() };
        let mut plan = FeedPlan { seed, protocol, data_packets: 100, heartbeat_every, tags, ..FeedPlan::default() };
        let mut at = 0;
        for (step, fault) in faults {
            at += step;
            // A restart is believed when a second packet bears it out: two of them within a few packets are not told apart yet.
            if fault == Fault::Restart && plan.faults.iter().any(|p| p.fault == fault) {
                continue;
            }
            if plan.can(fault) {
                plan.faults.push(PlannedFault::new(at, fault));
            }
        }
        compare("random faults", &judged(plan));
    }
}

#[test]
fn over_ipv6_the_same_is_found() {
    let line = LinePlan {
        source: "fd00::1".parse().expect("an address"),
        group: "ff15::42".parse().expect("an address"),
        ..LinePlan::usual(0)
    };
    compare(
        "IPv6",
        &judged(FeedPlan {
            lines: vec![line],
            faults: vec![
                PlannedFault::new(5, Fault::Gap(3)),
                PlannedFault::new(50, Fault::Damage(Damage::Checksum)),
                PlannedFault::new(60, Fault::Short),
            ],
            ..FeedPlan::default()
        }),
    );
}
