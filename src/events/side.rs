//! The side table: what DBN cannot carry, one JSON object a line.
//!
//! Integers are exact (prices are 1e-9 fixed-point integers, as in DBN); `at_ns` is the stamp of the packet that the row is about.

use serde::Serialize;

/// A row.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SideRow<'a> {
    /// Messages missing on every line, declared when the hold time was over.
    Gap {
        /// Stamp of the packet that showed it, ns.
        at_ns: u64,
        /// Sequence space, as people write it.
        session: &'a str,
        /// First missing number.
        first: u64,
        /// How many.
        count: u64,
        /// Stamp of the last packet before it on any line, ns.
        since_ns: u64,
    },
    /// What the loss ledger says of a gap, once it is settled.
    GapCause {
        /// When the ledger was settled, ns of tape time.
        at_ns: u64,
        /// Sequence space.
        session: &'a str,
        /// First missing number.
        first: u64,
        /// How many.
        count: u64,
        /// `upstream` (nothing was lost here) or `maybe-local`.
        cause: &'a str,
        /// Packets lost here between the packet before the gap and the one that showed it.
        lost_here: u64,
        /// Lines that went on past the gap without its messages, separated by spaces.
        lines: &'a str,
    },
    /// Messages missing on one line that another brought, or that came late.
    Fill {
        /// Stamp of the packet that filled, ns.
        at_ns: u64,
        /// Sequence space.
        session: &'a str,
        /// First filled number.
        first: u64,
        /// How many.
        count: u64,
        /// The line that had missed them.
        line: &'a str,
        /// The line that brought them.
        by: &'a str,
        /// True if they had been declared missing before.
        late: bool,
    },
    /// A sequence space began.
    Epoch {
        /// Stamp, ns.
        at_ns: u64,
        /// Sequence space.
        session: &'a str,
        /// First number.
        first: u64,
        /// `first`, `session`, `restart` or `reset`.
        why: &'a str,
    },
    /// A rule was broken.
    Rule {
        /// Stamp, ns.
        at_ns: u64,
        /// Its name.
        rule: &'a str,
        /// `info`, `warning` or `error`.
        severity: crate::feed::Severity,
        /// Line, if it is about one.
        line: &'a str,
        /// Sequence number, if it is about one.
        seq: u64,
        /// The value that broke it (ns, a price, a quantity, an order number).
        value: i64,
    },
    /// How often each rule was broken; at the end.
    RuleCount {
        /// Its name.
        rule: &'a str,
        /// Severity in force.
        severity: crate::feed::Severity,
        /// How often.
        count: u64,
    },
    /// Race between two lines, per second of tape time in which both brought the same messages.
    Race {
        /// End of the interval, ns.
        at_ns: u64,
        /// The earlier-named line.
        line: &'a str,
        /// The other.
        other: &'a str,
        /// Messages that both brought.
        messages: u64,
        /// Of these, those that `line` brought first.
        wins: u64,
        /// Median lead of `line` (negative: it was later), ns.
        p50_ns: i64,
        /// Smallest lead, ns.
        min_ns: i64,
        /// Largest lead, ns.
        max_ns: i64,
    },
    /// A price level, from a feed that says levels and not orders.
    Level {
        /// Stamp, ns.
        at_ns: u64,
        /// Exchange's event time, ns since the Unix epoch.
        ts_event: u64,
        /// Instrument.
        instrument_id: u32,
        /// Sequence number.
        seq: u64,
        /// `B` or `A`.
        side: char,
        /// 1e-9.
        price: i64,
        /// 0 = the level is gone.
        size: u64,
        /// Orders at the level, where the feed says; else 0.
        orders: u32,
        /// Level number, where the feed says; else 0.
        level: u32,
        /// The last of its event.
        last: bool,
    },
    /// A price level that is not of the book as traders' orders change it: implied by other books, or of a snapshot.
    LevelOf {
        /// Stamp, ns.
        at_ns: u64,
        /// Exchange's event time, ns since the Unix epoch.
        ts_event: u64,
        /// Instrument.
        instrument_id: u32,
        /// Sequence number.
        seq: u64,
        /// `implied`, `snapshot` or `snapshot-implied`.
        of: &'a str,
        /// `B` or `A`.
        side: char,
        /// 1e-9.
        price: i64,
        /// 0 = the level is gone.
        size: u64,
        /// Orders at the level, where the feed says; else 0.
        orders: u32,
        /// Level number, where the feed says; else 0.
        level: u32,
        /// The last of its event.
        last: bool,
    },
    /// A trade was broken.
    Break {
        /// Stamp, ns.
        at_ns: u64,
        /// Exchange's event time, ns since the Unix epoch.
        ts_event: u64,
        /// Instrument, 0 if the feed does not say.
        instrument_id: u32,
        /// Sequence number.
        seq: u64,
        /// The trade's number.
        trade: u64,
    },
    /// Values too wide for DBN's fields, whole.
    Wide {
        /// Stamp, ns.
        at_ns: u64,
        /// Instrument.
        instrument_id: u32,
        /// Sequence number.
        seq: u64,
        /// Which field.
        field: &'a str,
        /// Its value.
        value: u64,
    },
    /// A message that has no record: its type and the fields that matter.
    Other {
        /// Stamp, ns.
        at_ns: u64,
        /// Exchange's event time, ns since the Unix epoch.
        ts_event: u64,
        /// Instrument, 0 if none.
        instrument_id: u32,
        /// Sequence number.
        seq: u64,
        /// The message's name.
        message: &'a str,
        /// Its fields as the specification names them: `name=value` separated by spaces.
        fields: &'a str,
    },
    /// A symbol and its instrument id.
    Symbol {
        /// Stamp, ns.
        at_ns: u64,
        /// Instrument.
        instrument_id: u32,
        /// Symbol.
        symbol: &'a str,
    },
}
