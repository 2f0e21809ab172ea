//! ITCH messages that are not about orders: directory, states, auctions, and what has only a side row.

use super::{At, Itch50};
use crate::events::normalize::common::{c, price4, price8, put_text, sequence32};
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::itch50::messages::{
    BrokenTrade, CrossTrade, Imbalance, IpoQuoting, LuldCollar, MwcbLevels, MwcbStatus, OperationalHalt,
    ParticipantPosition, PriceDiscovery, RegSho, RetailInterest, StockDirectory, SystemEvent, TradingAction,
};
use dbn::{
    ImbalanceMsg, InstrumentDefMsg, RecordHeader, Schema, StatMsg, StatType, StatUpdateAction, StatusAction,
    StatusMsg, StatusReason, TradingEvent, TriState, UNDEF_PRICE, UNDEF_STAT_QUANTITY, rtype,
};
use std::fmt::{self, Write};

/// A padded field as people read it.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trim_ascii_end().escape_ascii().fmt(f)
    }
}

/// Prices of 0 mean none here.
fn price4_or_none(price: u32) -> i64 {
    if price == 0 { UNDEF_PRICE } else { price4(price) }
}

/// What a status record says of trading, quoting and short selling.
#[derive(Clone, Copy)]
struct Status {
    action: StatusAction,
    reason: StatusReason,
    trading: TriState,
    quoting: TriState,
    short_restricted: TriState,
}

impl Itch50 {
    pub(super) fn reference(&mut self, kind: u8, message: &[u8], at: &At<'_>, out: &mut Output) {
        match kind {
            b'S' => self.with(message, |this, m| this.system_event(at, m, out)),
            b'R' => self.with(message, |this, m| this.directory(at, m, out)),
            b'H' => self.with(message, |this, m| this.trading_action(at, m, out)),
            b'Y' => self.with(message, |this, m| this.reg_sho(at, m, out)),
            b'h' => self.with(message, |this, m| this.operational_halt(at, m, out)),
            b'I' => self.with(message, |this, m| this.imbalance(at, m, out)),
            b'B' => self.with(message, |this, m: &BrokenTrade| this.broken_trade(at, m, out)),
            b'L' => self.with(message, |this, m| this.participant(at, m, out)),
            b'V' => self.with(message, |this, m| this.mwcb_levels(at, m, out)),
            b'W' => self.with(message, |this, m: &MwcbStatus| {
                listed(at, m.level, b"123", out);
                this.other(at, 0, "MWCB status", format_args!("level={}", Text(&[m.level])), out);
            }),
            b'K' => self.with(message, |this, m| this.ipo_quoting(at, m, out)),
            b'J' => self.with(message, |this, m| this.luld_collar(at, m, out)),
            b'N' => self.with(message, |this, m: &RetailInterest| {
                listed(at, m.interest, b"BSAN", out);
                let id = this.instrument(at, m.common.locate, m.stock, out).id;
                let interest = [m.interest];
                this.other(at, id, "retail interest", format_args!("interest={}", Text(&interest)), out);
            }),
            b'O' => self.with(message, |this, m| this.price_discovery(at, m, out)),
            _ => {}
        }
    }

