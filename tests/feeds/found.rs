//! Plans with every fault, and the comparison of what was put in with what was found.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::collections::BTreeMap;
use wiretape::events::report::RoomReport;
use wiretape::events::room::Room;
use wiretape::feed::{FeedProtocol, Limits};
use wiretape::lab::answers::{Answers, LineAnswers};
use wiretape::lab::generate::FeedGenerator;
use wiretape::lab::plan::{FeedPlan, LinePlan, PlannedFault};
use wiretape::lab::rhythm::Rhythm;
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{FeedReport, Judge, JudgeConfig};

/// What was put into a feed and what was found in it.
pub(crate) struct Found {
    pub(crate) answers: Answers,
    /// Packets that were rejected, by verdict.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// The judge's books, of every queue.
    pub(crate) feeds: Vec<FeedReport>,
    pub(crate) room: RoomReport,
}

/// Limits so short that exceeding all of them does not take long.
const LIMITS: Limits = Limits {
    hold_ms: 2,
    stale_ms: 30,
    future_ms: 5,
    silence_ms: 300,
    line_dead_ms: 60,
    heartbeat_ms: 100,
    crossed_ms: 40,
};

/// Limits for a machine that has other work to do, too.
const LIVE_LIMITS: Limits = Limits {
    hold_ms: 250,
    stale_ms: 1_000,
    future_ms: 400,
    silence_ms: 5_000,
    line_dead_ms: 1_200,
    heartbeat_ms: 2_000,
    crossed_ms: 1_200,
};

/// Two lines, of which the second is a little later and varies more, in bursts; every fault there is, at places that follow from
/// the seed.
pub(crate) fn plan(protocol: FeedProtocol, seed: u64, live: bool) -> FeedPlan {
    let lines = vec![
        LinePlan { jitter_ns: 30_000, ..LinePlan::usual(0) },
        LinePlan { delay_ns: 25_000, jitter_ns: 40_000, recut: seed.is_multiple_of(2), ..LinePlan::usual(1) },
    ];
    let mut plan = FeedPlan {
        seed,
        protocol,
        data_packets: if live { 1_200 } else { 3_000 },
        rhythm: Rhythm {
            calm_pps: if live { 2_500 } else { 10_000 },
            burst_pps: if live { 25_000 } else { 500_000 },
            burst_packets: 40,
            burst_every: 300,
        },
        heartbeat_every: 50 + seed % 50,
        lines,
        limits: if live { LIVE_LIMITS } else { LIMITS },
        ..FeedPlan::default()
    };
    plan.faults = PlannedFault::of_every_kind(&plan, 1, live);
    plan
}

/// Makes the frames and gives them to a judge and a room.
pub(crate) fn judged(plan: FeedPlan) -> Found {
    let feed = plan.feed_config("lab");
    let config = JudgeConfig { feeds: vec![feed.clone()], recognise: false, max_streams: 64 };
    let (mut judge, mut room) = (Judge::new(&config), Room::new(&[feed]));
    let mut generator = FeedGenerator::new(plan).expect("a sound plan");
    let (mut frame, mut rejected, mut verdicts) = (Vec::new(), BTreeMap::new(), Vec::new());
    while let Some(made) = generator.next_frame(&mut frame) {
        let packet = Packet {
            bytes: &frame,
            wire_len: u32::try_from(frame.len()).expect("a frame"),
            stamp: Stamp::new(made.stamp_ns, StampClock::FILE),
            arrival_ns: 0,
            interface: u32::try_from(made.line).expect("a line"),
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        };
        let verdict = judge.judge(&packet).verdict;
        verdicts.push(verdict.name());
        if verdict != Verdict::ACCEPTED {
            *rejected.entry(verdict.name().to_owned()).or_insert(0) += 1;
        }
        room.packet(&packet);
        frame.clear();
    }
    room.finish();
    let answers = generator.answers().clone();
    for fault in &answers.faults {
        for frame in &fault.frames {
            let verdict = verdicts[usize::try_from(*frame).expect("an index")];
            assert_eq!(Some(verdict), fault.verdict, "{fault:?}");
        }
    }
    Found { answers, rejected, feeds: judge.feeds(), room: room.report() }
}

