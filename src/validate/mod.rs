//! The judge: gives each packet its verdict and findings, and keeps the books of each feed.
//!
//! Pure: the same packets (and the same [`Judge::skip`]s) give the same judgements, live or from
//! tape. All memory is allocated in [`Judge::new`]; judging allocates nothing and never panics.
//!
//! First the headers ([`crate::wire::dissect`]). A datagram whose headers are sound and which is
//! not a fragment goes to its line, if it has one:
//! - a configured feed's group, port and (if given) source, or
//! - a line recognised by structure: an exactly framed MoldUDP64 packet with a printable session and
//!   at least one message that is exactly a known ITCH message. A recognised line stays one, so
//!   that what is corrupt on it later is called by its name instead of passing as unknown UDP.
//!
//! On a line, a packet whose framing is unsound is rejected and advances nothing: its header cannot
//! be believed, and the gap that the next packet shows is real, since nothing of it could be read.
//! A packet whose framing is sound advances the sequence even if a message in it is rejected:
//! the number was used, so there is no gap.
//!
//! Tables are bounded by [`JudgeConfig::max_streams`]; what finds no room is judged without sequence
//! tracking, and counted ([`Judge::untracked`]).

mod report;
mod tables;

pub use report::{FeedReport, MissingRange};

use crate::feed::itch50::{self, Kind};
use crate::feed::moldudp64::{HEADER_LEN, Header, MAX_COUNT, View};
use crate::feed::sequence::Step;
use crate::packet::{Findings, Judgement, Marks, Packet, Verdict};
use crate::wire::{Dissection, Transport, dissect};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use tables::{LineKey, Stream, Tables};

/// What a configured feed speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedProtocol {
    /// MoldUDP64 carrying TotalView-ITCH 5.0: messages are judged too.
    #[serde(rename = "moldudp64-itch50")]
    MoldUdp64Itch50,
    /// MoldUDP64 carrying anything: framing and sequence are judged.
    #[serde(rename = "moldudp64")]
    MoldUdp64,
}

/// A feed as the operator names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedConfig {
    /// Its name in reports.
    pub name: String,
    /// What it speaks.
    pub protocol: FeedProtocol,
    /// Destination address.
    pub group: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Source address, if only one source is meant.
    #[serde(default)]
    pub source: Option<IpAddr>,
}

/// What a judge is to look for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeConfig {
    /// Feeds by address.
    pub feeds: Vec<FeedConfig>,
    /// Whether to recognise MoldUDP64/ITCH streams that are not configured.
    pub recognise: bool,
    /// Most streams, and most lines, that are tracked; each may take 16 KiB once it has many gaps.
    pub max_streams: usize,
}

impl Default for JudgeConfig {
    fn default() -> Self {
        Self { feeds: Vec::new(), recognise: true, max_streams: 256 }
    }
}

/// Judges packets. One a queue.
#[derive(Debug)]
pub struct Judge {
    feeds: Vec<FeedConfig>,
    recognise: bool,
    tables: Tables,
    /// Counts skips, so that each stream can notice later that there was one.
    skips: u64,
    untracked: u64,
}

/// A datagram on its way to a line.
#[derive(Clone, Copy)]
struct Datagram<'a> {
    payload: &'a [u8],
    on_wire: usize,
}

impl Datagram<'_> {
    /// True if the capture (not the packet) ends inside the MoldUDP64 header: nothing can be judged, nothing is wrong.
    fn ends_in_header(&self) -> bool {
        self.payload.len() < HEADER_LEN.min(self.on_wire)
    }
}

impl Judge {
    /// A judge that has seen nothing. Allocates all that it will ever need.
    pub fn new(config: &JudgeConfig) -> Self {
        Self {
            feeds: config.feeds.clone(),
            recognise: config.recognise,
            tables: Tables::new(config.max_streams, &config.feeds),
            skips: 0,
            untracked: 0,
        }
    }

    /// A packet was not judged (decoding was shed): what is ahead of a stream's sequence at its next packet is not
    /// a gap, since it may have been in what was skipped.
    pub const fn skip(&mut self) {
        self.skips += 1;
    }

