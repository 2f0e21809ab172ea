//! What feed to make, and which faults to put into it. A plan whose faults could not be told apart is refused.

use super::fault::{Damage, Fault};
use super::frame::Tag;
use super::random::SplitMix64;
use super::rhythm::Rhythm;
use crate::events::normalize::common::DayClock;
use crate::feed::sequenced::{Endian, Field, Layout};
use crate::feed::{FeedConfig, FeedProtocol, Limits, LineConfig};
use crate::time::NS_PER_SEC;
use std::net::{IpAddr, Ipv4Addr};

/// 2026-01-05 00:00 in New York, ns since the Unix epoch.
const MIDNIGHT_NS: u64 = 1_767_589_200 * NS_PER_SEC;
/// From there to the opening at 09:30, ns.
const OPENING_NS: u64 = 34_200 * NS_PER_SEC;

/// A fault, the data packet (from 0) that has it, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Number of the data packet; it happens to a later one if the fault before it is not over yet.
    pub at: u64,
    /// Index of the line, for faults of lines; `None` = every line.
    pub line: Option<usize>,
    /// What is done to it.
    pub fault: Fault,
}

impl PlannedFault {
    /// On every line.
    pub const fn new(at: u64, fault: Fault) -> Self {
        Self { at, line: None, fault }
    }

    /// Three of the kinds that a single line shows, spread over `data_packets`; none if there is no room.
    pub fn some_of_every_kind(data_packets: u64) -> Vec<Self> {
        const ROUND: [Fault; 9] = [
            Fault::Gap(5),
            Fault::Duplicate,
            Fault::Reorder,
            Fault::Short,
            Fault::Damage(Damage::Checksum),
            Fault::Damage(Damage::Count),
            Fault::Damage(Damage::Length),
            Fault::Damage(Damage::Truncated),
            Fault::SessionChange,
        ];
        let all = ROUND.into_iter().cycle().take(3 * ROUND.len());
        let step = (data_packets / (3 * ROUND.len() as u64 + 1)).max(3);
        (1..)
            .map(|n| n * step)
            .take_while(|&at| at + 1 < data_packets)
            .zip(all)
            .map(|(at, fault)| Self { at, line: None, fault })
            .collect()
    }

    /// `rounds` of every kind that `plan` can have, in an order, on lines and at a distance that follow from its seed.
    pub fn of_every_kind(plan: &FeedPlan, rounds: u32, live: bool) -> Vec<Self> {
        let mut random = SplitMix64::new(plan.seed ^ 0xfau64.rotate_left(40));
        let mut planned = Vec::new();
        let mut at = 20;
        for _ in 0..rounds {
            let mut kinds: Vec<Fault> = Fault::EVERY
                .into_iter()
                .filter(|fault| plan.can(*fault) && !(live && *fault == Fault::StampBack))
                .collect();
            while !kinds.is_empty() {
                let pick = random.between(0, u32::try_from(kinds.len() - 1).unwrap_or(0));
                let fault = match kinds.swap_remove(usize::try_from(pick).unwrap_or(0)) {
                    Fault::Gap(_) => Fault::Gap(u16::try_from(random.between(1, 20)).unwrap_or(1)),
                    other => other,
                };
                for line in lines_for(fault, plan.lines.len(), &mut random) {
                    at += u64::from(random.between(3, 30));
                    planned.push(Self { at, line, fault });
                }
            }
        }
        planned
    }
}

/// Losses on each line by itself and on all; other faults of lines on one of them, or on all where they can be.
fn lines_for(fault: Fault, lines: usize, random: &mut SplitMix64) -> Vec<Option<usize>> {
    let one = |random: &mut SplitMix64| {
        let last = u32::try_from(lines - 1).unwrap_or(0);
        Some(usize::try_from(random.between(0, last)).unwrap_or(0))
    };
    match fault {
        Fault::Gap(_) => (0..lines).map(Some).chain([None]).collect(),
        Fault::Late | Fault::Differs | Fault::Dead | Fault::StampBack => vec![one(random)],
        _ if fault.is_of_a_line() => vec![one(random), None],
        _ => vec![None],
    }
}

/// One copy of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePlan {
    /// Its name.
    pub name: String,
    /// Sender.
    pub source: IpAddr,
    /// Group, of the same family.
    pub group: IpAddr,
    /// The group's port.
    pub port: u16,
    /// Shortest way from the exchange, ns.
    pub delay_ns: u64,
    /// At most so much longer, ns.
    pub jitter_ns: u64,
    /// The same messages are cut into other packets, where the protocol numbers messages.
    pub recut: bool,
}

