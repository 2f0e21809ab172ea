//! One `[[feed]]` of the file, checked by itself.

use super::words;
use super::{Complaint, MAX_LINES};
use crate::events::rules::Rule;
use crate::feed::sequenced::Layout;
use crate::feed::{FeedConfig, FeedProtocol, Limits, LineConfig, Severity};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use toml::Spanned;

/// Longest hold time, ms: packets wait in memory meanwhile.
const MAX_HOLD_MS: i64 = 60_000;

/// A feed as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFeed {
    pub name: Spanned<String>,
    protocol: Spanned<String>,
    group: Option<Spanned<String>>,
    port: Option<Spanned<i64>>,
    source: Option<Spanned<String>>,
    interface: Option<Spanned<String>>,
    #[serde(default)]
    line: Vec<RawLine>,
    session: Option<Spanned<String>>,
    channel: Option<Spanned<i64>>,
    dataset: Option<Spanned<String>>,
    publisher_id: Option<Spanned<i64>>,
    channel_id: Option<Spanned<i64>>,
    utc_offset_s: Option<Spanned<i64>>,
    #[serde(default)]
    symbols: BTreeMap<Spanned<String>, Spanned<i64>>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    rules: BTreeMap<Spanned<String>, Spanned<String>>,
    layout: Option<Spanned<Layout>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    name: Spanned<String>,
    group: Spanned<String>,
    port: Spanned<i64>,
    source: Option<Spanned<String>>,
    interface: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the words of the file")]
struct RawLimits {
    hold_ms: Option<Spanned<i64>>,
    stale_ms: Option<Spanned<i64>>,
    future_ms: Option<Spanned<i64>>,
    silence_ms: Option<Spanned<i64>>,
    line_dead_ms: Option<Spanned<i64>>,
    heartbeat_ms: Option<Spanned<i64>>,
    crossed_ms: Option<Spanned<i64>>,
}

impl RawFeed {
    /// A complaint about where line `at` arrives.
    pub(super) fn complain_of_group(&self, at: usize, what: String) -> Complaint {
        let group = self.line.get(at).map(|line| &line.group).or(self.group.as_ref());
        Complaint::of(group.unwrap_or(&self.name), what)
    }
}

/// Checks a feed.
pub(super) fn check(raw: &RawFeed) -> Result<FeedConfig, Complaint> {
    let name = words::feed_name(&raw.name)?;
    let protocol = words::protocol(&raw.protocol)?;
    let number = |raw: &Option<Spanned<i64>>, what: &str, most: i64| {
        raw.as_ref().map_or(Ok(0), |raw| words::number::<u16>(raw, what, 0, most))
    };
    Ok(FeedConfig {
        lines: lines(raw)?,
        session: raw.session.as_ref().map(|session| self::session(session, protocol)).transpose()?,
        channel: raw.channel.as_ref().map(|channel| self::channel(channel, protocol)).transpose()?,
        dataset: raw.dataset.as_ref().map(words::dataset).transpose()?.unwrap_or_default(),
        publisher_id: number(&raw.publisher_id, "publisher_id", i64::from(u16::MAX))?,
        channel_id: u8::try_from(number(&raw.channel_id, "channel_id", i64::from(u8::MAX))?).unwrap_or(0),
        utc_offset_s: raw.utc_offset_s.as_ref().map(|offset| utc_offset(offset, protocol)).transpose()?,
        symbols: symbols(&raw.symbols, protocol)?,
        limits: limits(&raw.limits)?,
        rules: rules(&raw.rules)?,
        layout: layout(raw, protocol)?,
        name,
        protocol,
    })
}

