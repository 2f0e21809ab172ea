//! The rules that need more than one packet to judge: sequence over lines, timing, state.
//!
//! Each has a number, a name, a severity, a meaning, a counter; `docs/validation.md` is checked against the table. (Rules of one
//! packet's structure are verdicts: [`crate::packet::Verdict`].)

use crate::feed::Severity;
use std::collections::BTreeMap;

/// Declares every rule once.
macro_rules! rules {
    ($($konst:ident = $num:literal, $name:literal, $severity:ident, $meaning:literal;)*) => {
        /// A rule: number, name, own severity, meaning.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Rule {
            $(#[doc = $meaning] $konst = $num,)*
        }
        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$konst),*];
            /// Its name in reports, configurations and side rows.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$konst => $name,)* }
            }
            /// How bad it is, unless the configuration says otherwise.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$konst => Severity::$severity,)* }
            }
            /// What it means that it was broken.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$konst => $meaning,)* }
            }
        }
    };
}

rules! {
    Gap = 300, "gap", Error, "Messages came on no line of the feed within the hold time";
    LineGap = 301, "line-gap", Warning, "Messages missing on one line came on another";
    LateFill = 302, "late-fill", Info, "Messages came after they had been declared missing";
    Duplicate = 303, "duplicate", Info, "A line brought messages that it had brought before";
    Reorder = 304, "reorder", Info, "A packet came after one that follows it, within the hold time";
    Restart = 305, "restart", Warning, "A sequence space began anew under the same session";
    NewSession = 306, "new-session", Info, "A sequence space began: first packet, or another session";
    SessionUnexpected = 307, "session-unexpected", Warning, "Session or channel is not the configured one";
    LineDiffers = 308, "line-differs", Error, "Two lines brought different bytes under the same sequence number";
    LineDead = 309, "line-dead", Warning, "A line was silent for longer than its limit while the feed lived";
    OffsetMismatch = 310, "offset-mismatch", Error, "Stream offset and sequence number disagree about what is missing";
    HoldOverflow = 311, "hold-overflow", Warning, "More packets waited for a gap than there is room for: the gap was declared early";
    Stray = 312, "stray", Warning, "A packet far from its sequence, or behind it, that nothing continued while the sequence went on: left out";
    StampBackwards = 320, "stamp-backwards", Warning, "The capture stamp stepped back on one interface";
    SentBackwards = 321, "sent-backwards", Warning, "The send time stepped back in one stream";
    EventBackwards = 322, "event-backwards", Info, "The exchange's event time stepped back (venues do that)";
    Stale = 323, "stale", Warning, "The packet is older than its limit by its send or event time";
    Future = 324, "future", Warning, "Send or event time is ahead of the capture clock by more than its limit";
    TimeImpossible = 325, "time-impossible", Error, "A time that is outside its day or cannot be expressed";
    HeartbeatMissing = 326, "heartbeat-missing", Warning, "Neither packet nor heartbeat for longer than the limit";
    Silence = 327, "silence", Info, "No message for longer than the limit";
    OrderUnknown = 340, "order-unknown", Warning, "Execution, cancel, delete or replace of an order that was never added";
    OrderDuplicate = 341, "order-duplicate", Warning, "An order was added under a number that is in use";
    QuantityNegative = 342, "quantity-negative", Error, "More was taken from an order than was left";
    QuantityZero = 343, "quantity-zero", Warning, "A quantity of zero where the protocol wants more";
    PriceInvalid = 344, "price-invalid", Warning, "A price that cannot be expressed in 1e-9, or is not positive where it must be";
    BookCrossed = 345, "book-crossed", Warning, "Best bid above best ask (or equal) for longer than the limit";
    OrdersFull = 346, "orders-full", Error, "More live orders than there is room for: books are incomplete from here on";
    FieldUnknown = 347, "field-unknown", Info, "An enumerated field has a value that the specification does not list";
    InstrumentUnknown = 348, "instrument-unknown", Info, "A message of an instrument that no directory message announced";
    TooWide = 360, "too-wide", Info, "A value wider than DBN's field: saturated there, whole in the side table";
}

/// How many rules there are.
pub const RULES: usize = Rule::ALL.len();

/// The severities in force and what was broken how often.
#[derive(Clone, Debug)]
pub struct RuleBook {
    severities: [Severity; RULES],
    counts: [u64; RULES],
}

impl RuleBook {
    /// The rules' own severities, but for those that `changed` names. Unknown names are refused by the configuration.
    pub fn new(changed: &BTreeMap<String, Severity>) -> Self {
        let of = |rule: &Rule| changed.get(rule.name()).copied().unwrap_or(rule.severity());
        Self { severities: std::array::from_fn(|at| of(&Rule::ALL[at])), counts: [0; RULES] }
    }
    fn at(rule: Rule) -> usize {
        // The table is short and sorted; the compiler makes a lookup of it.
        Rule::ALL.iter().position(|other| *other == rule).unwrap_or(0)
    }
    /// How bad it is here.
    pub fn severity(&self, rule: Rule) -> Severity {
        self.severities[Self::at(rule)]
    }
    /// Counts it; answers how often it was broken so far, or `None` if it is switched off.
    pub fn broken(&mut self, rule: Rule) -> Option<u64> {
        let at = Self::at(rule);
        if self.severities[at] == Severity::Off {
            return None;
        }
        self.counts[at] += 1;
        Some(self.counts[at])
    }
    /// How often it was broken.
    pub fn count(&self, rule: Rule) -> u64 {
        self.counts[Self::at(rule)]
    }
}
