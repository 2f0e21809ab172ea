//! PITCH messages that are not about orders: definitions, states, breaks, and what has only a side row.

use super::{At, Pitch, name_of, price_of};
use crate::events::normalize::common::{c, put_text};
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::pitch::{FutureDefinition, Mapping, Message, Status};
use dbn::{
    InstrumentDefMsg, RecordHeader, Schema, StatusAction, StatusMsg, StatusReason, TradingEvent, TriState,
    UNDEF_PRICE, rtype,
};
use std::fmt::Write;

impl Pitch {
    pub(super) fn reference(&mut self, message: &Message<'_>, at: &At<'_>, out: &mut Output) {
        match message {
            Message::Status(status) => self.status(status, at, out),
            Message::Mapping(mapping) => self.mapping(mapping, at, out),
            Message::FutureDefinition(future) => self.future(future, at, out),
            Message::Break(broken) => out.side(&SideRow::Break {
                at_ns: at.arrival.stamp.ns,
                ts_event: at.ts_event,
                instrument_id: 0,
                seq: at.seq,
                trade: broken.execution,
            }),
            Message::ComplexDefinition { symbol, .. } => {
                let id = self.signed(symbol, at, out);
                other(message, id, at, out);
            }
            message => other(message, 0, at, out),
        }
    }

    /// An instrument whose prices may be negative; answers its id.
    fn signed(&mut self, symbol: &[u8], at: &At<'_>, out: &mut Output) -> u32 {
        let Some((place, instrument)) = self.instrument(symbol, at, out) else { return 0 };
        if let Some(entry) = self.instruments.get_mut(place as usize) {
            entry.signed = true;
        }
        instrument.id
    }

    fn status(&mut self, status: &Status<'_>, at: &At<'_>, out: &mut Output) {
        use StatusAction as Action;
        use TriState::{No, Yes};
        let Some((_, instrument)) = self.instrument(status.symbol, at, out) else { return };
        let (action, trading, quoting) = match status.status {
            b'A' => (Action::PreOpen, No, Yes),
            b'H' => (Action::Halt, No, No),
            b'Q' => (Action::Quoting, No, Yes),
            b'R' => (Action::Rotation, No, Yes),
            b'S' => (Action::Suspend, No, No),
            b'T' | b'L' => (Action::Trading, Yes, Yes),
            other => return out.broken(Rule::FieldUnknown, at.arrival, at.seq, other.into()),
        };
        let short_restricted = match status.reg_sho {
            b'0' => No,
            b'1' => Yes,
            _ => TriState::NotAvailable,
        };
        let record = StatusMsg {
            hd: RecordHeader::new::<StatusMsg>(rtype::STATUS, self.publisher.id, instrument.id, at.ts_event),
            ts_recv: at.arrival.stamp.ns,
            action: action as u16,
            reason: StatusReason::None as u16,
            trading_event: TradingEvent::None as u16,
            is_trading: c(trading as u8),
            is_quoting: c(quoting as u8),
            is_short_sell_restricted: c(short_restricted as u8),
            ..StatusMsg::default()
        };
        out.put(Schema::Status, &record);
    }

    /// An option series.
    fn mapping(&mut self, mapping: &Mapping<'_>, at: &At<'_>, out: &mut Output) {
        let Some((_, instrument)) = self.instrument(mapping.symbol, at, out) else { return };
        let mut record = self.definition(instrument.id, at);
        put_text(&mut record.raw_symbol, mapping.osi);
        if let Some(underlying) = mapping.tail.get(..8) {
            put_text(&mut record.underlying, underlying);
        }
        if let Some(osi) = Osi::parse(mapping.osi) {
            (record.maturity_year, record.maturity_month, record.maturity_day) = osi.expiry;
            record.instrument_class = c(osi.class);
            record.strike_price = osi.strike;
            put_text(&mut record.asset, osi.root);
        } else {
            out.broken(Rule::FieldUnknown, at.arrival, at.seq, 0);
        }
        out.put(Schema::Definition, &record);
    }

    /// A future, or a spread of futures.
    fn future(&mut self, future: &FutureDefinition<'_>, at: &At<'_>, out: &mut Output) {
        let spread = future.legs > 0;
        let id = if spread {
            self.signed(future.symbol, at, out)
        } else {
            let Some((_, instrument)) = self.instrument(future.symbol, at, out) else { return };
            instrument.id
        };
        let mut record = self.definition(id, at);
        put_text(&mut record.raw_symbol, future.symbol);
        put_text(&mut record.asset, future.report_symbol);
        record.instrument_class = c(if spread { b'S' } else { b'F' });
        record.min_price_increment = price_of(future.price_increment, false, at, out);
        let (year, day) = (future.expiration / 10_000, future.expiration % 100);
        record.maturity_year = u16::try_from(year).unwrap_or(u16::MAX);
        record.maturity_month = u8::try_from(future.expiration / 100 % 100).unwrap_or(u8::MAX);
        record.maturity_day = u8::try_from(day).unwrap_or(u8::MAX);
        record.contract_multiplier = i32::from(future.contract_size);
        out.put(Schema::Definition, &record);
        if spread {
            // Its legs.
            other(&Message::FutureDefinition(*future), id, at, out);
        }
    }

    fn definition(&self, id: u32, at: &At<'_>) -> InstrumentDefMsg {
        InstrumentDefMsg {
            hd: RecordHeader::new::<InstrumentDefMsg>(
                rtype::INSTRUMENT_DEF,
                self.publisher.id,
                id,
                at.ts_event,
            ),
            ts_recv: at.arrival.stamp.ns,
            raw_instrument_id: u64::from(id),
            channel_id: u16::from(self.publisher.channel),
            security_update_action: c(b'A'),
            strike_price: UNDEF_PRICE,
            ..InstrumentDefMsg::default()
        }
    }
}

/// An option's OSI symbol, taken apart.
struct Osi<'a> {
    root: &'a [u8],
    expiry: (u16, u8, u8),
    class: u8,
    /// 1e-9.
    strike: i64,
}

impl<'a> Osi<'a> {
    /// Root (6), yymmdd, `C` or `P`, strike with three decimals (8 digits).
    fn parse(symbol: &'a [u8]) -> Option<Self> {
        let (root, rest) = symbol.split_at_checked(6)?;
        let (date, rest) = rest.split_at_checked(6)?;
        let (class, strike) = rest.split_first()?;
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
        let date = number(date)?;
        if strike.len() != 8 || !matches!(class, b'C' | b'P') {
            return None;
        }
        let year = u16::try_from(2_000 + date / 10_000).ok()?;
        let expiry = (year, u8::try_from(date / 100 % 100).ok()?, u8::try_from(date % 100).ok()?);
        Some(Self { root, expiry, class: *class, strike: i64::from(number(strike)?) * 1_000_000 })
    }
}

/// A side row with the message's bytes in hexadecimal, from the length byte on.
fn other(message: &Message<'_>, id: u32, at: &At<'_>, out: &mut Output) {
    let mut bytes = Vec::new();
    if !message.write(&mut bytes) {
        return;
    }
    let mut fields = String::with_capacity(6 + 2 * bytes.len());
    fields.push_str("bytes=");
    for byte in bytes {
        // Writing into memory does not fail.
        let _ = write!(fields, "{byte:02x}");
    }
    out.side(&SideRow::Other {
        at_ns: at.arrival.stamp.ns,
        ts_event: at.ts_event,
        instrument_id: id,
        seq: at.seq,
        message: name_of(message),
        fields: &fields,
    });
}
