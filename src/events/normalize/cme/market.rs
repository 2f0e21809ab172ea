//! Books, orders, trades and statistics.

use super::plan::{Fields, Plan, int, letter, quantity};
use super::{At, Cme, Mbo, NS_PER_DAY, Stat, price, size32};
use crate::events::normalize::common::{c, sequence32};
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::mdp3::layout::Field;
use crate::feed::mdp3::sbe::{Message, Record};
use dbn::{
    FlagSet, RecordHeader, Schema, StatType, StatUpdateAction, TradeMsg, UNDEF_ORDER_SIZE, UNDEF_PRICE,
    UNDEF_STAT_QUANTITY, UNDEF_TIMESTAMP, rtype,
};

/// `MDUpdateAction` and `OrderUpdateAction`.
const NEW: i64 = 0;
const CHANGE: i64 = 1;
const DELETE: i64 = 2;
const OVERLAY: i64 = 5;

/// What a book entry type is: side, and whose book.
fn book_side(kind: u8) -> Option<(char, bool)> {
    match kind {
        b'0' => Some(('B', false)),
        b'1' => Some(('A', false)),
        b'E' => Some(('B', true)),
        b'F' => Some(('A', true)),
        _ => None,
    }
}

fn order_side(kind: u8) -> u8 {
    match kind {
        b'0' => b'B',
        b'1' => b'A',
        _ => b'N',
    }
}

/// The statistic of an entry type; `flag` is `OpenCloseSettlFlag`.
fn stat_type(kind: u8, flag: Option<i64>) -> Option<StatType> {
    Some(match (kind, flag) {
        (b'4', Some(0) | None) => StatType::OpeningPrice,
        (b'4', Some(5)) => StatType::IndicativeOpeningPrice,
        (b'6', _) => StatType::SettlementPrice,
        (b'7', _) => StatType::TradingSessionHighPrice,
        (b'8', _) => StatType::TradingSessionLowPrice,
        (b'9', Some(100) | None) => StatType::Vwap,
        (b'B', _) => StatType::ClearedVolume,
        (b'C', _) => StatType::OpenInterest,
        (b'N', _) => StatType::HighestBid,
        (b'O', _) => StatType::LowestOffer,
        (b'W', _) => StatType::FixingPrice,
        (b'e', _) => StatType::VenueSpecificVolume1,
        _ => return None,
    })
}

fn counted(record: &Record<'_>, fields: &Fields) -> (u32, u32) {
    let number = |field| int(record, field).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    (number(fields.orders), number(fields.level))
}

fn level(
    entry: &Record<'_>,
    fields: &Fields,
    id: u32,
    gone: bool,
    last: bool,
    at: &At<'_>,
    out: &mut Output,
) {
    let Some((side, implied)) = book_side(letter(entry, fields.kind)) else { return };
    let price = price(entry, fields.px, at, out);
    let size = match quantity(entry, fields.size) {
        _ if gone => 0,
        Ok(None | Some(0)) => {
            // It would read as gone, and the feed did not say that.
            out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
            return;
        }
        Ok(Some(size)) => size,
        Err(negative) => {
            out.broken(Rule::QuantityNegative, at.arrival, at.seq, negative);
            return;
        }
    };
    let (orders, level) = counted(entry, fields);
    let (at_ns, ts_event, seq) = (at.arrival.stamp.ns, at.ts_event, at.seq);
    let of = match (at.flags & dbn::flags::SNAPSHOT != 0, implied) {
        (false, false) => {
            let instrument_id = id;
            out.side(&SideRow::Level {
                at_ns,
                ts_event,
                instrument_id,
                seq,
                side,
                price,
                size,
                orders,
                level,
                last,
            });
            return;
        }
        (false, true) => "implied",
        (true, false) => "snapshot",
        (true, true) => "snapshot-implied",
    };
    out.side(&SideRow::LevelOf {
        at_ns,
        ts_event,
        instrument_id: id,
        seq,
        of,
        side,
        price,
        size,
        orders,
        level,
        last,
    });
}

fn order_action(action: Option<i64>, at: &At<'_>, out: &mut Output) -> Option<u8> {
    match action {
        Some(NEW) => Some(b'A'),
        Some(CHANGE) => Some(b'M'),
        Some(DELETE) => Some(b'C'),
        other => {
            out.broken(Rule::FieldUnknown, at.arrival, at.seq, other.unwrap_or(-1));
            None
        }
    }
}

