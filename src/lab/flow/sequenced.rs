//! A feed that only numbers its datagrams, as [`FeedPlan::layout`] says.

use super::{Flow, Head, Messages};
use crate::lab::fault::Damage;
use crate::lab::market::Wish;
use crate::lab::plan::FeedPlan;
use crate::lab::random::SplitMix64;
use crate::packet::Verdict;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Sequenced {
    random: SplitMix64,
}

impl Sequenced {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        Self { random: SplitMix64::new(!plan.seed) }
    }
}

fn header(head: &Head, count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&head.first.to_be_bytes()[2..]);
    out.extend_from_slice(&(head.sent_ns / 1_000).to_be_bytes());
}

impl Flow for Sequenced {
    fn reopen(&mut self) {}
    fn say(&mut self, _wish: Wish, _event_ns: u64, out: &mut Vec<u8>) {
        self.random.fill(out, 24);
    }
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64 {
        header(head, which.len(), out);
        messages.iter(which).for_each(|message| out.extend_from_slice(message));
        0
    }
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64 {
        header(head, 0, out);
        0
    }
    fn numbers_messages(&self) -> bool {
        false
    }
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict {
        if damage == Damage::Checksum {
            return Verdict::UDP_BAD_CHECKSUM;
        }
        payload.truncate(13);
        Verdict::SEQUENCED_TRUNCATED
    }
    fn harmless(&self, message: &[u8]) -> (usize, u8) {
        (message.len() - 1, 1)
    }
}
