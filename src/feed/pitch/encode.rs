//! The way back, for generators and tests.

use super::message::{Executed, FutureDefinition, Mapping, Message, Price, Status};
use super::{HEADER_LEN, MESSAGE_HEADER_LEN};

impl Message<'_> {
    /// Appends the message, length byte first; false, and nothing written, if it is longer than 255 bytes or a field does not
    /// fit its form (a quantity above 65,535 in a short one, a symbol of another width).
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        out.extend_from_slice(&[0, self.kind()]);
        let fits = self.write_fields(out).is_some();
        match u8::try_from(out.len() - begin) {
            Ok(length) if fits => {
                if let Some(byte) = out.get_mut(begin) {
                    *byte = length;
                }
                true
            }
            _ => {
                out.truncate(begin);
                false
            }
        }
    }

    fn write_fields(&self, out: &mut Vec<u8>) -> Option<()> {
        let tail = match *self {
            Self::Time { seconds, tail } => {
                put(out, &[&seconds.to_le_bytes()]);
                tail
            }
            Self::UnitClear { offset_ns, tail } | Self::EndOfSession { offset_ns, tail } => {
                put(out, &[&offset_ns.to_le_bytes()]);
                tail
            }
            Self::TimeReference { midnight_s, seconds, offset_ns, trade_date, tail } => {
                for number in [midnight_s, seconds, offset_ns, trade_date] {
                    put(out, &[&number.to_le_bytes()]);
                }
                tail
            }
            Self::ComplexDefinition { offset_ns, symbol, underlying, tail } => {
                put(out, &[&offset_ns.to_le_bytes(), exactly(symbol, 6)?, exactly(underlying, 8)?]);
                tail
            }
            Self::Add(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes(), &[m.side]]);
                quantity(out, m.quantity, m.price)?;
                put(out, &[symbol_of(m.symbol, m.price)?]);
                price(out, m.price);
                m.tail
            }
            Self::Trade(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes(), &[m.side]]);
                quantity(out, m.quantity, m.price)?;
                put(out, &[symbol_of(m.symbol, m.price)?]);
                price(out, m.price);
                put(out, &[&m.execution.to_le_bytes()]);
                m.tail
            }
            Self::Executed(m) => executed(out, &m)?,
            Self::Reduce(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes()]);
                if m.short {
                    put(out, &[&u16::try_from(m.quantity).ok()?.to_le_bytes()]);
                } else {
                    put(out, &[&m.quantity.to_le_bytes()]);
                }
                m.tail
            }
            Self::Modify(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes()]);
                quantity(out, m.quantity, m.price)?;
                price(out, m.price);
                m.tail
            }
            Self::Delete(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes()]);
                m.tail
            }
            Self::Break(m) => {
                put(out, &[&m.offset_ns.to_le_bytes(), &m.execution.to_le_bytes()]);
                m.tail
            }
            Self::Mapping(Mapping { symbol, osi, condition, tail }) => {
                put(out, &[exactly(symbol, 6)?, exactly(osi, 21)?, &[condition]]);
                tail
            }
            Self::Status(Status { offset_ns, symbol, status, reg_sho, tail }) => {
                put(out, &[&offset_ns.to_le_bytes(), exactly(symbol, 8)?, &[status, reg_sho]]);
                tail
            }
            Self::FutureDefinition(m) => future_definition(out, &m)?,
            Self::Other { body, .. } => body,
        };
        put(out, &[tail]);
        Some(())
    }
}

fn executed<'a>(out: &mut Vec<u8>, m: &Executed<'a>) -> Option<&'a [u8]> {
    put(out, &[&m.offset_ns.to_le_bytes(), &m.order.to_le_bytes(), &m.quantity.to_le_bytes()]);
    if let Some(at) = m.at {
        put(out, &[&at.quantity.to_le_bytes()]);
    }
    put(out, &[&m.execution.to_le_bytes()]);
    if let Some(at) = m.at {
        long_price(out, at.price)?;
    }
    Some(m.tail)
}

