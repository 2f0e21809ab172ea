//! CME MDP 3.0: incremental book updates (template 46, version 9), one a packet number, and heartbeats that take one.
//!
//! Each instrument has five levels a side, bids below and asks above a price of its own: whatever is missed or changed,
//! no book is crossed.

use super::{Flow, Head, Messages};
use crate::lab::fault::Damage;
use crate::lab::market::Wish;
use crate::lab::plan::FeedPlan;
use crate::lab::random::SplitMix64;
use crate::packet::Verdict;
use std::ops::Range;

/// Root block of template 46: transact time, match event indicator, padding.
const ROOT_BYTES: u16 = 11;
/// Block of a book entry.
const ENTRY_BYTES: u16 = 32;
/// Block of an order entry; there are none.
const ORDER_BYTES: u16 = 24;
const LEVELS: u32 = 5;
/// A cent at 1e-9.
const TICK: i64 = 10_000_000;

#[derive(Debug)]
pub(super) struct Mdp3 {
    random: SplitMix64,
    instruments: u16,
    /// Update number of each instrument.
    reports: Vec<u32>,
    /// Levels that were said: by instrument, side and level.
    said: Vec<bool>,
}

impl Mdp3 {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        let instruments = plan.symbols.max(1);
        let mut flow =
            Self { random: SplitMix64::new(!plan.seed), instruments, reports: Vec::new(), said: Vec::new() };
        flow.reopen();
        flow
    }
}

/// A message's size, and the SBE header.
fn header(size_bytes: u16, block_bytes: u16, template: u16, out: &mut Vec<u8>) {
    for word in [size_bytes, block_bytes, template, 1, 9] {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn packet_header(head: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(head.first).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&head.sent_ns.to_le_bytes());
}

impl Flow for Mdp3 {
    fn reopen(&mut self) {
        self.reports = vec![0; usize::from(self.instruments)];
        self.said = vec![false; usize::from(self.instruments) * 2 * LEVELS as usize];
    }
    fn say(&mut self, _wish: Wish, event_ns: u64, out: &mut Vec<u8>) {
        let instrument = self.random.between(0, u32::from(self.instruments) - 1);
        let (side, level) = (self.random.between(0, 1), self.random.between(1, LEVELS));
        let at = usize::try_from((instrument * 2 + side) * LEVELS + level - 1).unwrap_or(0);
        // New the first time, changed from then on.
        let action = u8::from(std::mem::replace(&mut self.said[at], true));
        let report = &mut self.reports[usize::try_from(instrument).unwrap_or(0)];
        *report += 1;
        let middle = i64::from(instrument + 1) * 100_000_000_000;
        let away = i64::from(level) * TICK;
        let price = if side == 0 { middle - away } else { middle + away };
        let size = 10 + ROOT_BYTES + 3 + ENTRY_BYTES + 8;
        header(size, ROOT_BYTES, 46, out);
        out.extend_from_slice(&event_ns.to_le_bytes());
        out.extend_from_slice(&[0x84, 0, 0]); // last quote, end of event
        out.extend_from_slice(&ENTRY_BYTES.to_le_bytes());
        out.push(1);
        out.extend_from_slice(&price.to_le_bytes());
        out.extend_from_slice(&self.random.between(1, 500).to_le_bytes());
        out.extend_from_slice(&(instrument + 1).to_le_bytes());
        out.extend_from_slice(&report.to_le_bytes());
        out.extend_from_slice(&self.random.between(1, 20).to_le_bytes());
        out.push(u8::try_from(level).unwrap_or(1));
        out.push(action);
        out.push(if side == 0 { b'0' } else { b'1' });
        out.extend_from_slice(&[0; 5]);
        out.extend_from_slice(&ORDER_BYTES.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
    }
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64 {
        packet_header(head, out);
        messages.iter(which).for_each(|message| out.extend_from_slice(message));
        0
    }
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64 {
        packet_header(head, out);
        header(10, 0, 12, out);
        1
    }
    fn numbers_messages(&self) -> bool {
        false
    }
    fn units(&self, _messages: usize) -> u64 {
        1
    }
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict {
        match damage {
            Damage::Truncated => {
                payload.truncate(7);
                Verdict::CME_TRUNCATED
            }
            Damage::Length | Damage::Count => {
                payload.pop();
                Verdict::CME_BAD_LENGTH
            }
            Damage::Checksum => Verdict::UDP_BAD_CHECKSUM,
        }
    }
    /// 512 more of the size, which is less.
    fn harmless(&self, _message: &[u8]) -> (usize, u8) {
        (33, 2)
    }
}
