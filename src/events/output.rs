//! Where normalizers put what they make: DBN records by schema, side rows, broken rules.
//!
//! Buffers only; [`tape`](super) writes them to files, a comparison reads them, a bench throws them away.

use super::rules::{Rule, RuleBook};
use super::side::SideRow;
use super::timing::Timing;
use crate::feed::FeedConfig;
use crate::time::Stamp;
use dbn::Schema;

/// The schemas that an event tape has a file of, in the order of [`Output`]'s buffers.
pub const SCHEMAS: [Schema; 8] = [
    Schema::Mbo,
    Schema::Trades,
    Schema::Mbp1,
    Schema::Tbbo,
    Schema::Status,
    Schema::Definition,
    Schema::Imbalance,
    Schema::Statistics,
];

/// Rows that one rule may write; further breaks are only counted.
pub const MAX_ROWS_A_RULE: u64 = 10_000;

/// When and where a packet came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The packet's stamp: DBN's `ts_recv`.
    pub stamp: Stamp,
    /// Index of the line in the feed's configuration.
    pub line: usize,
}

/// One feed's output since it was last drained.
#[derive(Debug)]
pub struct Output {
    /// Whole records, by schema.
    pub streams: [Vec<u8>; SCHEMAS.len()],
    /// Rows of the side table, each with its newline.
    pub side: Vec<u8>,
    /// Rules in force, and counts.
    pub rules: RuleBook,
    pub(super) timing: Timing,
    lines: Vec<String>,
}

impl Output {
    /// Empty buffers for a feed.
    pub fn new(feed: &FeedConfig) -> Self {
        Self {
            streams: std::array::from_fn(|_| Vec::new()),
            side: Vec::new(),
            rules: RuleBook::new(&feed.rules),
            timing: Timing::new(&feed.limits),
            lines: feed.lines.iter().map(|line| line.name.clone()).collect(),
        }
    }

    /// Appends a record to its schema's stream.
    #[inline]
    pub fn put<R: AsRef<[u8]>>(&mut self, schema: Schema, record: &R) {
        if let Some(stream) = self.streams.get_mut(Self::index(schema)) {
            stream.extend_from_slice(record.as_ref());
        }
    }

    /// Index of a schema's stream; the number of streams for a schema that has none.
    pub const fn index(schema: Schema) -> usize {
        let mut at = 0;
        while at < SCHEMAS.len() && SCHEMAS[at] as u16 != schema as u16 {
            at += 1;
        }
        at
    }

    /// Appends a row to the side table.
    pub fn side(&mut self, row: &SideRow<'_>) {
        let length = self.side.len();
        // Writing into memory does not fail; should a row not serialize, no half of it stays.
        if serde_json::to_writer(&mut self.side, row).is_err() {
            self.side.truncate(length);
            return;
        }
        self.side.push(b'\n');
    }

    /// Counts a broken rule and says so in the side table (the first [`MAX_ROWS_A_RULE`] times).
    pub fn broken(&mut self, rule: Rule, arrival: &Arrival, seq: u64, value: i64) {
        let Some(count) = self.rules.broken(rule) else { return };
        if count > MAX_ROWS_A_RULE {
            return;
        }
        let severity = self.rules.severity(rule);
        // Lent to the row and put back: no copy of the name.
        let line = self.lines.get_mut(arrival.line).map(std::mem::take).unwrap_or_default();
        let at_ns = arrival.stamp.ns;
        self.side(&SideRow::Rule { at_ns, rule: rule.name(), severity, line: &line, seq, value });
        if let Some(name) = self.lines.get_mut(arrival.line) {
            *name = line;
        }
    }

    /// Normalizers give each message's exchange time here (ns since the Unix epoch): it is held against the message before it
    /// and, where the packet does not say when it was sent, against the stamp.
    #[inline]
    pub fn event_time(&mut self, arrival: &Arrival, ts_event_ns: u64) {
        for (rule, value) in self.timing.event(arrival.stamp, ts_event_ns).into_iter().flatten() {
            self.broken(rule, arrival, self.timing.sequence, value);
        }
    }
}