fn future_definition<'a>(out: &mut Vec<u8>, m: &FutureDefinition<'a>) -> Option<&'a [u8]> {
    put(out, &[&m.offset_ns.to_le_bytes(), exactly(m.symbol, 6)?, &m.unit_time_s.to_le_bytes()]);
    put(out, &[exactly(m.report_symbol, 6)?, &[m.flags], &m.expiration.to_le_bytes()]);
    put(out, &[&m.contract_size.to_le_bytes(), &[m.listing_state]]);
    long_price(out, m.price_increment)?;
    put(out, &[&[m.legs, m.leg_offset]]);
    Some(m.tail)
}

fn put(out: &mut Vec<u8>, fields: &[&[u8]]) {
    for field in fields {
        out.extend_from_slice(field);
    }
}

fn exactly(text: &[u8], width: usize) -> Option<&[u8]> {
    (text.len() == width).then_some(text)
}

/// 6 bytes; 8 in the expanded form, which has no short price.
fn symbol_of(symbol: &[u8], price: Price) -> Option<&[u8]> {
    match (symbol.len(), price) {
        (6, _) | (8, Price::Long(_)) => Some(symbol),
        _ => None,
    }
}

fn quantity(out: &mut Vec<u8>, quantity: u32, form: Price) -> Option<()> {
    match form {
        Price::Short(_) => put(out, &[&u16::try_from(quantity).ok()?.to_le_bytes()]),
        Price::Long(_) => put(out, &[&quantity.to_le_bytes()]),
    }
    Some(())
}

fn price(out: &mut Vec<u8>, price: Price) {
    match price {
        Price::Short(price) => put(out, &[&price.to_le_bytes()]),
        Price::Long(price) => put(out, &[&price.to_le_bytes()]),
    }
}

fn long_price(out: &mut Vec<u8>, price: Price) -> Option<()> {
    let Price::Long(price) = price else { return None };
    put(out, &[&price.to_le_bytes()]);
    Some(())
}

/// Writes one datagram: a sequenced unit header and messages.
#[derive(Debug)]
pub struct UnitEncoder<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    count: u8,
}

impl<'a> UnitEncoder<'a> {
    /// Appends the header; `sequence` is the first message's number, 0 for what is not sequenced.
    pub fn begin(out: &'a mut Vec<u8>, unit: u8, sequence: u32) -> Self {
        let begin = out.len();
        out.extend_from_slice(&[8, 0, 0, unit]);
        out.extend_from_slice(&sequence.to_le_bytes());
        Self { out, begin, count: 0 }
    }

    /// Appends a message as it stands, length byte first; false, and nothing written, if its length byte lies or there is no room for it.
    pub fn raw(&mut self, message: &[u8]) -> bool {
        let honest = message.len() >= MESSAGE_HEADER_LEN
            && message.first().copied().map(usize::from) == Some(message.len());
        let room = u16::try_from(self.out.len() - self.begin + message.len()).is_ok() && self.count < u8::MAX;
        if honest && room {
            self.out.extend_from_slice(message);
            self.count += 1;
        }
        honest && room
    }

    /// Appends a message; false, and nothing written, if it cannot be written ([`Message::write`]) or there is no room for it.
    pub fn message(&mut self, message: &Message<'_>) -> bool {
        let length = self.out.len();
        if self.count == u8::MAX || !message.write(self.out) {
            return false;
        }
        if self.out.len() - self.begin > usize::from(u16::MAX) {
            self.out.truncate(length);
            return false;
        }
        self.count += 1;
        true
    }

    /// Writes length and count into the header; answers the count. Without messages it is a heartbeat.
    pub fn finish(self) -> u8 {
        debug_assert!(self.out.len() >= self.begin + HEADER_LEN, "the header is there");
        let length = u16::try_from(self.out.len() - self.begin).unwrap_or(u16::MAX);
        let [low, high] = length.to_le_bytes();
        if let Some(header) = self.out.get_mut(self.begin..).and_then(|unit| unit.first_chunk_mut::<3>()) {
            *header = [low, high, self.count];
        }
        self.count
    }
}
