//! The answer list of a generated feed: every injected fault, and the totals that a judge must arrive at.

use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is in a generated feed. Counts are in the units of [`crate::validate::FeedReport`], summed over sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Seed that it was made from.
    pub seed: u64,
    /// Group that it was sent to.
    pub group: IpAddr,
    /// The group's port.
    pub port: u16,
    /// Frames, the damaged ones included.
    pub packets: u64,
    /// Bytes of these frames.
    pub bytes: u64,
    /// Messages that arrive: in order or late, each counted once; those of a packet with a short message included.
    pub messages: u64,
    /// Times that messages are found missing, those included that come later.
    pub gaps: u64,
    /// Messages that never come.
    pub missing_messages: u64,
    /// Messages that come again.
    pub duplicates: u64,
    /// Packets that come after their successor.
    pub out_of_order: u64,
    /// Messages of these: missing first, then there.
    pub filled: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// End-of-session packets.
    pub end_packets: u64,
    /// Sessions.
    pub sessions: u64,
    /// Frames to be rejected, by the name of the verdict.
    pub rejected: BTreeMap<&'static str, u64>,
    /// The session at the end.
    pub session: String,
    /// The next sequence number at the end.
    pub next_sequence: u64,
    /// Every fault, in order.
    pub faults: Vec<Injected>,
}

impl Answers {
    pub(super) fn new(seed: u64, group: IpAddr, port: u16) -> Self {
        Self {
            seed,
            group,
            port,
            packets: 0,
            bytes: 0,
            messages: 0,
            gaps: 0,
            missing_messages: 0,
            duplicates: 0,
            out_of_order: 0,
            filled: 0,
            heartbeats: 0,
            end_packets: 0,
            sessions: 1,
            rejected: BTreeMap::new(),
            session: String::new(),
            next_sequence: 1,
            faults: Vec::new(),
        }
    }

    pub(super) fn data(&mut self, messages: u16) {
        self.messages += u64::from(messages);
    }

    /// Frames to be rejected, whatever the verdict.
    pub fn rejected_packets(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// One injected fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Injected {
    /// What was done.
    pub fault: &'static str,
    /// Number, from 0, of the frame that shows it: the damaged one; the first after a gap; the original that a
    /// duplicate repeats; the successor that overtakes a reordered packet.
    pub frame: u64,
    /// The session.
    pub session: String,
    /// First sequence number concerned.
    pub sequence: u64,
    /// Messages concerned.
    pub messages: u64,
    /// What validation must say of the frame; `null` if it is sound.
    pub verdict: Option<&'static str>,
}