/// Everything that was put in was found, and nothing else: by verdict, by line in the judge's books, by rule and by gap in the room's.
pub(crate) fn compare(what: &str, found: &Found) {
    let Found { answers, rejected, feeds, .. } = found;
    let mut put_in = BTreeMap::new();
    for (verdict, count) in answers.lines.iter().flat_map(|line| &line.rejected) {
        *put_in.entry((*verdict).to_owned()).or_insert(0) += count;
    }
    assert_eq!(rejected, &put_in, "{what}: verdicts");
    for line in &answers.lines {
        compare_line(what, line, feeds);
    }
    compare_room(what, found, false);
}

/// What was put in was found by the room, by rule and by gap; of lines scattered over queues, but for the order of packets.
pub(crate) fn compare_room(what: &str, found: &Found, scattered: bool) {
    let Found { answers, room, .. } = found;
    let rules: BTreeMap<&str, u64> = answers.rules.iter().map(|(rule, count)| (*rule, *count)).collect();
    let mut broken: BTreeMap<&str, u64> =
        room.feeds[0].rules.iter().map(|rule| (rule.rule.as_str(), rule.count)).collect();
    if scattered {
        // Around a clock reading, packets of two queues are put in the order of the readings and not of the stamps.
        let put_in = |rule| rules.get(rule).copied();
        for rule in ["reorder", "stamp-backwards"] {
            assert!(broken.remove(rule) >= put_in(rule), "{what}: {rule}");
            broken.extend(put_in(rule).map(|count| (rule, count)));
        }
    }
    assert_eq!(broken, rules, "{what}: rules (left: found, right: put in)");
    compare_gaps(what, answers, room);
}

fn compare_line(what: &str, line: &LineAnswers, feeds: &[FeedReport]) {
    let books: Vec<&FeedReport> = feeds.iter().filter(|feed| feed.line == line.line).collect();
    let sum = |of: fn(&FeedReport) -> u64| books.iter().map(|feed| of(feed)).sum::<u64>();
    let pairs = [
        ("messages", line.messages, sum(|feed| feed.messages)),
        ("gaps", line.gaps, sum(|feed| feed.gaps)),
        ("missing", line.missing_messages, sum(|feed| feed.missing_messages)),
        ("duplicates", line.duplicates, sum(|feed| feed.duplicates)),
        ("out of order", line.out_of_order, sum(|feed| feed.out_of_order)),
        ("filled", line.filled, sum(|feed| feed.filled)),
        ("heartbeats", line.heartbeats, sum(|feed| feed.heartbeats)),
        ("sequence spaces", line.sessions, sum(|feed| feed.sessions)),
        ("rejected", line.rejected.values().sum(), sum(|feed| feed.rejected)),
        ("unknown types", 0, sum(|feed| feed.unknown_types)),
    ];
    for (of, put_in, found) in pairs {
        assert_eq!(found, put_in, "{what}, line {}: {of} (left: found, right: put in)", line.line);
    }
}

/// The room's gaps are the injected ones.
fn compare_gaps(what: &str, answers: &Answers, room: &RoomReport) {
    let on_all =
        |fault: &&wiretape::lab::answers::Injected| fault.rule == Some("gap") || fault.fault == "late";
    let gaps = answers.faults.iter().filter(on_all).count() as u64;
    assert_eq!(room.feeds[0].gaps, gaps, "{what}: gaps of the feed");
    let late: u64 = answers.lines.iter().map(|line| line.filled).sum::<u64>();
    assert!(room.feeds[0].late <= late, "{what}: late fills");
}
