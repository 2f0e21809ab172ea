//! The answer list of a generated feed: every injected fault, and the totals that a judge must arrive at.

use super::plan::FeedPlan;
use crate::events::rules::Rule;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is in a generated feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Seed that it was made from.
    pub seed: u64,
    /// The protocol's name.
    pub protocol: &'static str,
    /// Frames of all lines, the damaged ones included.
    pub packets: u64,
    /// Bytes of these frames.
    pub bytes: u64,
    /// Line by line, in the order of the plan.
    pub lines: Vec<LineAnswers>,
    /// How often each rule of the feed must be found broken, by its name ([`Rule::name`]); those that are not named: never.
    pub rules: BTreeMap<&'static str, u64>,
    /// Every fault, in order.
    pub faults: Vec<Injected>,
}

/// What is on a line. Counts are in the units of [`crate::validate::FeedReport`], summed over sessions: a message
/// is a sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineAnswers {
    /// Its name.
    pub line: String,
    /// Group that it was sent to.
    pub group: Option<IpAddr>,
    /// The group's port.
    pub port: u16,
    /// Frames, the damaged ones included.
    pub packets: u64,
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
    /// Sequence spaces.
    pub sessions: u64,
    /// Frames to be rejected, by the name of the verdict.
    pub rejected: BTreeMap<&'static str, u64>,
    /// The session at the end, as the protocol writes it.
    pub session: String,
    /// The next sequence number at the end.
    pub next_sequence: u64,
}

impl Answers {
    pub(super) fn new(plan: &FeedPlan) -> Self {
        let line = |line: &super::plan::LinePlan| LineAnswers {
            line: line.name.clone(),
            group: Some(line.group),
            port: line.port,
            sessions: 1,
            next_sequence: 1,
            ..LineAnswers::default()
        };
        let mut answers = Self {
            seed: plan.seed,
            protocol: plan.protocol.name(),
            packets: 0,
            bytes: 0,
            lines: plan.lines.iter().map(line).collect(),
            rules: BTreeMap::new(),
            faults: Vec::new(),
        };
        answers.broken(Rule::NewSession, 1);
        answers
    }

    pub(super) fn broken(&mut self, rule: Rule, times: u64) {
        if times > 0 {
            *self.rules.entry(rule.name()).or_default() += times;
        }
    }

    /// Frames to be rejected, whatever the verdict.
    pub fn rejected_packets(&self) -> u64 {
        self.lines.iter().flat_map(|line| line.rejected.values()).sum()
    }

    /// A count over all lines.
    pub fn sum(&self, of: impl Fn(&LineAnswers) -> u64) -> u64 {
        self.lines.iter().map(of).sum()
    }
}

/// One injected fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Injected {
    /// What was done.
    pub fault: &'static str,
    /// The line; `null` if on all.
    pub line: Option<String>,
    /// When the packet left, or would have, ns since the Unix epoch.
    pub at_ns: u64,
    /// The session.
    pub session: String,
    /// First sequence number concerned.
    pub sequence: u64,
    /// Messages concerned.
    pub messages: u64,
    /// What validation must say of a frame; `null` if all frames are sound.
    pub verdict: Option<&'static str>,
    /// The rule that is broken; `null` if none is, or only for one line.
    pub rule: Option<&'static str>,
    /// Numbers, from 0, of the frames with that verdict.
    pub frames: Vec<u64>,
}
