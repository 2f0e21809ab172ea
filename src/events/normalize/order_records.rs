//! The records of feeds that say every order: MBO and the trades among them, the same for each exchange.

use super::common::{c, sequence32};
use crate::book::Side;
use crate::events::output::{Arrival, Output};
use crate::feed::FeedConfig;
use dbn::{FlagSet, MboMsg, RecordHeader, Schema, TradeMsg, rtype};

/// Where and when a message is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) arrival: &'a Arrival,
    pub(super) seq: u64,
    pub(super) ts_event: u64,
    pub(super) delta: i32,
    pub(super) flags: u8,
}

/// What distinguishes one MBO record of a message from the next.
#[derive(Clone, Copy)]
pub(super) struct Mbo {
    pub(super) id: u32,
    pub(super) order: u64,
    pub(super) action: u8,
    pub(super) side: u8,
    pub(super) price: i64,
    pub(super) size: u32,
}

/// DBN's letter of a side.
pub(super) const fn letter(side: Side) -> u8 {
    match side {
        Side::Bid => b'B',
        Side::Ask => b'A',
    }
}

/// Quantities come from 32-bit fields and only shrink.
pub(super) fn size32(quantity: u64) -> u32 {
    u32::try_from(quantity).unwrap_or(u32::MAX)
}

/// Who publishes, as the configuration says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publisher {
    pub(super) id: u16,
    pub(super) channel: u8,
}

impl Publisher {
    pub(super) const fn of(feed: &FeedConfig) -> Self {
        Self { id: feed.publisher_id, channel: feed.channel_id }
    }

    #[inline]
    pub(super) fn mbo(self, at: &At<'_>, out: &mut Output, mbo: Mbo) {
        let record = MboMsg {
            hd: RecordHeader::new::<MboMsg>(rtype::MBO, self.id, mbo.id, at.ts_event),
            order_id: mbo.order,
            price: mbo.price,
            size: mbo.size,
            flags: FlagSet::new(at.flags),
            channel_id: self.channel,
            action: c(mbo.action),
            side: c(mbo.side),
            ts_recv: at.arrival.stamp.ns,
            ts_in_delta: at.delta,
            sequence: sequence32(at.seq),
        };
        out.put(Schema::Mbo, &record);
    }

    /// A trade in MBO and Trades; order 0, because nobody says whose it was.
    #[inline]
    pub(super) fn traded(self, at: &At<'_>, out: &mut Output, id: u32, side: u8, price: i64, size: u32) {
        self.mbo(at, out, Mbo { id, order: 0, action: b'T', side, price, size });
        let record = TradeMsg {
            hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, self.id, id, at.ts_event),
            price,
            size,
            action: c(b'T'),
            side: c(side),
            flags: FlagSet::new(at.flags),
            depth: 0,
            ts_recv: at.arrival.stamp.ns,
            ts_in_delta: at.delta,
            sequence: sequence32(at.seq),
        };
        out.put(Schema::Trades, &record);
    }
}