/// The lines: named ones, or the one that the feed's own fields describe.
fn lines(raw: &RawFeed) -> Result<Vec<LineConfig>, Complaint> {
    let own = [raw.group.as_ref(), raw.source.as_ref(), raw.interface.as_ref()].into_iter().flatten();
    let own =
        own.map(|field| field.span().start).chain(raw.port.as_ref().map(|port| port.span().start)).min();
    let Some(first) = raw.line.first() else {
        return own_line(raw).map(|line| vec![line]);
    };
    if own.is_some() {
        let what = "the feed has lines of its own ([[feed.line]]) and says here where a single one arrives; \
                    move this to a line or remove the lines";
        return Err(Complaint { at: own.unwrap_or(first.name.span().start), what: what.to_owned() });
    }
    let mut names = HashSet::new();
    let mut lines: Vec<LineConfig> = Vec::with_capacity(raw.line.len());
    for (at, raw) in raw.line.iter().enumerate() {
        if at == MAX_LINES {
            return Err(Complaint::of(
                &raw.name,
                format!("more than {MAX_LINES} lines; make another feed of the rest"),
            ));
        }
        let name = words::line_name(&raw.name)?;
        if !names.insert(name.clone()) {
            let what =
                format!("a line named \"{name}\" stands further up in this feed; give each its own name");
            return Err(Complaint::of(&raw.name, what));
        }
        let group = words::group(&raw.group)?;
        let line = LineConfig {
            name,
            group,
            port: words::number(&raw.port, "port", 1, i64::from(u16::MAX))?,
            source: raw.source.as_ref().map(|source| words::source(source, group)).transpose()?,
            interface: raw.interface.as_ref().map(words::interface).transpose()?,
        };
        let both = |other: &&LineConfig| {
            (other.group, other.port) == (line.group, line.port)
                && (other.source == line.source || other.source.is_none() || line.source.is_none())
        };
        if let Some(other) = lines.iter().find(both) {
            let what = format!(
                "line \"{}\" takes the same packets: same group and port, and no two different sources; name the \
                 source of each, or remove one",
                other.name
            );
            return Err(Complaint::of(&raw.group, what));
        }
        lines.push(line);
    }
    Ok(lines)
}

fn own_line(raw: &RawFeed) -> Result<LineConfig, Complaint> {
    let missing = |field: &str| {
        let what = format!(
            "missing field `{field}`: say where the feed arrives with group and port, or with a [[feed.line]] for each line"
        );
        Complaint::of(&raw.name, what)
    };
    let group = words::group(raw.group.as_ref().ok_or_else(|| missing("group"))?)?;
    Ok(LineConfig {
        name: "A".to_owned(),
        group,
        port: words::number(
            raw.port.as_ref().ok_or_else(|| missing("port"))?,
            "port",
            1,
            i64::from(u16::MAX),
        )?,
        source: raw.source.as_ref().map(|source| words::source(source, group)).transpose()?,
        interface: raw.interface.as_ref().map(words::interface).transpose()?,
    })
}

fn session(raw: &Spanned<String>, protocol: FeedProtocol) -> Result<String, Complaint> {
    let session = raw.get_ref();
    let (fits, shape) = match protocol {
        FeedProtocol::MoldUdp64 | FeedProtocol::MoldUdp64Itch50 => {
            let plain =
                !session.is_empty() && session.len() <= 10 && session.chars().all(|c| c.is_ascii_graphic());
            (plain, "1 to 10 ASCII characters, without the padding")
        }
        FeedProtocol::IexTp => {
            let canonical = session.parse::<u32>().is_ok_and(|number| number.to_string() == *session);
            (canonical, "a number between 0 and 4294967295")
        }
        FeedProtocol::CmeMdp3 | FeedProtocol::CboePitch | FeedProtocol::Sequenced => {
            let what = format!("{} has no sessions; remove this", protocol.name());
            return Err(Complaint::of(raw, what));
        }
    };
    if fits {
        return Ok(session.clone());
    }
    Err(Complaint::of(raw, format!("\"{session}\" is no session of {}: {shape}", protocol.name())))
}

fn channel(raw: &Spanned<i64>, protocol: FeedProtocol) -> Result<u32, Complaint> {
    match protocol {
        FeedProtocol::IexTp => words::number(raw, "channel", 0, i64::from(u32::MAX)),
        FeedProtocol::CboePitch => words::number(raw, "channel (the unit)", 0, i64::from(u8::MAX)),
        _ => {
            let what = format!("{} has no channels in its datagrams; remove this", protocol.name());
            Err(Complaint::of(raw, what))
        }
    }
}