fn size(record: &Record<'_>, field: Option<&Field>, id: u32, at: &At<'_>, out: &mut Output) -> u32 {
    match quantity(record, field) {
        Ok(Some(size)) => size32(size, id, field.map_or("", |field| field.name), at, out),
        Ok(None) => UNDEF_ORDER_SIZE,
        Err(negative) => {
            out.broken(Rule::QuantityNegative, at.arrival, at.seq, negative);
            UNDEF_ORDER_SIZE
        }
    }
}

impl Cme {
    pub(super) fn book(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let entries = message.entries(plan.entries.place);
        let fields = &plan.entries.fields;
        let mut later = entries.clone();
        for entry in entries.clone() {
            later.next();
            let id = self.id(&entry, fields.id);
            match (letter(&entry, fields.kind), int(&entry, fields.action)) {
                (b'J', _) => self.clear(id, at, out),
                (kind, Some(action @ (NEW | CHANGE | DELETE | OVERLAY))) if book_side(kind).is_some() => {
                    let last = at.ends && later.clone().all(|entry| self.id(&entry, fields.id) != id);
                    level(&entry, fields, id, action == DELETE, last, at, out);
                }
                _ => {
                    let listed = entries.group.entry.fields;
                    self.row(&entry, listed, id, at, out);
                }
            }
        }
        let orders = &plan.orders.fields;
        for order in message.entries(plan.orders.place) {
            let reference = int(&order, orders.reference);
            let place = reference.and_then(|place| usize::try_from(place).ok()?.checked_sub(1));
            let Some(entry) = place.and_then(|place| entries.get(place)) else {
                out.broken(Rule::FieldUnknown, at.arrival, at.seq, reference.unwrap_or(-1));
                continue;
            };
            let Some(action) = order_action(int(&order, orders.order_action), at, out) else {
                continue;
            };
            let id = self.id(&entry, fields.id);
            let mbo = Mbo {
                id,
                order: orders.order.and_then(|field| order.bits(field)).unwrap_or(0),
                action,
                side: order_side(letter(&entry, fields.kind)),
                price: price(&entry, fields.px, at, out),
                size: size(&order, orders.display, id, at, out),
            };
            self.mbo(at, out, mbo);
        }
    }

    pub(super) fn order_book(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let fields = &plan.entries.fields;
        for entry in message.entries(plan.entries.place) {
            let id = self.id(&entry, fields.id);
            let kind = letter(&entry, fields.kind);
            if kind == b'J' {
                self.clear(id, at, out);
                continue;
            }
            let Some(action) = order_action(int(&entry, fields.action), at, out) else { continue };
            self.order(&entry, fields, id, action, at, out);
        }
    }

    fn order(&self, entry: &Record<'_>, fields: &Fields, id: u32, action: u8, at: &At<'_>, out: &mut Output) {
        let mbo = Mbo {
            id,
            order: fields.order.and_then(|field| entry.bits(field)).unwrap_or(0),
            action,
            side: order_side(letter(entry, fields.kind)),
            price: price(entry, fields.px, at, out),
            size: size(entry, fields.display, id, at, out),
        };
        self.mbo(at, out, mbo);
    }

    pub(super) fn order_snapshot(
        &mut self,
        message: &Message<'_>,
        plan: &Plan,
        at: &At<'_>,
        out: &mut Output,
    ) {
        let root = message.root();
        let id = self.id(&root, plan.root.id);
        if int(&root, plan.root.chunk) == Some(1) {
            self.clear(id, at, out);
        }
        for entry in message.entries(plan.entries.place) {
            self.order(&entry, &plan.entries.fields, id, b'A', at, out);
        }
    }

    pub(super) fn trades(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let fields = &plan.entries.fields;
        let mut fills = message.entries(plan.orders.place);
        let entries = message.entries(plan.entries.place);
        let listed = entries.group.entry.fields;
        for entry in entries {
            let id = self.id(&entry, fields.id);
            let price = price(&entry, fields.px, at, out);
            match int(&entry, fields.action) {
                Some(NEW) => self.trade(&entry, fields, id, price, at, out),
                Some(DELETE) => {
                    let number = fields.trade.or(fields.trade_id).and_then(|field| entry.bits(field));
                    let (at_ns, ts_event, trade) = (at.arrival.stamp.ns, at.ts_event, number.unwrap_or(0));
                    out.side(&SideRow::Break { at_ns, ts_event, instrument_id: id, seq: at.seq, trade });
                }
                _ => self.row(&entry, listed, id, at, out),
            }
            // The orders of the first trade come first, then those of the second.
            let (orders, _) = counted(&entry, fields);
            for fill in fills.by_ref().take(orders as usize) {
                let order = plan.orders.fields.order.and_then(|field| fill.bits(field)).unwrap_or(0);
                let size = size(&fill, plan.orders.fields.last_qty, id, at, out);
                self.mbo(at, out, Mbo { id, order, action: b'F', side: b'N', price, size });
            }
        }
    }