    /// Packets of feeds that were judged without sequence tracking, because the tables are full.
    pub const fn untracked(&self) -> u64 {
        self.untracked
    }

    /// Judges one packet. Allocates nothing.
    pub fn judge(&mut self, packet: &Packet<'_>) -> Judgement {
        let dissection = dissect(packet);
        self.judge_dissected(packet, &dissection)
    }

    /// Judges a packet that was dissected already.
    pub fn judge_dissected(&mut self, packet: &Packet<'_>, dissection: &Dissection<'_>) -> Judgement {
        let mut judgement = Judgement { verdict: dissection.verdict, findings: dissection.findings };
        let Some(key) = line_key(dissection) else { return judgement };
        if dissection.verdict != Verdict::ACCEPTED {
            self.tables.reject_known(&key);
            return judgement;
        }
        let whole = Datagram { payload: dissection.payload, on_wire: dissection.payload_on_wire };
        let merged = usize::from(packet.gso_size);
        if packet.marks.has(Marks::GSO) && merged > 0 && whole.payload.len() > merged {
            // Several datagrams of one flow, put together by the kernel: each is judged by itself.
            for payload in whole.payload.chunks(merged) {
                let here = payload.len() == merged || whole.payload.len() == whole.on_wire;
                let on_wire = if here { payload.len() } else { merged };
                merge(&mut judgement, self.datagram(&key, Datagram { payload, on_wire }));
            }
        } else {
            merge(&mut judgement, self.datagram(&key, whole));
        }
        judgement
    }

    /// The books of every stream, and of every configured feed that was silent.
    pub fn feeds(&self) -> Vec<FeedReport> {
        report::reports(&self.feeds, &self.tables)
    }

    fn datagram(&mut self, key: &LineKey, datagram: Datagram<'_>) -> Judgement {
        if let Some(line) = self.tables.find(key) {
            return self.on_line(line, datagram);
        }
        if let Some(feed) = self.tables.configured(key) {
            let Some(line) = self.tables.add_line(key, Some(feed)) else {
                self.untracked += 1;
                return without_tracking(datagram, self.is_itch(Some(feed)));
            };
            return self.on_line(line, datagram);
        }
        if self.recognise { self.unknown(key, datagram) } else { accepted(Findings::NONE) }
    }

    /// A datagram of no known line: a request, a retransmission, the first packet of a feed, or none of our business.
    fn unknown(&mut self, key: &LineKey, datagram: Datagram<'_>) -> Judgement {
        let Ok(header) = Header::parse(datagram.payload) else { return accepted(Findings::NONE) };
        if !key.dst.is_multicast() && self.tables.session_on_multicast(&header.session) {
            let asks = (1..=MAX_COUNT).contains(&header.count);
            if datagram.on_wire == HEADER_LEN && asks {
                return accepted(Findings(Findings::REQUEST));
            }
            // The answer to a request: its numbers are old ones, and no stream of its own.
            if View::parse_snapped(datagram.payload, datagram.on_wire).is_ok() {
                return without_tracking(datagram, true);
            }
        }
        if !is_recognised(datagram) {
            return accepted(Findings::NONE);
        }
        let Some(line) = self.tables.add_line(key, None) else {
            self.untracked += 1;
            return without_tracking(datagram, true);
        };
        self.on_line(line, datagram)
    }

    fn on_line(&mut self, line: usize, datagram: Datagram<'_>) -> Judgement {
        let view = match View::parse_snapped(datagram.payload, datagram.on_wire) {
            Ok(view) => view,
            Err(_) if datagram.ends_in_header() => return accepted(Findings::NONE),
            Err(verdict) => {
                self.tables.reject(line);
                return Judgement { verdict, findings: Findings::NONE };
            }
        };
        let is_itch = self.is_itch(self.tables.feed_of(line));
        let skips = self.skips;
        let Some(stream) = self.tables.stream(line, &view.header.session, skips) else {
            self.untracked += 1;
            return without_tracking(datagram, is_itch);
        };
        track(stream, &view, is_itch, skips)
    }

