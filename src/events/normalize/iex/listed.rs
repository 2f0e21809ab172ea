//! What IEX says of the securities that are listed on it: directory, official prices, auctions.

use super::{Iex, Moment};
use crate::events::normalize::common::{c, put_text};
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::feed::iex::{AuctionInformation, OfficialPrice, SecurityDirectory};
use crate::time::NS_PER_SEC;
use dbn::{
    ImbalanceMsg, InstrumentClass, InstrumentDefMsg, Schema, SecurityUpdateAction, Side, StatMsg, StatType,
    UNDEF_TIMESTAMP, rtype,
};

impl Iex {
    /// A definition: symbol, round lot, stock. What DBN has no field for (flags, adjusted closing price, tier) is in the side row.
    pub(super) fn directory(
        &mut self,
        directory: SecurityDirectory<'_>,
        at: usize,
        moment: &Moment,
        out: &mut Output,
    ) {
        let Some(instrument) = self.instruments.get_mut(at) else { return };
        let (id, was_defined) = (instrument.id, instrument.defined);
        instrument.defined = true;
        let action = if was_defined { SecurityUpdateAction::Modify } else { SecurityUpdateAction::Add };
        let round_lot = i32::try_from(directory.round_lot()).unwrap_or_else(|_| {
            out.broken(Rule::TooWide, &moment.arrival, moment.seq, i64::from(directory.round_lot()));
            i32::MAX
        });
        let mut record = InstrumentDefMsg {
            hd: self.header::<InstrumentDefMsg>(rtype::INSTRUMENT_DEF, id, moment),
            ts_recv: moment.arrival.stamp.ns,
            raw_instrument_id: u64::from(id),
            min_lot_size_round_lot: round_lot,
            channel_id: u16::from(self.channel_id),
            instrument_class: c(InstrumentClass::Stock as u8),
            security_update_action: c(action as u8),
            ..InstrumentDefMsg::default()
        };
        let symbol = self.numbering.list().get(at).map_or("", |(_, symbol)| symbol);
        put_text(&mut record.raw_symbol, symbol.as_bytes());
        put_text(&mut record.currency, b"USD");
        put_text(&mut record.exchange, b"IEXG");
        out.put(Schema::Definition, &record);
    }

    pub(super) fn official(
        &mut self,
        official: OfficialPrice<'_>,
        id: u32,
        moment: &Moment,
        out: &mut Output,
    ) {
        let kind = match official.price_type() {
            b'Q' => StatType::OpeningPrice,
            b'M' => StatType::ClosePrice,
            _ => StatType::VenueSpecificPrice1,
        };
        let record = StatMsg {
            hd: self.header::<StatMsg>(rtype::STATISTICS, id, moment),
            ts_recv: moment.arrival.stamp.ns,
            price: moment.positive_price(official.price(), out),
            sequence: moment.sequence(),
            ts_in_delta: moment.ts_in_delta,
            stat_type: kind as u16,
            channel_id: u16::from(self.channel_id),
            ..StatMsg::default()
        };
        out.put(Schema::Statistics, &record);
    }

    /// An imbalance: prices of 0 are undefined. The collar's reference price is in the side row.
    pub(super) fn auction(
        &mut self,
        auction: AuctionInformation<'_>,
        id: u32,
        moment: &Moment,
        out: &mut Output,
    ) {
        let scheduled_ns = match auction.scheduled_s() {
            0 => UNDEF_TIMESTAMP,
            seconds => u64::from(seconds) * NS_PER_SEC,
        };
        let side = match auction.imbalance_side() {
            b'B' => Side::Bid,
            b'S' => Side::Ask,
            _ => Side::None,
        };
        let record = ImbalanceMsg {
            hd: self.header::<ImbalanceMsg>(rtype::IMBALANCE, id, moment),
            ts_recv: moment.arrival.stamp.ns,
            ref_price: moment.price_or_none(auction.reference_price(), out),
            auction_time: scheduled_ns,
            cont_book_clr_price: moment.price_or_none(auction.indicative_price(), out),
            auct_interest_clr_price: moment.price_or_none(auction.auction_book_price(), out),
            upper_collar: moment.price_or_none(auction.upper_collar(), out),
            lower_collar: moment.price_or_none(auction.lower_collar(), out),
            paired_qty: auction.paired(),
            total_imbalance_qty: auction.imbalance(),
            auction_type: c(auction.auction_type()),
            side: c(side as u8),
            num_extensions: auction.extensions(),
            ..ImbalanceMsg::default()
        };
        out.put(Schema::Imbalance, &record);
    }
}