    fn trade(&self, entry: &Record<'_>, fields: &Fields, id: u32, price: i64, at: &At<'_>, out: &mut Output) {
        let side = match int(entry, fields.aggressor) {
            Some(1) => b'B',
            Some(2) => b'A',
            Some(0) | None => b'N',
            Some(other) => {
                out.broken(Rule::FieldUnknown, at.arrival, at.seq, other);
                b'N'
            }
        };
        let record = TradeMsg {
            hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, self.publisher_id, id, at.ts_event),
            price,
            size: size(entry, fields.size, id, at, out),
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

    /// Statistics whose entries name their instrument. Entries without a type are traded volume.
    pub(super) fn statistics(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let fields = &plan.entries.fields;
        let entries = message.entries(plan.entries.place);
        let listed = entries.group.entry.fields;
        for entry in entries {
            let id = self.id(&entry, fields.id);
            let kind = if fields.kind.is_none() { b'e' } else { letter(&entry, fields.kind) };
            if !self.statistic(&entry, fields, kind, id, at, out) {
                self.row(&entry, listed, id, at, out);
            }
        }
    }

    /// One statistic; false if DBN has no type for it.
    fn statistic(
        &self,
        entry: &Record<'_>,
        fields: &Fields,
        kind: u8,
        id: u32,
        at: &At<'_>,
        out: &mut Output,
    ) -> bool {
        let Some(kind) = stat_type(kind, int(entry, fields.open_close)) else { return false };
        let quantity = match quantity(entry, fields.size) {
            Ok(size) => size.map_or(UNDEF_STAT_QUANTITY, |size| i64::try_from(size).unwrap_or(i64::MAX)),
            Err(negative) => {
                out.broken(Rule::QuantityNegative, at.arrival, at.seq, negative);
                UNDEF_STAT_QUANTITY
            }
        };
        let day = int(entry, fields.day).and_then(|day| u64::try_from(day).ok());
        let gone = int(entry, fields.action) == Some(DELETE);
        let flags = int(entry, fields.settled).and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0);
        let stat = Stat {
            price: price(entry, fields.px, at, out),
            quantity,
            ts_ref: day.map_or(UNDEF_TIMESTAMP, |day| day * NS_PER_DAY),
            action: if gone { StatUpdateAction::Delete } else { StatUpdateAction::New } as u8,
            flags: if kind == StatType::SettlementPrice { flags } else { 0 },
        };
        self.stat(kind, id, at, &stat, out);
        true
    }

    pub(super) fn limits(
        &mut self,
        record: &Record<'_>,
        fields: &Fields,
        id: u32,
        at: &At<'_>,
        out: &mut Output,
    ) {
        for (kind, field) in
            [(StatType::UpperPriceLimit, fields.high), (StatType::LowerPriceLimit, fields.low)]
        {
            let price = price(record, field, at, out);
            // A limit that is null is one that is gone; in a snapshot, one that never was.
            if price == UNDEF_PRICE && at.flags & dbn::flags::SNAPSHOT != 0 {
                continue;
            }
            let gone = price == UNDEF_PRICE;
            let action = if gone { StatUpdateAction::Delete } else { StatUpdateAction::New } as u8;
            let stat =
                Stat { price, quantity: UNDEF_STAT_QUANTITY, ts_ref: UNDEF_TIMESTAMP, action, flags: 0 };
            self.stat(kind, id, at, &stat, out);
        }
        if let Some(variation) = fields.variation.filter(|field| record.bits(field).is_some()) {
            self.row(record, std::slice::from_ref(variation), id, at, out);
        }
    }

    pub(super) fn snapshot(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let root = message.root();
        let id = self.id(&root, plan.root.id);
        self.limits(&root, &plan.root, id, at, out);
        let fields = &plan.entries.fields;
        let entries = message.entries(plan.entries.place);
        let listed = entries.group.entry.fields;
        for entry in entries {
            let kind = letter(&entry, fields.kind);
            if book_side(kind).is_some() {
                level(&entry, fields, id, false, at.ends, at, out);
            } else if !self.statistic(&entry, fields, kind, id, at, out) {
                self.row(&entry, listed, id, at, out);
            }
        }
    }
}
