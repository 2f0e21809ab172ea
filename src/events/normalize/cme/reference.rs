//! What instruments are, and the state that they are in.

use super::plan::{Definition, Fields, Parts, Plan, int, letter, text};
use super::{At, Cme, Instrument, price};
use crate::events::normalize::common::{c, put_text};
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::feed::mdp3::layout::{self, Field};
use crate::feed::mdp3::sbe::{Decimal, Message, Record};
use dbn::{
    InstrumentClass, InstrumentDefMsg, RecordHeader, Schema, StatusAction, StatusMsg, StatusReason,
    TradingEvent, rtype,
};

/// Instruments that there is room for: several times what a channel of the exchange has.
const INSTRUMENTS: usize = 1 << 20;

/// `SecurityTradingStatus`: what it is called, whether trades happen, whether quotes are taken (`~`: not said).
fn status_of(status: i64) -> Option<(StatusAction, u8, u8)> {
    Some(match status {
        2 => (StatusAction::Halt, b'N', b'N'),
        4 => (StatusAction::Close, b'N', b'N'),
        15 => (StatusAction::NewPriceIndication, b'N', b'Y'),
        17 | 201 | 202 => (StatusAction::Trading, b'Y', b'Y'),
        18 => (StatusAction::NotAvailableForTrading, b'N', b'N'),
        20 | 103 => (StatusAction::None, b'~', b'~'),
        21 => (StatusAction::PreOpen, b'N', b'Y'),
        24 => (StatusAction::PreCross, b'N', b'Y'),
        25 => (StatusAction::Cross, b'Y', b'Y'),
        26 => (StatusAction::PostClose, b'N', b'N'),
        _ => return None,
    })
}

fn reason_of(halt: i64) -> Option<StatusReason> {
    Some(match halt {
        0 | 7 => StatusReason::Scheduled,
        1 => StatusReason::SurveillanceIntervention,
        2 => StatusReason::MarketEvent,
        3 => StatusReason::InstrumentActivation,
        4 => StatusReason::InstrumentExpiration,
        5 => StatusReason::None,
        6 => StatusReason::RecoveryInProcess,
        _ => return None,
    })
}

fn event_of(event: i64) -> Option<TradingEvent> {
    Some(match event {
        0 | 7 => TradingEvent::None,
        1 => TradingEvent::NoCancel,
        4 => TradingEvent::ChangeTradingSession,
        5 => TradingEvent::ImpliedMatchingOn,
        6 => TradingEvent::ImpliedMatchingOff,
        _ => return None,
    })
}

/// Text of up to six bytes, filled up with zeros.
fn six(text: &[u8]) -> [u8; 6] {
    let mut six = [0; 6];
    for (to, from) in six.iter_mut().zip(text) {
        *to = *from;
    }
    six
}

