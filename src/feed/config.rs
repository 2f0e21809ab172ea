//! A feed as the operator describes it: what it speaks, where its lines arrive, what is held to be normal.
//!
//! Values only; `crate::config` reads and checks them, the journal records them, so that a replay judges as live did.

use super::protocol::FeedProtocol;
use super::sequenced::Layout;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Most lines that a feed may have.
pub const MAX_LINES: usize = 8;

/// One of the redundant copies of a feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Its name in reports: `A`, `B`.
    pub name: String,
    /// Where its datagrams go: a multicast group, or a host's address.
    pub group: IpAddr,
    /// UDP port they go to.
    pub port: u16,
    /// Where they must come from; `None` = from anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The interface on which the group is joined; `None` = each that is captured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// How bad it is when a rule is broken, or that it is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Not looked at.
    Off,
    /// Worth knowing.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Data is wrong or missing.
    Error,
}

impl Severity {
    /// The word in configurations and side rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What is held to be normal. Times in ms of tape time; 0 = never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest wait for the other line, or for a late packet, before messages are declared missing.
    pub hold_ms: u32,
    /// Oldest that a packet may be when it arrives, by its send or event time: `stale`.
    pub stale_ms: u32,
    /// Furthest ahead of the capture clock that a send or event time may be: `future`.
    pub future_ms: u32,
    /// Longest silence of a feed: `silence`.
    pub silence_ms: u32,
    /// Longest time without any packet of a line, heartbeats included, while the feed lives: `line-dead`.
    pub line_dead_ms: u32,
    /// Longest time without a packet or heartbeat on the feed: `heartbeat-missing`.
    pub heartbeat_ms: u32,
    /// Longest that a book may stay crossed: `book-crossed`.
    pub crossed_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hold_ms: 10,
            stale_ms: 1_000,
            future_ms: 10,
            silence_ms: 60_000,
            line_dead_ms: 3_000,
            heartbeat_ms: 3_000,
            crossed_ms: 1_000,
        }
    }
}

/// A feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Its name in reports and in the event tape's file names.
    pub name: String,
    /// What it speaks.
    pub protocol: FeedProtocol,
    /// Its redundant copies; at least one.
    pub lines: Vec<LineConfig>,
    /// The only session that is expected, as the protocol writes it; `None` = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The only channel (IEX-TP) or unit (PITCH) that is expected; `None` = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u32>,
    /// DBN's dataset code, e.g. `XNAS.ITCH`; empty: made from the name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dataset: String,
    /// DBN's publisher id.
    #[serde(default)]
    pub publisher_id: u16,
    /// DBN's channel id.
    #[serde(default)]
    pub channel_id: u8,
    /// Seconds that the exchange's midnight is ahead of UTC's (New York in winter: -18000); `None`: New York's
    /// rules. Only for protocols that count time from midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_s: Option<i32>,
    /// Instrument ids by symbol, where the feed has none of its own or others are wanted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub symbols: BTreeMap<String, u32>,
    /// What is held to be normal.
    #[serde(default)]
    pub limits: Limits,
    /// Rules with another severity than their own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, Severity>,
    /// Where the numbers stand, for [`FeedProtocol::Sequenced`].
    #[serde(default)]
    pub layout: Layout,
}

impl FeedConfig {
    /// A feed of one line, with everything else at its default.
    pub fn one_line(name: &str, protocol: FeedProtocol, group: IpAddr, port: u16) -> Self {
        let line = LineConfig { name: "A".to_owned(), group, port, source: None, interface: None };
        Self {
            name: name.to_owned(),
            protocol,
            lines: vec![line],
            session: None,
            channel: None,
            dataset: String::new(),
            publisher_id: 0,
            channel_id: 0,
            utc_offset_s: None,
            symbols: BTreeMap::new(),
            limits: Limits::default(),
            rules: BTreeMap::new(),
            layout: Layout::default(),
        }
    }
}

impl fmt::Display for LineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} port {}", self.name, self.group, self.port)?;
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        match &self.interface {
            Some(interface) => write!(f, " on {interface}"),
            None => Ok(()),
        }
    }
}

/// What a feed means, in lines for people: only what was said of it or holds without being said.
impl fmt::Display for FeedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feed {} ({})", self.name, self.protocol.name())?;
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        if let Some(session) = &self.session {
            write!(f, "\n  session {session}")?;
        }
        if let Some(channel) = self.channel {
            write!(f, "\n  channel {channel}")?;
        }
        if !self.dataset.is_empty() || self.publisher_id != 0 {
            write!(f, "\n  dataset {} of publisher {}", self.dataset, self.publisher_id)?;
        }
        if let Some(offset_s) = self.utc_offset_s {
            write!(f, "\n  midnight {offset_s} s from UTC's")?;
        }
        if !self.symbols.is_empty() {
            write!(f, "\n  {} symbols", self.symbols.len())?;
        }
        let Limits { hold_ms, stale_ms, future_ms, silence_ms, line_dead_ms, heartbeat_ms, crossed_ms } =
            self.limits;
        write!(
            f,
            "\n  limits (ms, 0 = never): hold {hold_ms}, stale {stale_ms}, future {future_ms}, silence {silence_ms}, \
             line dead {line_dead_ms}, heartbeat {heartbeat_ms}, crossed {crossed_ms}"
        )?;
        for (rule, severity) in &self.rules {
            write!(f, "\n  rule {rule}: {}", severity.name())?;
        }
        Ok(())
    }
}
