//! What can be done to a feed, each with its name and what must be said of it.

use crate::events::rules::Rule;
use crate::lab::market::Wish;

/// Damage to a copy of a datagram that goes before the sound one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its UDP checksum is wrong.
    Checksum,
    /// It is cut inside the header of its protocol.
    Truncated,
    /// Its lengths run past its end.
    Length,
    /// Its count is one less than its messages.
    Count,
}

/// What is done to a packet, to a line for a while, or to what the feed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It holds this many messages (0 counts as 1) and is lost on the planned lines.
    Gap(u16),
    /// Of three packets the first two are lost on the first line, the last two on the second: one on both.
    GapBetween,
    /// It is sent twice.
    Duplicate,
    /// It is sent after the one that follows it, within the hold time.
    Reorder,
    /// It comes on one line only, long after it was declared missing.
    Late,
    /// A byte of one of its messages is another on this line; all checksums are right.
    Differs,
    /// The line is silent for longer than its limit.
    Dead,
    /// Its stamp steps back. Only for files.
    StampBack,
    /// A damaged copy goes before it.
    Damage(Damage),
    /// One of its messages is a byte shorter than its type's layout.
    Short,
    /// It is the first of a new session.
    SessionChange,
    /// It has number 1 under the same session.
    Restart,
    /// It leaves later than its times say, by more than the limit.
    Stale,
    /// Its times are ahead, by more than the limit.
    Future,
    /// A message's time is not in its day.
    TimeImpossible,
    /// Its send time is before that of the packet before.
    SentBack,
    /// Before it come heartbeats only, for longer than the limit.
    Silence,
    /// Before it comes nothing, for longer than the limit.
    HeartbeatMissing,
    /// An order is executed that was never added.
    OrderUnknown,
    /// An order is added under a number in use.
    OrderDuplicate,
    /// More of an order is executed than is left.
    QuantityNegative,
    /// No shares of an order are cancelled.
    QuantityZero,
    /// A book is crossed for longer than the limit.
    BookCrossed,
}

impl Fault {
    /// One of every kind.
    pub const EVERY: [Self; 26] = [
        Self::Gap(5),
        Self::GapBetween,
        Self::Duplicate,
        Self::Reorder,
        Self::Late,
        Self::Differs,
        Self::Dead,
        Self::StampBack,
        Self::Damage(Damage::Checksum),
        Self::Damage(Damage::Truncated),
        Self::Damage(Damage::Length),
        Self::Damage(Damage::Count),
        Self::Short,
        Self::SessionChange,
        Self::Restart,
        Self::Stale,
        Self::Future,
        Self::TimeImpossible,
        Self::SentBack,
        Self::Silence,
        Self::HeartbeatMissing,
        Self::OrderUnknown,
        Self::OrderDuplicate,
        Self::QuantityNegative,
        Self::QuantityZero,
        Self::BookCrossed,
    ];

    /// The word in the answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap(_) => "gap",
            Self::GapBetween => "gap-between",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Late => "late",
            Self::Differs => "differs",
            Self::Dead => "dead",
            Self::StampBack => "stamp-back",
            Self::Damage(Damage::Checksum) => "udp-checksum",
            Self::Damage(Damage::Truncated) => "truncated",
            Self::Damage(Damage::Length) => "bad-length",
            Self::Damage(Damage::Count) => "bad-count",
            Self::Short => "short",
            Self::SessionChange => "session-change",
            Self::Restart => "restart",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::TimeImpossible => "time-impossible",
            Self::SentBack => "sent-back",
            Self::Silence => "silence",
            Self::HeartbeatMissing => "heartbeat-missing",
            Self::OrderUnknown => "order-unknown",
            Self::OrderDuplicate => "order-duplicate",
            Self::QuantityNegative => "quantity-negative",
            Self::QuantityZero => "quantity-zero",
            Self::BookCrossed => "book-crossed",
        }
    }

    /// True if it happens to a line and not to what the exchange says.
    pub const fn is_of_a_line(self) -> bool {
        matches!(
            self,
            Self::Gap(_)
                | Self::Duplicate
                | Self::Reorder
                | Self::Late
                | Self::Differs
                | Self::Dead
                | Self::StampBack
                | Self::Damage(_)
        )
    }

    /// True if there must be two lines for it to be seen.
    pub(super) const fn needs_two_lines(self) -> bool {
        matches!(self, Self::GapBetween | Self::Differs | Self::Dead)
    }

    /// Packets after it that must arrive as usual before it is known.
    pub(super) const fn span(self) -> u32 {
        match self {
            Self::GapBetween => 4,
            _ => 2,
        }
    }

    /// The message that makes it.
    pub(super) const fn wish(self) -> Option<Wish> {
        match self {
            Self::TimeImpossible => Some(Wish::TimeImpossible),
            Self::OrderUnknown => Some(Wish::OrderUnknown),
            Self::OrderDuplicate => Some(Wish::OrderDuplicate),
            Self::QuantityNegative => Some(Wish::QuantityNegative),
            Self::QuantityZero => Some(Wish::QuantityZero),
            Self::BookCrossed => Some(Wish::Cross),
            _ => None,
        }
    }

    /// The rule that it breaks, once, whatever the lines; those that depend on lines are counted where they are made.
    pub(super) const fn rule(self) -> Option<Rule> {
        match self {
            Self::GapBetween => Some(Rule::Gap),
            Self::Differs => Some(Rule::LineDiffers),
            Self::Dead => Some(Rule::LineDead),
            Self::StampBack => Some(Rule::StampBackwards),
            Self::SessionChange => Some(Rule::NewSession),
            Self::Restart => Some(Rule::Restart),
            Self::Stale => Some(Rule::Stale),
            Self::Future => Some(Rule::Future),
            Self::TimeImpossible => Some(Rule::TimeImpossible),
            Self::SentBack => Some(Rule::SentBackwards),
            Self::Silence => Some(Rule::Silence),
            Self::HeartbeatMissing => Some(Rule::HeartbeatMissing),
            Self::OrderUnknown => Some(Rule::OrderUnknown),
            Self::OrderDuplicate => Some(Rule::OrderDuplicate),
            Self::QuantityNegative => Some(Rule::QuantityNegative),
            Self::QuantityZero => Some(Rule::QuantityZero),
            Self::BookCrossed => Some(Rule::BookCrossed),
            Self::Gap(_) | Self::Duplicate | Self::Reorder | Self::Late | Self::Damage(_) | Self::Short => {
                None
            }
        }
    }
}