impl LinePlan {
    /// The usual line of this number: 0 is A to 233.54.12.111:26477, 1 is B to 233.49.196.111:26478.
    pub fn usual(number: usize) -> Self {
        let second = number > 0;
        Self {
            name: if second { "B" } else { "A" }.to_owned(),
            source: Ipv4Addr::new(10, 77, u8::from(second), 1).into(),
            group: if second { Ipv4Addr::new(233, 49, 196, 111) } else { Ipv4Addr::new(233, 54, 12, 111) }
                .into(),
            port: if second { 26478 } else { 26477 },
            delay_ns: 10_000,
            jitter_ns: 0,
            recut: false,
        }
    }
}

/// A feed to be made.
#[derive(Clone, Debug)]
pub struct FeedPlan {
    /// Seed of everything random.
    pub seed: u64,
    /// What it speaks.
    pub protocol: FeedProtocol,
    /// Data packets, those of gaps included. There are more if faults are still to be made or shown.
    pub data_packets: u64,
    /// Most messages of a data packet; at least 2.
    pub max_messages: u16,
    /// Stocks.
    pub symbols: u16,
    /// When packets leave.
    pub rhythm: Rhythm,
    /// A heartbeat after every so many data packets; 0 = only one at the end.
    pub heartbeat_every: u64,
    /// End-of-session packets at the end, where the protocol has them.
    pub end_packets: u32,
    /// Session of the first packet; further ones count up.
    pub first_session: u32,
    /// When the first packet leaves, ns since the Unix epoch.
    pub start_ns: u64,
    /// The exchange's midnight before that, ns since the Unix epoch.
    pub midnight_ns: u64,
    /// Copies of the feed: one or more.
    pub lines: Vec<LinePlan>,
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// What the judge holds to be normal: faults exceed it, nothing else does.
    pub limits: Limits,
    /// Faults, in the order of their packets.
    pub faults: Vec<PlannedFault>,
}

impl Default for FeedPlan {
    /// 1000 packets to 233.54.12.111:26477 from 10.77.0.1, no faults.
    fn default() -> Self {
        Self {
            seed: 1,
            protocol: FeedProtocol::MoldUdp64Itch50,
            data_packets: 1000,
            max_messages: 8,
            symbols: 8,
            rhythm: Rhythm::even(10_000),
            heartbeat_every: 0,
            end_packets: 1,
            first_session: 1,
            start_ns: MIDNIGHT_NS + OPENING_NS,
            midnight_ns: MIDNIGHT_NS,
            lines: vec![LinePlan::usual(0)],
            tags: Vec::new(),
            limits: Limits::default(),
            faults: Vec::new(),
        }
    }
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Faults must stand in order.
    #[error("fault {index}: faults must be in the order of their packets")]
    Order {
        /// Index of the fault.
        index: usize,
    },
    /// The packet does not exist, or is the first.
    #[error("fault {index}: packet {at} cannot have one; packets 1 to {last} can")]
    Place {
        /// Index of the fault.
        index: usize,
        /// The packet.
        at: u64,
        /// Last packet that can have a fault.
        last: u64,
    },
    /// The protocol, or the number of lines, does not allow it.
    #[error("fault {index}: {name} cannot be in this feed (it needs another protocol, or a second line)")]
    Kind {
        /// Index of the fault.
        index: usize,
        /// Its name.
        name: &'static str,
    },
    /// Messages would not fit a datagram.
    #[error("{max_messages} messages a packet: 2 to {most} fit a datagram")]
    Messages {
        /// What was asked.
        max_messages: u16,
        /// What fits.
        most: u16,
    },
    /// Sender and group are of different families.
    #[error("source and group must both be IPv4 or both IPv6")]
    Family,
    /// A feed without lines.
    #[error("a feed needs a line")]
    Lines,
    /// Nothing is known of how to speak it.
    #[error("feeds of this protocol cannot be generated")]
    Protocol,
}

impl FeedPlan {
    /// True if the feed can have this fault.
    pub fn can(&self, fault: Fault) -> bool {
        use FeedProtocol::{CboePitch, CmeMdp3, IexTp, MoldUdp64, MoldUdp64Itch50, Sequenced};
        let by_protocol = match fault {
            Fault::Short | Fault::TimeImpossible => self.protocol == MoldUdp64Itch50,
            fault if fault.wish().is_some() => self.protocol == MoldUdp64Itch50,
            Fault::SessionChange => matches!(self.protocol, MoldUdp64Itch50 | IexTp),
            Fault::SentBack => self.says_when_sent(),
            // PITCH says the second now and then; after a gap it is not known for a while.
            Fault::Stale | Fault::Future => !matches!(self.protocol, CboePitch | MoldUdp64),
            Fault::Damage(Damage::Count) => !matches!(self.protocol, CmeMdp3 | Sequenced),
            Fault::Damage(Damage::Length) | Fault::Silence => self.protocol != Sequenced,
            _ => true,
        };
        by_protocol && (self.lines.len() > 1 || !fault.needs_two_lines())
    }