fn utc_offset(raw: &Spanned<i64>, protocol: FeedProtocol) -> Result<i32, Complaint> {
    if !matches!(protocol, FeedProtocol::MoldUdp64Itch50 | FeedProtocol::CboePitch) {
        let what = format!("{} does not count time from midnight; remove this", protocol.name());
        return Err(Complaint::of(raw, what));
    }
    words::number(raw, "utc_offset_s", -14 * 3600, 14 * 3600)
}

fn symbols(
    raw: &BTreeMap<Spanned<String>, Spanned<i64>>,
    protocol: FeedProtocol,
) -> Result<BTreeMap<String, u32>, Complaint> {
    let mut symbols = BTreeMap::new();
    let mut owners: HashMap<u32, String> = HashMap::new();
    for (name, id) in raw {
        if matches!(protocol, FeedProtocol::MoldUdp64 | FeedProtocol::Sequenced) {
            let what = format!("no symbols are read from {}; remove this table", protocol.name());
            return Err(Complaint::of(name, what));
        }
        let symbol = words::symbol(name)?;
        let number = words::number(id, "instrument id", 1, i64::from(u32::MAX))?;
        if let Some(other) = owners.insert(number, symbol.clone()) {
            let what = format!("instrument id {number} is that of \"{other}\" too; give each symbol its own");
            return Err(Complaint::of(id, what));
        }
        symbols.insert(symbol, number);
    }
    Ok(symbols)
}

fn limits(raw: &RawLimits) -> Result<Limits, Complaint> {
    let ms = |raw: &Option<Spanned<i64>>, what: &str, default: u32, most: i64| {
        raw.as_ref().map_or(Ok(default), |raw| words::number(raw, what, 0, most))
    };
    let (own, any) = (Limits::default(), i64::from(u32::MAX));
    Ok(Limits {
        hold_ms: ms(&raw.hold_ms, "hold_ms", own.hold_ms, MAX_HOLD_MS)?,
        stale_ms: ms(&raw.stale_ms, "stale_ms", own.stale_ms, any)?,
        future_ms: ms(&raw.future_ms, "future_ms", own.future_ms, any)?,
        silence_ms: ms(&raw.silence_ms, "silence_ms", own.silence_ms, any)?,
        line_dead_ms: ms(&raw.line_dead_ms, "line_dead_ms", own.line_dead_ms, any)?,
        heartbeat_ms: ms(&raw.heartbeat_ms, "heartbeat_ms", own.heartbeat_ms, any)?,
        crossed_ms: ms(&raw.crossed_ms, "crossed_ms", own.crossed_ms, any)?,
    })
}

fn rules(raw: &BTreeMap<Spanned<String>, Spanned<String>>) -> Result<BTreeMap<String, Severity>, Complaint> {
    let mut rules = BTreeMap::new();
    for (name, severity) in raw {
        if !Rule::ALL.iter().any(|rule| rule.name() == name.get_ref()) {
            let known: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
            let what = format!("unknown rule \"{}\"; known: {}", name.get_ref(), known.join(", "));
            return Err(Complaint::of(name, what));
        }
        rules.insert(name.get_ref().clone(), words::severity(severity)?);
    }
    Ok(rules)
}

fn layout(raw: &RawFeed, protocol: FeedProtocol) -> Result<Layout, Complaint> {
    let sequenced = protocol == FeedProtocol::Sequenced;
    let Some(layout) = &raw.layout else {
        if sequenced {
            let what = "protocol \"sequenced\" needs a [feed.layout] with the place of the sequence number: \
                        sequence = { offset = 0, width = 8 }";
            return Err(Complaint::of(&raw.protocol, what.to_owned()));
        }
        return Ok(Layout::default());
    };
    if !sequenced {
        let what = format!("{} has its own layout; remove this table", protocol.name());
        return Err(Complaint { at: layout.span().start, what });
    }
    match layout.get_ref().fault() {
        Some(what) => Err(Complaint { at: layout.span().start, what }),
        None => Ok(*layout.get_ref()),
    }
}
