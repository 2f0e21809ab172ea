//! Cboe multicast PITCH: orders come and go, and trades against hidden ones. The unit is 1.
//!
//! Bids stand below and asks above a price of the stock's own: whatever is missed, no book is crossed.

use super::{Flow, Head, Messages};
use crate::lab::fault::Damage;
use crate::lab::market::Wish;
use crate::lab::plan::FeedPlan;
use crate::lab::random::SplitMix64;
use crate::packet::Verdict;
use crate::time::NS_PER_SEC;
use std::ops::Range;

const TIME: u8 = 0x20;
const ADD_LONG: u8 = 0x21;
const EXECUTED: u8 = 0x23;
const DELETE: u8 = 0x29;
const TRADE_LONG: u8 = 0x2a;
const UNIT: u8 = 1;
/// Orders beyond which orders are taken away rather than added.
const MAX_OPEN: usize = 500;

#[derive(Debug)]
pub(super) struct Pitch {
    random: SplitMix64,
    midnight_ns: u64,
    symbols: u16,
    /// The second that was said last.
    second: Option<u64>,
    last_order: u64,
    last_execution: u64,
    /// Numbers and what is left.
    open: Vec<(u64, u32)>,
}

impl Pitch {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        Self {
            random: SplitMix64::new(!plan.seed),
            midnight_ns: plan.midnight_ns,
            symbols: plan.symbols.max(1),
            second: None,
            last_order: 0,
            last_execution: 0,
            open: Vec::new(),
        }
    }

    /// Side, quantity, symbol and price of an order or trade.
    fn terms(&mut self, out: &mut Vec<u8>) -> u32 {
        let (stock, buy) = (self.random.between(1, u32::from(self.symbols)), self.random.between(0, 1) == 0);
        let quantity = self.random.between(1, 20) * 100;
        let away = u64::from(self.random.between(1, 20)) * 100;
        let middle = u64::from(stock) * 100_0000;
        out.push(if buy { b'B' } else { b'S' });
        out.extend_from_slice(&quantity.to_le_bytes());
        out.extend_from_slice(format!("{:<6}", format!("W{stock}")).as_bytes());
        out.extend_from_slice(&(if buy { middle - away } else { middle + away }).to_le_bytes());
        quantity
    }

    fn trade(&mut self, offset: [u8; 4], out: &mut Vec<u8>) {
        out.extend_from_slice(&[41, TRADE_LONG]);
        out.extend_from_slice(&offset);
        self.last_order += 1;
        out.extend_from_slice(&self.last_order.to_le_bytes());
        self.terms(out);
        self.last_execution += 1;
        out.extend_from_slice(&self.last_execution.to_le_bytes());
    }

    fn add(&mut self, offset: [u8; 4], out: &mut Vec<u8>) {
        out.extend_from_slice(&[34, ADD_LONG]);
        out.extend_from_slice(&offset);
        self.last_order += 1;
        out.extend_from_slice(&self.last_order.to_le_bytes());
        let quantity = self.terms(out);
        out.push(1); // displayed
        self.open.push((self.last_order, quantity));
    }

    fn take(&mut self, at: usize, execute: bool, offset: [u8; 4], out: &mut Vec<u8>) {
        let (order, left) = self.open[at];
        let quantity = if execute { self.random.between(1, left) } else { left };
        if quantity == left {
            self.open.swap_remove(at);
        } else {
            self.open[at].1 -= quantity;
        }
        out.extend_from_slice(if execute { &[26, EXECUTED] } else { &[14, DELETE] });
        out.extend_from_slice(&offset);
        out.extend_from_slice(&order.to_le_bytes());
        if execute {
            self.last_execution += 1;
            out.extend_from_slice(&quantity.to_le_bytes());
            out.extend_from_slice(&self.last_execution.to_le_bytes());
        }
    }
}

impl Flow for Pitch {
    fn reopen(&mut self) {
        self.open.clear();
        self.second = None;
    }
    /// Orders are known by then.
    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
    fn say(&mut self, wish: Wish, event_ns: u64, out: &mut Vec<u8>) {
        let since_midnight = event_ns.saturating_sub(self.midnight_ns);
        let second = since_midnight / NS_PER_SEC;
        if wish == Wish::Any && self.second != Some(second) {
            self.second = Some(second);
            out.extend_from_slice(&[6, TIME]);
            out.extend_from_slice(&u32::try_from(second).unwrap_or(u32::MAX).to_le_bytes());
            return;
        }
        // What must not carry a new second stays in the one that was said.
        let within = since_midnight - self.second.unwrap_or(second) * NS_PER_SEC;
        let offset = u32::try_from(within.min(NS_PER_SEC - 1)).unwrap_or(0).to_le_bytes();
        let roll = self.random.between(0, 99);
        if wish == Wish::Neutral || roll >= 97 {
            return self.trade(offset, out);
        }
        if self.open.len() < 10 || (roll < 48 && self.open.len() < MAX_OPEN) {
            return self.add(offset, out);
        }
        let at = self.random.between(0, u32::try_from(self.open.len() - 1).unwrap_or(0));
        self.take(usize::try_from(at).unwrap_or(0), roll < 58, offset, out);
    }
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        self.heartbeat(head, out);
        out[start + 2] = u8::try_from(which.len()).unwrap_or(u8::MAX);
        messages.iter(which).for_each(|message| out.extend_from_slice(message));
        let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
        0
    }
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(&[8, 0, 0, UNIT]);
        out.extend_from_slice(&u32::try_from(head.first).unwrap_or(u32::MAX).to_le_bytes());
        0
    }
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict {
        match damage {
            Damage::Count => {
                payload[2] -= 1;
                Verdict::PITCH_BAD_COUNT
            }
            Damage::Length => {
                payload.pop();
                Verdict::PITCH_BAD_LENGTH
            }
            Damage::Truncated => {
                payload.truncate(5);
                Verdict::PITCH_TRUNCATED
            }
            Damage::Checksum => Verdict::UDP_BAD_CHECKSUM,
        }
    }
    /// The low bit of the time.
    fn harmless(&self, _message: &[u8]) -> (usize, u8) {
        (2, 1)
    }
}
