//! Random loss, repeats, reordering and skew on two lines, against sets.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const T: u64 = 1_700_000_000_000_000_000;

/// What a line does to one packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Later by so many µs.
    Delayed(u64),
}

fn fate(longest_us: u64) -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => (1..longest_us).prop_map(Fate::Delayed),
    ]
}

/// Packets by arrival time: line, first number, count.
type Arrivals = BTreeMap<(u64, usize), (usize, u64, u64)>;

/// The stream as each line cuts it: the same messages in packets of other sizes, 300 µs apart.
fn arrivals(lines: &[(u64, Vec<(u64, Fate)>)]) -> Arrivals {
    let mut arrivals = Arrivals::new();
    for (line, (skew_us, packets)) in lines.iter().enumerate() {
        let mut first = 1;
        for (at, (count, fate)) in packets.iter().enumerate() {
            let ns = T + (first * 100 + skew_us) * 1000;
            // Both lines bring the beginning, so that it is known where the space begins.
            let delays = match fate {
                _ if at == 0 => vec![0],
                Fate::Arrives => vec![0],
                Fate::Lost => vec![],
                Fate::Twice => vec![0, 40],
                Fate::Delayed(us) => vec![*us],
            };
            for delay in delays {
                let tie = arrivals.len();
                arrivals.insert((ns + delay * 1000, tie), (line, first, *count));
            }
            first += count;
        }
    }
    arrivals
}

fn lines(longest_us: u64) -> impl Strategy<Value = Vec<(u64, Vec<(u64, Fate)>)>> {
    let line = move || (0..2500_u64, proptest::collection::vec((1..4_u64, fate(longest_us)), 1..60));
    proptest::collection::vec(line(), 2)
}

fn play(arrivals: &Arrivals) -> Scene {
    let mut scene = Scene::new(2);
    for ((ns, _), (line, first, count)) in arrivals {
        scene.send(*line, *ns, S1, *first, *count);
    }
    scene.room.finish();
    scene
}

/// The numbers that rows of a kind cover.
fn covered(scene: &mut Scene, kind: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> Vec<u64> {
    let rows = scene.rows().into_iter().filter(|row| row["kind"] == kind && wanted(row));
    rows.flat_map(|row| {
        let first = row["first"].as_u64().unwrap();
        first..first + row["count"].as_u64().unwrap()
    })
    .collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

proptest! {
    #[test]
    fn within_the_hold_time_what_any_line_brought_is_delivered_and_the_rest_is_a_gap(lines in lines(3000)) {
        let arrivals = arrivals(&lines);
        let mut scene = play(&arrivals);
        let brought = |wanted: Option<usize>| -> BTreeSet<u64> {
            let of = arrivals.values().filter(|(line, ..)| wanted.is_none_or(|wanted| wanted == *line));
            of.flat_map(|(_, first, count)| *first..first + count).collect()
        };
        let all = brought(None);
        prop_assert_eq!(scene.numbers(), all.iter().copied().collect::<Vec<_>>());
        let last = *all.last().unwrap();
        let missing: Vec<u64> = (1..last).filter(|number| !all.contains(number)).collect();
        prop_assert_eq!(covered(&mut scene, "gap", |_| true), missing);
        prop_assert_eq!(covered(&mut scene, "fill", |row| row["late"] == true), Vec::<u64>::new());
        for (line, name) in ["A", "B"].into_iter().enumerate() {
            let own = brought(Some(line));
            let end = *own.last().unwrap();
            let healed: Vec<u64> = all.iter().copied().filter(|n| *n < end && !own.contains(n)).collect();
            prop_assert_eq!(sorted(covered(&mut scene, "fill", |row| row["line"] == name)), healed, "line {}", name);
        }
        prop_assert_eq!((scene.broken("line-differs"), scene.broken("stray"), scene.broken("restart")), (0, 0, 0));
    }

    #[test]
    fn however_late_each_message_comes_once_in_order_or_is_told_missing_and_then_late(lines in lines(40_000)) {
        let arrivals = arrivals(&lines);
        let mut scene = play(&arrivals);
        let all: BTreeSet<u64> = arrivals.values().flat_map(|(_, first, count)| *first..first + count).collect();
        let numbers = scene.numbers();
        prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        let gaps = covered(&mut scene, "gap", |_| true);
        let last = *all.last().unwrap();
        prop_assert_eq!(sorted([&numbers[..], &gaps[..]].concat()), (1..=last).collect::<Vec<_>>());
        let late = sorted(covered(&mut scene, "fill", |row| row["late"] == true));
        let came: Vec<u64> = gaps.into_iter().filter(|number| all.contains(number)).collect();
        prop_assert_eq!(late, came);
        prop_assert_eq!(scene.room.report().feeds[0].messages, numbers.len() as u64);
    }

    #[test]
    fn forged_numbers_and_sessions_never_panic_and_each_epoch_stays_in_order(
        packets in proptest::collection::vec(
            (0..2_usize, 0..40_u64, prop_oneof![0..30_u64, any::<u64>(), Just(1 << 63)], 0..5_u64, 0..3_usize), 0..200),
    ) {
        let mut scene = Scene::new(2);
        let mut ns = T;
        for (line, later_ms, first, count, session) in packets {
            ns = ns.wrapping_add(later_ms * MS / 4);
            scene.send(line, ns, [S1, S2, b"SESSION00'"][session], first.min(u64::MAX - count), count);
        }
        scene.room.finish();
        // Each message that was taken was sent, and none was made up between.
        let report = scene.room.report().feeds.remove(0);
        prop_assert_eq!(report.messages, scene.numbers().len() as u64);
        let taken: u64 = report.lines.iter().map(|line| line.wins).sum();
        prop_assert_eq!(taken, report.messages);
        prop_assert!(report.lines.iter().all(|line| line.wins <= line.messages));
        for told in scene.told() {
            let Told::Message(number, bytes) = told else { continue };
            prop_assert!([S1, S2, b"SESSION00'"].iter().any(|session| message(**session, number) == bytes));
        }
    }
}
