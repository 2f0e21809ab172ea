//! What the load generator puts in is found, kind by kind and no more: by the judge and by the room, from frames and from a journal
//! that a capture wrote, on one queue and on two.
//!
//! `WIRETAPE_LONG=1` takes 100 seeds instead of 10.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod feeds {
    pub(crate) mod found;
}

use feeds::found::{compare, judged, plan};
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