    /// Recognised lines carry ITCH; configured ones what they were said to.
    fn is_itch(&self, feed: Option<usize>) -> bool {
        let protocol = feed.and_then(|feed| self.feeds.get(feed)).map(|feed| feed.protocol);
        protocol != Some(FeedProtocol::MoldUdp64)
    }
}

fn accepted(findings: Findings) -> Judgement {
    Judgement { verdict: Verdict::ACCEPTED, findings }
}

/// The first fault is the verdict, findings add up.
fn merge(into: &mut Judgement, part: Judgement) {
    if into.verdict == Verdict::ACCEPTED {
        into.verdict = part.verdict;
    }
    into.findings.0 |= part.findings.0;
}

/// Judges framing and messages only.
fn without_tracking(datagram: Datagram<'_>, is_itch: bool) -> Judgement {
    let verdict = match View::parse_snapped(datagram.payload, datagram.on_wire) {
        Ok(view) if is_itch => messages(&view).verdict,
        Err(verdict) if !datagram.ends_in_header() => verdict,
        _ => Verdict::ACCEPTED,
    };
    Judgement { verdict, findings: Findings::NONE }
}

/// The line of an unfragmented UDP datagram.
fn line_key(dissection: &Dissection<'_>) -> Option<LineKey> {
    let Transport::Udp { dst_port, .. } = dissection.transport else { return None };
    if dissection.findings.has(Findings::FRAGMENT) {
        return None;
    }
    Some(LineKey { src: dissection.network.src()?, dst: dissection.network.dst()?, port: dst_port })
}

/// Structure that chance does not give: see the module's header.
fn is_recognised(datagram: Datagram<'_>) -> bool {
    let Ok(view) = View::parse_snapped(datagram.payload, datagram.on_wire) else { return false };
    view.header.sequence > 0 && view.header.is_printable() && view.messages().any(itch50::fits_exactly)
}

/// What the messages of a packet are, taken together.
struct Messages {
    verdict: Verdict,
    unknown: u64,
}

fn messages(view: &View<'_>) -> Messages {
    let mut found = Messages { verdict: Verdict::ACCEPTED, unknown: 0 };
    for message in view.messages() {
        match itch50::check(message) {
            Ok(Kind::Unknown(_)) => found.unknown += 1,
            Err(verdict) if found.verdict == Verdict::ACCEPTED => found.verdict = verdict,
            Ok(Kind::Known(_)) | Err(_) => {}
        }
    }
    found
}

/// A soundly framed packet advances its stream; its messages may still be rejected.
fn track(stream: &mut Stream, view: &View<'_>, is_itch: bool, skips: u64) -> Judgement {
    if stream.skips != skips {
        stream.skips = skips;
        stream.tracker.forgive();
    }
    let header = view.header;
    let step = stream.tracker.offer(header.sequence, u64::from(header.messages()));
    stream.packets += 1;
    stream.heartbeats += u64::from(header.is_heartbeat());
    stream.ended = header.is_end() || (stream.ended && !step.new_space);
    let mut judgement = accepted(findings_of(&header, &step));
    if is_itch {
        let found = messages(view);
        stream.unknown_types += found.unknown;
        stream.rejected += u64::from(found.verdict != Verdict::ACCEPTED);
        judgement.verdict = found.verdict;
    }
    judgement
}

fn findings_of(header: &Header, step: &Step) -> Findings {
    let facts = [
        (step.missing > 0, Findings::GAP),
        (step.is_duplicate(), Findings::DUPLICATE),
        (step.is_out_of_order(), Findings::OUT_OF_ORDER),
        (step.is_overlap(), Findings::OVERLAP),
        (header.is_heartbeat(), Findings::HEARTBEAT),
        (header.is_end(), Findings::END_OF_SESSION),
        (step.new_space, Findings::NEW_SESSION),
    ];
    Findings(facts.into_iter().filter(|(is_so, _)| *is_so).fold(0, |bits, (_, bit)| bits | bit))
}

#[cfg(test)]
mod tests;
