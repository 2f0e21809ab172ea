//! What a feed protocol must tell, and the list of those that are known.
//!
//! A protocol is one file: how a datagram is framed, what its messages are. It is bytes in and
//! borrowed values out: no I/O, no allocation per packet, no state. `docs/adding-a-feed.md` adds one step by step.

use super::frame::{Frame, Space};
use super::{iextp, itch50, mdp3, moldudp64, pitch, sequenced};
use crate::packet::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// In the protocol's tables, and structurally sound.
    Known,
    /// Not in the tables: to be skipped by its length and counted.
    Unknown,
}

/// One feed protocol.
pub trait Protocol: fmt::Debug + Send + Sync {
    /// Its name in configurations and reports.
    fn name(&self) -> &'static str;

    /// Version of what is made of its messages: raised by every change that can change an event. Stands on tape.
    fn version(&self) -> u32;

    /// Length of the datagram's header, bytes: a capture that ends inside it cannot be judged.
    fn header_bytes(&self) -> usize;

    /// Reads a datagram of which `payload` was captured and `on_wire_bytes` were sent, and checks its framing:
    /// counts, lengths, and that `first + units` does not overflow.
    ///
    /// # Errors
    /// The verdict that names what is wrong.
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict>;

    /// Judges one message by its structure: length by type, enumerations, ranges.
    ///
    /// # Errors
    /// The verdict that names what is wrong.
    fn check(&self, message: &[u8]) -> Result<MessageKind, Verdict>;

    /// True if the datagram is of this protocol by structure that chance does not give.
    fn recognises(&self, payload: &[u8], on_wire_bytes: usize, port: u16) -> bool {
        let _ = (payload, on_wire_bytes, port);
        false
    }

    /// A sequence space as people write it.
    fn space_name(&self, space: &Space) -> String {
        let end = space.0.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        space.0[..end].escape_ascii().to_string()
    }

    /// What a message is counted as: its type as the exchange's specification writes it.
    fn message_name(&self, message: &[u8]) -> String;
}

/// The protocols, by the name they have in a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum FeedProtocol {
    /// MoldUDP64 carrying Nasdaq TotalView-ITCH 5.0.
    #[serde(rename = "moldudp64-itch50")]
    MoldUdp64Itch50,
    /// MoldUDP64 carrying anything: framing and sequence are judged.
    #[serde(rename = "moldudp64")]
    MoldUdp64,
    /// IEX-TP carrying TOPS 1.6, DEEP 1.0 or DPLS, as each segment says.
    #[serde(rename = "iex-tp")]
    IexTp,
    /// CME MDP 3.0.
    #[serde(rename = "cme-mdp3")]
    CmeMdp3,
    /// Cboe multicast PITCH.
    #[serde(rename = "cboe-pitch")]
    CboePitch,
    /// Any feed with a sequence number at a place that the configuration tells.
    #[serde(rename = "sequenced")]
    Sequenced,
}

impl FeedProtocol {
    /// Every protocol, by name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("moldudp64-itch50", Self::MoldUdp64Itch50),
        ("moldudp64", Self::MoldUdp64),
        ("iex-tp", Self::IexTp),
        ("cme-mdp3", Self::CmeMdp3),
        ("cboe-pitch", Self::CboePitch),
        ("sequenced", Self::Sequenced),
    ];
    /// Those that are looked for in datagrams that no configured feed claims, in this order.
    pub const RECOGNISED: [Self; 3] = [Self::MoldUdp64Itch50, Self::IexTp, Self::CmeMdp3];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }

    /// What speaks it. `layout` is looked at by [`FeedProtocol::Sequenced`] only.
    pub fn speaker(self, layout: sequenced::Layout) -> Box<dyn Protocol> {
        match self {
            Self::MoldUdp64Itch50 => Box::new(itch50::OverMold),
            Self::MoldUdp64 => Box::new(moldudp64::Bare),
            Self::IexTp => Box::new(iextp::IexTp),
            Self::CmeMdp3 => Box::new(mdp3::Mdp3),
            Self::CboePitch => Box::new(pitch::Pitch),
            Self::Sequenced => Box::new(sequenced::Sequenced { layout }),
        }
    }
}
