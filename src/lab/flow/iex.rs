//! IEX-TP: TOPS 1.6 quotes and trades where the seed is even, DEEP 1.0 price levels and trades where it is odd.
//!
//! Bids stand below and asks above a price of the stock's own: whatever is missed, no book is crossed.

use super::{Flow, Head, Messages};
use crate::lab::fault::Damage;
use crate::lab::market::Wish;
use crate::lab::plan::FeedPlan;
use crate::lab::random::SplitMix64;
use crate::packet::Verdict;
use std::ops::Range;

const TOPS: u16 = 0x8003;
const DEEP: u16 = 0x8004;
/// A cent, in 1/10,000 dollar.
const TICK: i64 = 100;

#[derive(Debug)]
pub(super) struct Iex {
    random: SplitMix64,
    protocol: u16,
    symbols: u16,
    trades: i64,
    started: bool,
}

impl Iex {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        let protocol = if plan.seed.is_multiple_of(2) { TOPS } else { DEEP };
        let symbols = plan.symbols.max(1);
        Self { random: SplitMix64::new(!plan.seed), protocol, symbols, trades: 0, started: false }
    }

    fn header(&self, head: &Head, bytes: usize, count: usize, out: &mut Vec<u8>) {
        let narrow = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        out.extend_from_slice(&[1, 0]);
        out.extend_from_slice(&self.protocol.to_le_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
        out.extend_from_slice(&head.session.to_le_bytes());
        out.extend_from_slice(&narrow(bytes));
        out.extend_from_slice(&narrow(count));
        for number in [head.offset, head.first, head.sent_ns] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn away(&mut self) -> i64 {
        i64::from(self.random.between(1, 20)) * TICK
    }

    fn size(&mut self) -> u32 {
        self.random.between(1, 20) * 100
    }
}

fn begin(kind: u8, flags: u8, event_ns: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&event_ns.to_le_bytes());
}

fn symbol(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{:<8}", format!("WT{number}")).as_bytes());
}

impl Flow for Iex {
    fn reopen(&mut self) {
        self.started = false;
    }
    fn say(&mut self, wish: Wish, event_ns: u64, out: &mut Vec<u8>) {
        if wish == Wish::Any && !std::mem::replace(&mut self.started, true) {
            return begin(b'S', b'O', event_ns, out);
        }
        let stock = self.random.between(1, u32::from(self.symbols));
        let middle = i64::from(stock) * 100_0000;
        let trade = wish == Wish::Neutral || self.random.between(0, 9) == 0;
        if trade {
            begin(b'T', 0, event_ns, out);
            symbol(stock, out);
            self.trades += 1;
            out.extend_from_slice(&self.size().to_le_bytes());
            out.extend_from_slice(&middle.to_le_bytes());
            out.extend_from_slice(&self.trades.to_le_bytes());
        } else if self.protocol == TOPS {
            let (bid, ask) = (middle - self.away(), middle + self.away());
            begin(b'Q', 0, event_ns, out);
            symbol(stock, out);
            out.extend_from_slice(&self.size().to_le_bytes());
            out.extend_from_slice(&bid.to_le_bytes());
            out.extend_from_slice(&ask.to_le_bytes());
            out.extend_from_slice(&self.size().to_le_bytes());
        } else {
            let buy = self.random.between(0, 1) == 0;
            let price = if buy { middle - self.away() } else { middle + self.away() };
            begin(if buy { b'8' } else { b'5' }, 1, event_ns, out);
            symbol(stock, out);
            out.extend_from_slice(&self.size().to_le_bytes());
            out.extend_from_slice(&price.to_le_bytes());
        }
    }
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64 {
        let bytes = messages.iter(which.clone()).map(|message| 2 + message.len()).sum();
        self.header(head, bytes, which.len(), out);
        for message in messages.iter(which) {
            out.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(message);
        }
        bytes as u64
    }
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64 {
        self.header(head, 0, 0, out);
        0
    }
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict {
        match damage {
            Damage::Count => {
                let count = u16::from_le_bytes([payload[14], payload[15]]) - 1;
                payload[14..16].copy_from_slice(&count.to_le_bytes());
                Verdict::IEX_BAD_COUNT
            }
            Damage::Length => {
                payload.pop();
                Verdict::IEX_BAD_LENGTH
            }
            Damage::Truncated => {
                payload.truncate(33);
                Verdict::IEX_TRUNCATED
            }
            Damage::Checksum => Verdict::UDP_BAD_CHECKSUM,
        }
    }
    /// The flags: out of the regular session, or not the end of its event.
    fn harmless(&self, message: &[u8]) -> (usize, u8) {
        (1, if matches!(message.first(), Some(b'5' | b'8')) { 1 } else { 0x40 })
    }
}
