//! One copy of a feed on its way: how late it is, which of its packets are lost, and what its books must say.

use super::answers::LineAnswers;
use super::fault::Damage;
use super::frame::UdpFrame;
use super::plan::{FeedPlan, LinePlan};
use super::random::SplitMix64;

/// What happens to a packet on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It arrives.
    Usual,
    /// It does not.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives after the next one.
    Held,
    /// It arrives so much later, ns.
    Late(u64),
    /// It arrives with a byte changed.
    Differs,
    /// It arrives with a stamp that steps back.
    StampBack,
    /// A damaged copy arrives before it.
    Damaged(Damage),
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) header: UdpFrame,
    delay_ns: u64,
    jitter_ns: u64,
    pub(super) recut: bool,
    /// Arrival of its last packet, ns.
    last_ns: u64,
    /// The last packet was lost: the next lost one is of the same gap.
    in_gap: bool,
    /// It is dead until then, ns.
    pub(super) dead_until_ns: Option<u64>,
    /// A packet that waits for its successor.
    pub(super) held: Option<Vec<u8>>,
}

impl Line {
    pub(super) fn new(plan: &FeedPlan, number: usize, line: &LinePlan) -> Self {
        Self {
            header: UdpFrame {
                source_mac: [2, 0, 0, 0, 0, u8::try_from(number + 1).unwrap_or(u8::MAX)],
                tags: plan.tags.clone(),
                source: line.source,
                destination: line.group,
                source_port: line.port,
                port: line.port,
            },
            delay_ns: line.delay_ns,
            jitter_ns: line.jitter_ns,
            recut: line.recut,
            last_ns: 0,
            in_gap: false,
            dead_until_ns: None,
            held: None,
        }
    }

    /// When what leaves at `sent_ns` arrives: never before, nor together with, what left before.
    pub(super) fn arrival_ns(&mut self, sent_ns: u64, random: &mut SplitMix64) -> u64 {
        let jitter = u64::from(random.between(0, u32::try_from(self.jitter_ns).unwrap_or(u32::MAX)));
        self.last_ns = (sent_ns + self.delay_ns + jitter).max(self.last_ns + 1);
        self.last_ns
    }

    pub(super) const fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Books a data packet of `units` numbers.
    pub(super) fn book(&mut self, way: Way, units: u64, answers: &mut LineAnswers) {
        let gap = matches!(way, Way::Lost | Way::Held | Way::Late(_));
        answers.gaps += u64::from(gap && !self.in_gap);
        self.in_gap = gap;
        match way {
            Way::Lost => answers.missing_messages += units,
            Way::Held | Way::Late(_) => {
                answers.out_of_order += 1;
                answers.filled += units;
            }
            Way::Twice => answers.duplicates += units,
            Way::Usual | Way::Differs | Way::StampBack | Way::Damaged(_) => {}
        }
        if way != Way::Lost {
            answers.messages += units;
        }
    }

    /// A new sequence space is not a continued gap.
    pub(super) fn begin_space(&mut self, answers: &mut LineAnswers) {
        self.in_gap = false;
        answers.sessions += 1;
    }
}