    fn other(&mut self, at: &At<'_>, id: u32, message: &str, fields: fmt::Arguments<'_>, out: &mut Output) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Writing into memory does not fail.
        let _ = text.write_fmt(fields);
        out.side(&SideRow::Other {
            at_ns: at.arrival.stamp.ns,
            ts_event: at.ts_event,
            instrument_id: id,
            seq: at.seq,
            message,
            fields: &text,
        });
        self.text = text;
    }

    fn system_event(&mut self, at: &At<'_>, event: &SystemEvent, out: &mut Output) {
        listed(at, event.event, b"OSQMEC", out);
        self.other(at, 0, "system event", format_args!("event={}", Text(&[event.event])), out);
    }

    fn directory(&mut self, at: &At<'_>, stock: &StockDirectory, out: &mut Output) {
        let locate = stock.common.locate;
        let known = self.instruments.get(usize::from(locate)).is_some_and(|instrument| instrument.known);
        let id = if known { self.id(locate.into()) } else { self.learn(at, locate, stock.stock, out).id };
        let mut record = InstrumentDefMsg {
            hd: RecordHeader::new::<InstrumentDefMsg>(
                rtype::INSTRUMENT_DEF,
                self.publisher.id,
                id,
                at.ts_event,
            ),
            ts_recv: at.arrival.stamp.ns,
            raw_instrument_id: locate.into(),
            min_lot_size_round_lot: i32::try_from(stock.round_lot).unwrap_or(i32::MAX),
            channel_id: self.publisher.channel.into(),
            instrument_class: c(b'K'),
            security_update_action: c(b'A'),
            ..InstrumentDefMsg::default()
        };
        put_text(&mut record.raw_symbol, &stock.stock);
        put_text(&mut record.currency, b"USD");
        put_text(&mut record.exchange, b"XNAS");
        put_text(&mut record.group, &[stock.market_category]);
        put_text(&mut record.secsubtype, &stock.subtype);
        out.put(Schema::Definition, &record);
        let fields = format_args!(
            "market_category={} financial_status={} round_lots_only={} classification={} authenticity={} \
             short_sale_threshold={} ipo={} luld_tier={} etp={} etp_leverage={} inverse={}",
            Text(&[stock.market_category]),
            Text(&[stock.financial_status]),
            Text(&[stock.round_lots_only]),
            Text(&[stock.classification]),
            Text(&[stock.authenticity]),
            Text(&[stock.short_sale_threshold]),
            Text(&[stock.ipo]),
            Text(&[stock.luld_tier]),
            Text(&[stock.etp]),
            stock.etp_leverage,
            Text(&[stock.inverse]),
        );
        self.other(at, id, "stock directory", fields, out);
    }

    fn status(&mut self, at: &At<'_>, id: u32, status: Status, out: &mut Output) {
        let record = StatusMsg {
            hd: RecordHeader::new::<StatusMsg>(rtype::STATUS, self.publisher.id, id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            action: status.action as u16,
            reason: status.reason as u16,
            trading_event: TradingEvent::None as u16,
            is_trading: c(status.trading as u8),
            is_quoting: c(status.quoting as u8),
            is_short_sell_restricted: c(status.short_restricted as u8),
            ..StatusMsg::default()
        };
        out.put(Schema::Status, &record);
    }

    fn trading_action(&mut self, at: &At<'_>, action: &TradingAction, out: &mut Output) {
        let id = self.instrument(at, action.common.locate, action.stock, out).id;
        let (status, trading, quoting) = match action.state {
            b'H' => (StatusAction::Halt, TriState::No, TriState::No),
            b'P' => (StatusAction::Pause, TriState::No, TriState::No),
            b'Q' => (StatusAction::Quoting, TriState::No, TriState::Yes),
            b'T' => (StatusAction::Trading, TriState::Yes, TriState::Yes),
            other => return out.broken(Rule::FieldUnknown, at.arrival, at.seq, other.into()),
        };
        let reason = halt_reason(action.reason);
        let short_restricted = TriState::NotAvailable;
        self.status(at, id, Status { action: status, reason, trading, quoting, short_restricted }, out);
        self.settle(action.common.locate).state = action.state;
        self.look_crossed(at, action.common.locate.into());
    }

    fn reg_sho(&mut self, at: &At<'_>, sho: &RegSho, out: &mut Output) {
        let id = self.instrument(at, sho.common.locate, sho.stock, out).id;
        listed(at, sho.action, b"012", out);
        let short_restricted = match sho.action {
            b'0' => TriState::No,
            b'1' | b'2' => TriState::Yes,
            _ => TriState::NotAvailable,
        };
        let (trading, quoting) = (TriState::NotAvailable, TriState::NotAvailable);
        let (action, reason) = (StatusAction::SsrChange, StatusReason::Regulatory);
        self.status(at, id, Status { action, reason, trading, quoting, short_restricted }, out);
    }

    /// A halt on Nasdaq itself is a status; one on its sister markets is only told beside.
    fn operational_halt(&mut self, at: &At<'_>, halt: &OperationalHalt, out: &mut Output) {
        let id = self.instrument(at, halt.common.locate, halt.stock, out).id;
        listed(at, halt.market, b"QBX", out);
        listed(at, halt.action, b"HT", out);
        let (action, trading) = match halt.action {
            b'H' => (StatusAction::Halt, TriState::No),
            _ => (StatusAction::Trading, TriState::Yes),
        };
        if halt.market == b'Q' && matches!(halt.action, b'H' | b'T') {
            let reason = StatusReason::Operational;
            let short_restricted = TriState::NotAvailable;
            self.status(at, id, Status { action, reason, trading, quoting: trading, short_restricted }, out);
            self.settle(halt.common.locate).state = halt.action;
            self.look_crossed(at, halt.common.locate.into());
        }
        let fields = format_args!("market={} action={}", Text(&[halt.market]), Text(&[halt.action]));
        self.other(at, id, "operational halt", fields, out);
    }

    fn imbalance(&mut self, at: &At<'_>, noii: &Imbalance, out: &mut Output) {
        let id = self.instrument(at, noii.common.locate, noii.stock, out).id;
        listed(at, noii.direction, b"BSNOP", out);
        listed(at, noii.cross, b"OCHA", out);
        let side = match noii.direction {
            b'B' => b'B',
            b'S' => b'A',
            _ => b'N',
        };
        let record = ImbalanceMsg {
            hd: RecordHeader::new::<ImbalanceMsg>(rtype::IMBALANCE, self.publisher.id, id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            ref_price: price4_or_none(noii.reference),
            cont_book_clr_price: price4_or_none(noii.near),
            auct_interest_clr_price: price4_or_none(noii.far),
            paired_qty: wide(at, id, "paired_qty", noii.paired, out),
            total_imbalance_qty: wide(at, id, "total_imbalance_qty", noii.imbalance, out),
            auction_type: c(noii.cross),
            side: c(side),
            significant_imbalance: c(noii.variation),
            ..ImbalanceMsg::default()
        };
        out.put(Schema::Imbalance, &record);
    }

    /// A cross; one of no shares says that there was none.
    pub(super) fn cross(&mut self, at: &At<'_>, cross: &CrossTrade, out: &mut Output) {
        let id = self.instrument(at, cross.common.locate, cross.stock, out).id;
        listed(at, cross.cross, b"OCHIA", out);
        if cross.shares == 0 {
            return self.other(
                at,
                id,
                "cross trade",
                format_args!("shares=0 cross={}", Text(&[cross.cross])),
                out,
            );
        }
        let price = price4(cross.price);
        if cross.price == 0 {
            out.broken(Rule::PriceInvalid, at.arrival, at.seq, price);
        }
        let size = wide(at, id, "size", cross.shares, out);
        self.publisher.traded(at, out, id, b'N', price, size);
        let stat_type = match cross.cross {
            b'O' => StatType::OpeningPrice,
            b'C' => StatType::ClosePrice,
            _ => return,
        };
        let record = StatMsg {
            hd: RecordHeader::new::<StatMsg>(rtype::STATISTICS, self.publisher.id, id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            price,
            quantity: i64::try_from(cross.shares).unwrap_or(UNDEF_STAT_QUANTITY),
            sequence: sequence32(at.seq),
            ts_in_delta: at.delta,
            stat_type: stat_type as u16,
            channel_id: self.publisher.channel.into(),
            update_action: StatUpdateAction::New as u8,
            ..StatMsg::default()
        };
        out.put(Schema::Statistics, &record);
    }

    fn broken_trade(&mut self, at: &At<'_>, broken: &BrokenTrade, out: &mut Output) {
        out.side(&SideRow::Break {
            at_ns: at.arrival.stamp.ns,
            ts_event: at.ts_event,
            instrument_id: self.id(broken.common.locate.into()),
            seq: at.seq,
            trade: broken.match_number,
        });
    }

    fn participant(&mut self, at: &At<'_>, position: &ParticipantPosition, out: &mut Output) {
        let id = self.instrument(at, position.common.locate, position.stock, out).id;
        listed(at, position.mode, b"NPSRL", out);
        listed(at, position.state, b"AEWSD", out);
        let fields = format_args!(
            "mpid={} primary={} mode={} state={}",
            Text(&position.mpid),
            Text(&[position.primary]),
            Text(&[position.mode]),
            Text(&[position.state]),
        );
        self.other(at, id, "market participant position", fields, out);
    }

    /// The levels in 1e-9, as every price here.
    fn mwcb_levels(&mut self, at: &At<'_>, levels: &MwcbLevels, out: &mut Output) {
        let [level1, level2, level3] = [levels.level1, levels.level2, levels.level3].map(|level| {
            price8(level).unwrap_or_else(|| {
                out.broken(Rule::PriceInvalid, at.arrival, at.seq, level.cast_signed());
                UNDEF_PRICE
            })
        });
        let fields = format_args!("level1={level1} level2={level2} level3={level3}");
        self.other(at, 0, "MWCB decline level", fields, out);
    }

    fn ipo_quoting(&mut self, at: &At<'_>, ipo: &IpoQuoting, out: &mut Output) {
        let id = self.instrument(at, ipo.common.locate, ipo.stock, out).id;
        listed(at, ipo.qualifier, b"AC", out);
        let (qualifier, price) = ([ipo.qualifier], price4(ipo.price));
        let fields = format_args!("release_s={} qualifier={} price={price}", ipo.release_s, Text(&qualifier));
        self.other(at, id, "IPO quoting period update", fields, out);
    }

    fn luld_collar(&mut self, at: &At<'_>, collar: &LuldCollar, out: &mut Output) {
        let id = self.instrument(at, collar.common.locate, collar.stock, out).id;
        let [reference, upper, lower] = [collar.reference, collar.upper, collar.lower].map(price4);
        let fields =
            format_args!("reference={reference} upper={upper} lower={lower} extension={}", collar.extension);
        self.other(at, id, "LULD auction collar", fields, out);
    }

    fn price_discovery(&mut self, at: &At<'_>, listing: &PriceDiscovery, out: &mut Output) {
        let id = self.instrument(at, listing.common.locate, listing.stock, out).id;
        listed(at, listing.eligible, b"YN", out);
        let prices = [listing.minimum, listing.maximum, listing.near, listing.lower, listing.upper];
        let [minimum, maximum, near, lower, upper] = prices.map(price4);
        let fields = format_args!(
            "eligible={} minimum={minimum} maximum={maximum} near={near} near_ns={} lower={lower} upper={upper}",
            Text(&[listing.eligible]),
            listing.near_ns,
        );
        self.other(at, id, "direct listing price discovery", fields, out);
    }
}

/// An enumerated field should have one of these values.
fn listed(at: &At<'_>, value: u8, values: &[u8], out: &mut Output) {
    if !values.contains(&value) {
        out.broken(Rule::FieldUnknown, at.arrival, at.seq, value.into());
    }
}

/// A 64-bit quantity in DBN's 32 bits; if it does not fit, the side table has it whole.
fn wide(at: &At<'_>, id: u32, field: &str, value: u64, out: &mut Output) -> u32 {
    u32::try_from(value).unwrap_or_else(|_| {
        out.broken(Rule::TooWide, at.arrival, at.seq, value.cast_signed());
        out.side(&SideRow::Wide { at_ns: at.arrival.stamp.ns, instrument_id: id, seq: at.seq, field, value });
        u32::MAX
    })
}

/// Nasdaq's reason codes for trading actions, as far as DBN has a word for them.
fn halt_reason(code: [u8; 4]) -> StatusReason {
    match &code {
        b"T1  " => StatusReason::NewsPending,
        b"T2  " => StatusReason::NewsReleased,
        b"T3  " => StatusReason::NewsAndResumptionTimes,
        b"T5  " | b"T7  " | b"LUDP" | b"LUDS" | b"M   " => StatusReason::LuldPause,
        b"T6  " => StatusReason::MarketEvent,
        b"T8  " => StatusReason::Etf,
        b"T12 " => StatusReason::AdditionalInformationRequested,
        b"H4  " => StatusReason::NonCompliance,
        b"H9  " => StatusReason::FilingsNotCurrent,
        b"H10 " => StatusReason::SecTradingSuspension,
        b"H11 " => StatusReason::Regulatory,
        b"O1  " => StatusReason::Operational,
        b"IPO1" => StatusReason::NewIssue,
        b"IPOQ" => StatusReason::IssueAvailable,
        b"M1  " => StatusReason::CorporateAction,
        b"M2  " => StatusReason::QuotationNotAvailable,
        b"MWC1" => StatusReason::MarketWideHaltLevel1,
        b"MWC2" => StatusReason::MarketWideHaltLevel2,
        b"MWC3" => StatusReason::MarketWideHaltLevel3,
        b"MWC0" => StatusReason::MarketWideHaltCarryover,
        b"MWCQ" => StatusReason::MarketWideHaltResumption,
        b"R4  " => StatusReason::IssuesReviewed,
        b"R9  " => StatusReason::FilingReqsSatisfied,
        b"C3  " => StatusReason::NewsNotForthcoming,
        _ => StatusReason::None,
    }
}
