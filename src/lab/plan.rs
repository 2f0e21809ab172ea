//! What feed to make, and which faults to put into it. A plan whose faults would hide each other is refused.

use super::frame::Tag;
use crate::packet::Verdict;
use std::net::{IpAddr, Ipv4Addr};

/// What is done to a data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It holds this many messages (0 counts as 1) and is not sent.
    Gap(u16),
    /// It is sent twice.
    Duplicate,
    /// It is sent after the one that follows it.
    Reorder,
    /// One of its messages is a byte shorter than its type's layout.
    ItchShort,
    /// A copy whose UDP checksum is wrong goes before it.
    UdpChecksum,
    /// A copy whose count is one less than its messages goes before it.
    MoldCount,
    /// A copy whose last message claims to run past the datagram goes before it.
    MoldLength,
    /// A copy cut inside the MoldUDP64 header goes before it.
    MoldTruncated,
    /// It is the first of a new session.
    SessionChange,
}

impl Fault {
    /// The word in the answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap(_) => "gap",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::ItchShort => "itch-short",
            Self::UdpChecksum => "udp-checksum",
            Self::MoldCount => "mold-count",
            Self::MoldLength => "mold-length",
            Self::MoldTruncated => "mold-truncated",
            Self::SessionChange => "session-change",
        }
    }

    /// What validation must say of the frame that carries it; none if that frame is sound.
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::ItchShort => Some(Verdict::ITCH_SHORT),
            Self::UdpChecksum => Some(Verdict::UDP_BAD_CHECKSUM),
            Self::MoldCount => Some(Verdict::MOLD_BAD_COUNT),
            Self::MoldLength => Some(Verdict::MOLD_BAD_LENGTH),
            Self::MoldTruncated => Some(Verdict::MOLD_TRUNCATED),
            Self::Gap(_) | Self::Duplicate | Self::Reorder | Self::SessionChange => None,
        }
    }

    /// True if the next data packet must arrive as usual for this one to be found.
    pub(super) const fn needs_successor(self) -> bool {
        matches!(self, Self::Gap(_) | Self::Reorder)
    }
}

/// A fault and the data packet, from 0, that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Number of the data packet.
    pub at: u64,
    /// What is done to it.
    pub fault: Fault,
}

impl PlannedFault {
    /// Three of every kind, spread over `data_packets`; fewer, or none, if they would crowd each other.
    pub fn some_of_every_kind(data_packets: u64) -> Vec<Self> {
        const ROUND: [Fault; 9] = [
            Fault::Gap(5),
            Fault::Duplicate,
            Fault::Reorder,
            Fault::ItchShort,
            Fault::UdpChecksum,
            Fault::MoldCount,
            Fault::MoldLength,
            Fault::MoldTruncated,
            Fault::SessionChange,
        ];
        let all = ROUND.into_iter().cycle().take(3 * ROUND.len());
        let step = (data_packets / (3 * ROUND.len() as u64 + 1)).max(3);
        (1..)
            .map(|n| n * step)
            .take_while(|&at| at + 1 < data_packets)
            .zip(all)
            .map(|(at, fault)| Self { at, fault })
            .collect()
    }
}

/// A feed to be made.
#[derive(Clone, Debug)]
pub struct FeedPlan {
    /// Seed of everything random.
    pub seed: u64,
    /// Data packets, those of gaps included.
    pub data_packets: u64,
    /// Most messages of a data packet; at least 2.
    pub max_messages: u16,
    /// Stocks.
    pub symbols: u16,
    /// A heartbeat after every so many data packets; 0 = only one at the end.
    pub heartbeat_every: u64,
    /// End-of-session packets at the end.
    pub end_packets: u32,
    /// Session of the first packet; further ones count up.
    pub first_session: u32,
    /// Sender.
    pub source: IpAddr,
    /// Group, of the same family.
    pub group: IpAddr,
    /// The group's port.
    pub port: u16,
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// Faults, in the order of their packets, one a packet.
    pub faults: Vec<PlannedFault>,
}

impl Default for FeedPlan {
    /// 1000 packets to 233.54.12.111:26477 from 10.77.0.1, no faults.
    fn default() -> Self {
        Self {
            seed: 1,
            data_packets: 1000,
            max_messages: 8,
            symbols: 8,
            heartbeat_every: 0,
            end_packets: 1,
            first_session: 1,
            source: Ipv4Addr::new(10, 77, 0, 1).into(),
            group: Ipv4Addr::new(233, 54, 12, 111).into(),
            port: 26477,
            tags: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Faults must stand in order, one a packet.
    #[error("fault {index}: faults must be in the order of their packets, at most one a packet")]
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
    /// It would run into its neighbour.
    #[error("fault {index}: the packet after a {name} must be there and have no fault")]
    Neighbour {
        /// Index of the fault.
        index: usize,
        /// Its name.
        name: &'static str,
    },
    /// Messages would not fit a datagram.
    #[error("{max_messages} messages a packet: 2 to 1000 fit a datagram")]
    Messages {
        /// What was asked.
        max_messages: u16,
    },
    /// Sender and group are of different families.
    #[error("source and group must both be IPv4 or both IPv6")]
    Family,
}

impl FeedPlan {
    pub(super) fn check(&self) -> Result<(), PlanError> {
        if !(2..=1000).contains(&self.max_messages) {
            return Err(PlanError::Messages { max_messages: self.max_messages });
        }
        if self.source.is_ipv4() != self.group.is_ipv4() {
            return Err(PlanError::Family);
        }
        let last = self.data_packets.saturating_sub(1);
        for (index, planned) in self.faults.iter().enumerate() {
            let next = self.faults.get(index + 1);
            if next.is_some_and(|next| next.at <= planned.at) {
                return Err(PlanError::Order { index: index + 1 });
            }
            if planned.at == 0 || planned.at > last {
                return Err(PlanError::Place { index, at: planned.at, last });
            }
            let followed = planned.at < last && next.is_none_or(|next| next.at > planned.at + 1);
            if planned.fault.needs_successor() && !followed {
                return Err(PlanError::Neighbour { index, name: planned.fault.name() });
            }
            if matches!(planned.fault, Fault::Gap(messages) if messages > 1000) {
                return Err(PlanError::Messages { max_messages: 1001 });
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
}