impl Cme {
    pub(super) fn status(&mut self, message: &Message<'_>, fields: &Fields, at: &At<'_>, out: &mut Output) {
        let root = &message.root();
        let unknown =
            |value: i64, out: &mut Output| out.broken(Rule::FieldUnknown, at.arrival, at.seq, value);
        let said = int(root, fields.status.or(fields.workup));
        let (action, trading, quoting) = said.map_or((StatusAction::None, b'~', b'~'), |status| {
            status_of(status).unwrap_or_else(|| {
                unknown(status, out);
                (StatusAction::None, b'~', b'~')
            })
        });
        let halt = int(root, fields.halt).unwrap_or(5);
        let reason = reason_of(halt).unwrap_or_else(|| {
            unknown(halt, out);
            StatusReason::None
        });
        let event = int(root, fields.event).unwrap_or(0);
        let trading_event = event_of(event).unwrap_or_else(|| {
            unknown(event, out);
            TradingEvent::None
        });
        let record = |publisher_id, id| StatusMsg {
            hd: RecordHeader::new::<StatusMsg>(rtype::STATUS, publisher_id, id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            action: action as u16,
            reason: reason as u16,
            trading_event: trading_event as u16,
            is_trading: c(trading),
            is_quoting: c(quoting),
            ..StatusMsg::default()
        };
        if fields.id.is_some_and(|field| root.bits(field).is_some()) {
            out.put(Schema::Status, &record(self.publisher_id, self.id(root, fields.id)));
            return;
        }
        // Of a group, or of one product of it.
        let (group, asset) = (six(text(root, fields.group)), six(text(root, fields.asset)));
        for known in self.instruments.values() {
            if known.defined && known.group == group && (asset == [0; 6] || known.asset == asset) {
                out.put(Schema::Status, &record(self.publisher_id, known.id));
            }
        }
        self.row(root, message.template.root.fields, 0, at, out);
    }

    pub(super) fn definition(
        &mut self,
        message: &Message<'_>,
        plan: &Plan,
        instrument: layout::Instrument,
        at: &At<'_>,
        out: &mut Output,
    ) {
        let (root, fields) = (message.root(), &plan.definition);
        let symbol = text(&root, fields.symbol);
        let Some(security) =
            fields.id.and_then(|field| root.bits(field)).and_then(|id| u32::try_from(id).ok())
        else {
            return;
        };
        let Some(id) = self.define(security, symbol, &root, fields, at, out) else { return };
        let mut record = InstrumentDefMsg {
            hd: RecordHeader::new::<InstrumentDefMsg>(
                rtype::INSTRUMENT_DEF,
                self.publisher_id,
                id,
                at.ts_event,
            ),
            ts_recv: at.arrival.stamp.ns,
            raw_instrument_id: security.into(),
            channel_id: self.channel_id.into(),
            instrument_class: c(class(instrument, &root, fields)),
            ..InstrumentDefMsg::default()
        };
        numbers(&mut record, &root, fields, at, out);
        texts(&mut record, &root, fields);
        for entries in message.groups() {
            let Some(parts) = plan.parts.get(entries.place).filter(|_| entries.place != plan.legs) else {
                continue;
            };
            for entry in entries {
                part(&mut record, &entry, parts);
            }
        }
        let legs = message.entries(plan.legs);
        if legs.count == 0 {
            out.put(Schema::Definition, &record);
        }
        record.leg_count = legs.count.into();
        let Some(parts) = plan.parts.get(plan.legs) else { return };
        for (entry, index) in legs.zip(0..) {
            record.leg_index = index;
            self.leg(&mut record, &entry, parts, at, out);
            out.put(Schema::Definition, &record);
        }
    }

    /// Notes the instrument; answers its id in records, or `None` if there are more than there is room for.
    fn define(
        &mut self,
        security: u32,
        symbol: &[u8],
        root: &Record<'_>,
        fields: &Definition,
        at: &At<'_>,
        out: &mut Output,
    ) -> Option<u32> {
        if self.instruments.len() >= INSTRUMENTS && !self.instruments.contains_key(&security) {
            out.broken(Rule::InstrumentsFull, at.arrival, at.seq, security.into());
            return None;
        }
        let known = self.instruments.entry(security).or_default();
        if !known.defined {
            let wanted = std::str::from_utf8(symbol).ok().and_then(|symbol| self.wanted.get(symbol));
            let id = wanted.copied().unwrap_or(security);
            let (group, asset) = (six(text(root, fields.group)), six(text(root, fields.asset)));
            *known = Instrument { id, group, asset, defined: true };
            self.symbols.learn(id, symbol, at.arrival, out);
        }
        Some(known.id)
    }

    fn leg(
        &self,
        record: &mut InstrumentDefMsg,
        entry: &Record<'_>,
        parts: &Parts,
        at: &At<'_>,
        out: &mut Output,
    ) {
        record.leg_instrument_id = self.id(entry, parts.leg);
        record.leg_side = c(match int(entry, parts.leg_side) {
            Some(1) => b'B',
            Some(2) => b'A',
            _ => b'N',
        });
        let ratio = int(entry, parts.leg_ratio).and_then(|ratio| i32::try_from(ratio).ok());
        record.leg_ratio_qty_numerator = ratio.unwrap_or(0);
        record.leg_ratio_qty_denominator = 1;
        record.leg_price = price(entry, parts.leg_price, at, out);
        record.leg_delta = price(entry, parts.leg_delta, at, out);
    }
}

fn class(instrument: layout::Instrument, root: &Record<'_>, fields: &Definition) -> u8 {
    let class = match instrument {
        layout::Instrument::Future => InstrumentClass::Future,
        layout::Instrument::Option if int(root, fields.put_or_call) == Some(0) => InstrumentClass::Put,
        layout::Instrument::Option => InstrumentClass::Call,
        layout::Instrument::Spread => match text(root, fields.kind) {
            b"FUT" => InstrumentClass::FutureSpread,
            b"OOF" => InstrumentClass::OptionSpread,
            _ => InstrumentClass::MixedSpread,
        },
        layout::Instrument::FixedIncome | layout::Instrument::Repo => InstrumentClass::Bond,
        layout::Instrument::Fx => InstrumentClass::FxSpot,
    };
    class as u8
}

/// Puts a number where DBN has one, if there is one and it fits.
fn set<T: TryFrom<i64>>(to: &mut T, record: &Record<'_>, field: Option<&Field>) {
    if let Some(number) = int(record, field).and_then(|number| T::try_from(number).ok()) {
        *to = number;
    }
}

fn numbers(to: &mut InstrumentDefMsg, root: &Record<'_>, fields: &Definition, at: &At<'_>, out: &mut Output) {
    for (to, field) in [
        (&mut to.min_price_increment, fields.increment),
        (&mut to.display_factor, fields.display_factor),
        (&mut to.high_limit_price, fields.high),
        (&mut to.low_limit_price, fields.low),
        (&mut to.max_price_variation, fields.variation),
        (&mut to.unit_of_measure_qty, fields.unit_qty),
        (&mut to.min_price_increment_amount, fields.increment_amount),
        (&mut to.price_ratio, fields.ratio),
        (&mut to.strike_price, fields.strike),
    ] {
        *to = price(root, field, at, out);
    }
    set(&mut to.market_segment_id, root, fields.segment);
    set(&mut to.max_trade_vol, root, fields.max_volume);
    set(&mut to.min_trade_vol, root, fields.min_volume);
    set(&mut to.contract_multiplier, root, fields.multiplier);
    set(&mut to.decay_quantity, root, fields.decay_quantity);
    set(&mut to.original_contract_size, root, fields.original_size);
    set(&mut to.appl_id, root, fields.appl);
    set(&mut to.maturity_year, root, fields.year);
    set(&mut to.maturity_month, root, fields.month);
    set(&mut to.maturity_day, root, fields.day);
    set(&mut to.maturity_week, root, fields.week);
    set(&mut to.decay_start_date, root, fields.decay_start);
    set(&mut to.main_fraction, root, fields.main_fraction);
    set(&mut to.sub_fraction, root, fields.sub_fraction);
    set(&mut to.price_display_format, root, fields.display_format);
    set(&mut to.underlying_product, root, fields.product);
    set(&mut to.contract_multiplier_unit, root, fields.multiplier_unit);
    set(&mut to.flow_schedule_type, root, fields.flow);
    set(&mut to.tick_rule, root, fields.tick_rule);
}

fn texts(to: &mut InstrumentDefMsg, root: &Record<'_>, fields: &Definition) {
    put_text(&mut to.currency, text(root, fields.currency));
    put_text(&mut to.settl_currency, text(root, fields.settl_currency));
    put_text(&mut to.secsubtype, text(root, fields.subtype));
    put_text(&mut to.raw_symbol, text(root, fields.symbol));
    put_text(&mut to.group, text(root, fields.group));
    put_text(&mut to.exchange, text(root, fields.exchange));
    put_text(&mut to.asset, text(root, fields.asset));
    put_text(&mut to.cfi, text(root, fields.cfi));
    put_text(&mut to.security_type, text(root, fields.kind));
    put_text(&mut to.unit_of_measure, text(root, fields.unit));
    put_text(&mut to.strike_price_currency, text(root, fields.strike_currency));
    for (to, field) in [
        (&mut to.match_algorithm, fields.algorithm),
        (&mut to.security_update_action, fields.action),
        (&mut to.user_defined_instrument, fields.user_defined),
    ] {
        match letter(root, field) {
            0 => {}
            letter => *to = c(letter),
        }
    }
}

/// One entry of one of the groups besides the legs.
fn part(to: &mut InstrumentDefMsg, entry: &Record<'_>, parts: &Parts) {
    if let Some(time) = parts.event_time.and_then(|field| entry.bits(field)) {
        match int(entry, parts.event_type) {
            Some(5) => to.activation = time,
            Some(7) => to.expiration = time,
            _ => {}
        }
    }
    match text(entry, parts.feed_type) {
        b"GBX" => set(&mut to.market_depth, entry, parts.depth),
        b"GBI" => set(&mut to.market_depth_implied, entry, parts.depth),
        _ => {}
    }
    if let Some(bits) = parts.attributes.and_then(|field| entry.bits(field)) {
        // A bit set, in the field that DBN has for it.
        to.inst_attrib_value = u32::try_from(bits).unwrap_or(0).cast_signed();
    }
    if let Some(Decimal::Nano(lot)) = parts.min_lot.map(|field| entry.nano(field)) {
        let lot = i32::try_from(lot / 1_000_000_000).unwrap_or(i32::MAX);
        match int(entry, parts.lot_type) {
            Some(2) => to.min_lot_size_round_lot = lot,
            Some(3) => to.min_lot_size_block = lot,
            _ => to.min_lot_size = lot,
        }
    }
    if to.underlying_id == 0
        && let Some(id) = parts.underlying.and_then(|field| entry.bits(field))
    {
        to.underlying_id = u32::try_from(id).unwrap_or(0);
        put_text(&mut to.underlying, text(entry, parts.underlying_symbol));
    }
}
