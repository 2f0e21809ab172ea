//! MoldUDP64 with ITCH 5.0, from the [`Market`].

use super::{Flow, Head, Messages, mold_session};
use crate::feed::moldudp64::{self, Encoder, HEADER_LEN};
use crate::lab::fault::Damage;
use crate::lab::market::{Market, Wish};
use crate::lab::plan::FeedPlan;
use crate::packet::Verdict;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Itch {
    market: Market,
}

impl Itch {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        Self { market: Market::new(!plan.seed, plan.symbols, plan.midnight_ns) }
    }
}

impl Flow for Itch {
    fn reopen(&mut self) {
        self.market.reopen();
    }
    fn is_open(&self) -> bool {
        self.market.is_open()
    }
    fn say(&mut self, wish: Wish, event_ns: u64, out: &mut Vec<u8>) {
        self.market.say(wish, event_ns, out);
    }
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64 {
        let mut packet = Encoder::begin(out, mold_session(head.session), head.first);
        for message in messages.iter(which) {
            packet.message(message);
        }
        packet.finish();
        0
    }
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64 {
        moldudp64::heartbeat(out, mold_session(head.session), head.first);
        0
    }
    fn end(&self, head: &Head, out: &mut Vec<u8>) -> bool {
        moldudp64::end_of_session(out, mold_session(head.session), head.first);
        true
    }
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict {
        match damage {
            Damage::Count => {
                let count = u16::from_be_bytes([payload[18], payload[19]]) - 1;
                payload[18..20].copy_from_slice(&count.to_be_bytes());
                Verdict::MOLD_BAD_COUNT
            }
            Damage::Length => {
                payload.pop();
                Verdict::MOLD_BAD_LENGTH
            }
            Damage::Truncated => {
                payload.truncate(HEADER_LEN - 7);
                Verdict::MOLD_TRUNCATED
            }
            Damage::Checksum => Verdict::UDP_BAD_CHECKSUM,
        }
    }
    /// Nasdaq's tracking number.
    fn harmless(&self, _message: &[u8]) -> (usize, u8) {
        (4, 1)
    }
}
