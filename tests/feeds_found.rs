//! What the load generator puts in is found, kind by kind and no more: by the judge and by the room, from frames and from a journal
//! that a capture wrote, on one queue and on two.
//!
//! `WIRETAPE_LONG=1` takes 100 seeds instead of 10.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod feeds {
    pub(crate) mod captured;
    pub(crate) mod found;
}

use common::{run_in_netns, skip};
use feeds::captured::{captured_live, read_from_file};
use feeds::found::{Found, compare, compare_room, judged, plan};
use std::sync::{Mutex, PoisonError};
use wiretape::capture::af_packet::Fanout;
use wiretape::feed::FeedProtocol;

fn seeds() -> u64 {
    if std::env::var_os("WIRETAPE_LONG").is_some() { 100 } else { 10 }
}

fn check_frames(protocol: FeedProtocol) {
    for seed in 0..seeds() {
        let found = judged(plan(protocol, seed, false));
        compare(&format!("{} seed {seed}", protocol.name()), &found);
    }
}

#[test]
fn itch_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::MoldUdp64Itch50);
}

#[test]
fn bare_moldudp64_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::MoldUdp64);
}

#[test]
fn iex_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::IexTp);
}

#[test]
fn pitch_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::CboePitch);
}

#[test]
fn mdp3_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::CmeMdp3);
}

#[test]
fn sequenced_frames_show_exactly_what_was_put_in() {
    check_frames(FeedProtocol::Sequenced);
}

/// Protocols whose seed follows from that of the round, so that each has its turn.
fn protocol_of(seed: u64) -> FeedProtocol {
    FeedProtocol::ALL[usize::try_from(seed).unwrap() % FeedProtocol::ALL.len()].1
}

#[test]
fn a_file_captured_into_a_journal_shows_exactly_what_was_put_in() {
    for seed in 0..seeds() {
        for protocol in [FeedProtocol::MoldUdp64Itch50, protocol_of(seed)] {
            compare(
                &format!("file, {} seed {seed}", protocol.name()),
                &read_from_file(&plan(protocol, seed, false)),
            );
        }
    }
}

/// Tries until the feed was sent as it was planned: faults of timing are others if it was not.
fn in_time(mut captured: impl FnMut() -> Option<Found>) -> Option<Found> {
    (0..5).find_map(|_| captured())
}

/// One live test at a time: they are about time.
static ALONE: Mutex<()> = Mutex::new(());

/// One round on each number of queues; all protocols in the long form.
fn check_live(queues: u16, fanout: Fanout) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = if std::env::var_os("WIRETAPE_LONG").is_some() { FeedProtocol::ALL.len() as u64 } else { 1 };
    for seed in 0..rounds {
        let protocol = protocol_of(seed);
        let what = format!("{queues} queue(s) {fanout:?}, {} seed {seed}", protocol.name());
        let Some(found) =
            run_in_netns(|_| in_time(|| captured_live(&plan(protocol, seed, true), queues, fanout)))
        else {
            return;
        };
        let Some(found) = found else { return skip("the machine is too busy to send in time") };
        // Balanced over queues, no queue's judge sees a whole line; the room does.
        match fanout {
            Fanout::LoadBalance => compare_room(&what, &found, true),
            _ => compare(&what, &found),
        }
    }
}

#[test]
fn one_queue_on_a_network_shows_exactly_what_was_put_in() {
    check_live(1, Fanout::Hash);
}

#[test]
fn two_queues_on_a_network_show_exactly_what_was_put_in() {
    check_live(2, Fanout::Hash);
}

#[test]
fn lines_scattered_over_two_queues_are_put_together_again() {
    check_live(2, Fanout::LoadBalance);
}