    /// True if its datagrams carry a send time.
    pub fn says_when_sent(&self) -> bool {
        matches!(self.protocol, FeedProtocol::IexTp | FeedProtocol::CmeMdp3 | FeedProtocol::Sequenced)
    }

    /// The same plan beginning at `now_ns` (ns since the Unix epoch), on that day in New York.
    #[must_use]
    pub fn starting_at(self, now_ns: u64) -> Self {
        const NOON_NS: u64 = 12 * 3_600 * NS_PER_SEC;
        // Of all noons the nearest is that of the same day.
        let noon_ns = DayClock::new(None).utc_ns(NOON_NS, now_ns).unwrap_or(now_ns);
        Self { start_ns: now_ns, midnight_ns: noon_ns - NOON_NS, ..self }
    }

    /// The configuration that describes it.
    pub fn feed_config(&self, name: &str) -> FeedConfig {
        let line = |line: &LinePlan| LineConfig {
            name: line.name.clone(),
            group: line.group,
            port: line.port,
            source: Some(line.source),
            interface: None,
        };
        let first =
            self.lines.first().map_or((Ipv4Addr::UNSPECIFIED.into(), 0), |line| (line.group, line.port));
        FeedConfig {
            lines: self.lines.iter().map(line).collect(),
            limits: self.limits,
            layout: Self::layout(),
            ..FeedConfig::one_line(name, self.protocol, first.0, first.1)
        }
    }

    /// Where the numbers of a generic sequenced feed stand: count, sequence, send time in microseconds, big-endian.
    pub fn layout() -> Layout {
        Layout {
            endian: Endian::Big,
            sequence: Field { offset: 2, width: 6 },
            count: Some(Field { offset: 0, width: 2 }),
            sent: Some(Field { offset: 8, width: 8 }),
            time_unit_ns: 1_000,
            ..Layout::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), PlanError> {
        let most = if self.protocol == FeedProtocol::CboePitch { 200 } else { 900 };
        if !(2..=most).contains(&self.max_messages) {
            return Err(PlanError::Messages { max_messages: self.max_messages, most });
        }
        if self.lines.is_empty() {
            return Err(PlanError::Lines);
        }
        if self.lines.iter().any(|line| line.source.is_ipv4() != line.group.is_ipv4()) {
            return Err(PlanError::Family);
        }
        let last = self.data_packets.saturating_sub(1);
        for (index, planned) in self.faults.iter().enumerate() {
            if self.faults.get(index + 1).is_some_and(|next| next.at < planned.at) {
                return Err(PlanError::Order { index: index + 1 });
            }
            if planned.at == 0 || planned.at > last {
                return Err(PlanError::Place { index, at: planned.at, last });
            }
            let name = planned.fault.name();
            let one_of_many = matches!(planned.fault, Fault::Differs | Fault::Dead) && planned.line.is_none();
            let no_such_line = planned.line.is_some_and(|line| line >= self.lines.len());
            if !self.can(planned.fault) || one_of_many || no_such_line {
                return Err(PlanError::Kind { index, name });
            }
            if matches!(planned.fault, Fault::Gap(messages) if messages > most) {
                return Err(PlanError::Messages { max_messages: most + 1, most });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_every_kind_is_a_sound_plan_of_any_length() {
        for data_packets in 0..300 {
            let faults = PlannedFault::some_of_every_kind(data_packets);
            let plan = FeedPlan { data_packets, faults, ..FeedPlan::default() };
            assert_eq!(plan.check(), Ok(()), "{data_packets}");
            assert!(plan.faults.len() == 27 || data_packets < 100);
        }
    }

    #[test]
    fn every_kind_on_two_lines_is_a_sound_plan() {
        let lines = vec![LinePlan::usual(0), LinePlan::usual(1)];
        let plan = FeedPlan { data_packets: 5_000, lines, ..FeedPlan::default() };
        let faults = PlannedFault::of_every_kind(&plan, 2, false);
        for fault in Fault::EVERY {
            assert_eq!(faults.iter().any(|planned| planned.fault.name() == fault.name()), plan.can(fault));
        }
        assert_eq!(FeedPlan { faults, ..plan }.check(), Ok(()));
    }
}
