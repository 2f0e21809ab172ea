//! The judge: gives each packet its verdict and findings, and keeps the books of each feed.
//!
//! Pure: the same packets (and the same [`Judge::skip`]s) give the same judgements, live or from
//! tape. All memory is allocated in [`Judge::new`]; judging allocates nothing and never panics.
//!
//! First the headers ([`crate::wire::dissect`]). A datagram whose headers are sound and which is
//! not a fragment goes to its line, if it has one:
//! - a configured feed's group, port and (if given) source, or
//! - a line recognised by structure ([`Protocol::recognises`]). A recognised line stays one, so
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

pub use crate::feed::{FeedConfig, FeedProtocol, LineConfig};

use crate::feed::frame::{Frame, Header, Kind};
use crate::feed::moldudp64;
use crate::feed::sequence::Step;
use crate::feed::sequenced::Layout;
use crate::feed::{MessageKind, Protocol, Space};
use crate::packet::{Findings, Judgement, Marks, Packet, Verdict};
use crate::wire::{Dissection, Transport, dissect};
use serde::{Deserialize, Serialize};
use tables::{LineKey, Stream, Tables};

/// What a judge is to look for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeConfig {
    /// Feeds by address.
    pub feeds: Vec<FeedConfig>,
    /// Whether to recognise streams that are not configured ([`FeedProtocol::RECOGNISED`]).
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
    /// What the feeds speak, in their order, and behind them what is recognised.
    speakers: Vec<Box<dyn Protocol>>,
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

impl<'a> Datagram<'a> {
    /// True if the capture (not the packet) ends inside the feed's header: nothing can be judged, nothing is wrong.
    fn ends_in_header(&self, speaker: &dyn Protocol) -> bool {
        self.payload.len() < speaker.header_bytes().min(self.on_wire)
    }

    fn frame(&self, speaker: &dyn Protocol) -> Result<Frame<'a>, Verdict> {
        speaker.frame(self.payload, self.on_wire)
    }
}

impl Judge {
    /// A judge that has seen nothing. Allocates all that it will ever need.
    pub fn new(config: &JudgeConfig) -> Self {
        let configured = config.feeds.iter().map(|feed| feed.protocol.speaker(feed.layout));
        let recognised = FeedProtocol::RECOGNISED.into_iter().map(|p| p.speaker(Layout::default()));
        Self {
            feeds: config.feeds.clone(),
            speakers: configured.chain(recognised).collect(),
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
        report::reports(self)
    }

    fn speaker(&self, at: usize) -> &dyn Protocol {
        // Indices come from `Judge::new`'s own list, which is never empty.
        self.speakers.get(at).map_or(&moldudp64::Bare, Box::as_ref)
    }

    fn datagram(&mut self, key: &LineKey, datagram: Datagram<'_>) -> Judgement {
        if let Some(line) = self.tables.find(key) {
            return self.on_line(line, datagram);
        }
        if let Some(which) = self.tables.configured(key) {
            let Some(line) = self.tables.add_line(key, which.feed, Some(which)) else {
                self.untracked += 1;
                return without_tracking(datagram, self.speaker(which.feed));
            };
            return self.on_line(line, datagram);
        }
        if self.recognise { self.unknown(key, datagram) } else { accepted(Findings::NONE) }
    }

    /// A datagram of no known line: a request, a retransmission, the first packet of a feed, or none of our business.
    fn unknown(&mut self, key: &LineKey, datagram: Datagram<'_>) -> Judgement {
        if let Some(judgement) = self.of_mold_unicast(key, datagram) {
            return judgement;
        }
        let recognised = (self.feeds.len()..self.speakers.len())
            .find(|at| self.speaker(*at).recognises(datagram.payload, datagram.on_wire, key.port));
        let Some(speaker) = recognised else { return accepted(Findings::NONE) };
        let Some(line) = self.tables.add_line(key, speaker, None) else {
            self.untracked += 1;
            return without_tracking(datagram, self.speaker(speaker));
        };
        self.on_line(line, datagram)
    }

    /// Between a client and MoldUDP64's re-request server, if its session is known from a multicast line.
    fn of_mold_unicast(&self, key: &LineKey, datagram: Datagram<'_>) -> Option<Judgement> {
        if key.dst.is_multicast() {
            return None;
        }
        let header = moldudp64::Header::parse(datagram.payload).ok()?;
        if !self.tables.space_on_multicast(&Space::of(&header.session)) {
            return None;
        }
        let asks = (1..=moldudp64::MAX_COUNT).contains(&header.count);
        if datagram.on_wire == moldudp64::HEADER_LEN && asks {
            return Some(accepted(Findings(Findings::REQUEST)));
        }
        // The answer to a request: its numbers are old ones, and no stream of its own.
        moldudp64::View::parse_snapped(datagram.payload, datagram.on_wire).ok()?;
        Some(without_tracking(datagram, &crate::feed::itch50::OverMold))
    }

    fn on_line(&mut self, line: usize, datagram: Datagram<'_>) -> Judgement {
        let at = self.tables.speaker_of(line);
        let speaker = self.speakers.get(at).map_or(&moldudp64::Bare as &dyn Protocol, Box::as_ref);
        let frame = match datagram.frame(speaker) {
            Ok(frame) => frame,
            Err(_) if datagram.ends_in_header(speaker) => return accepted(Findings::NONE),
            Err(verdict) => {
                self.tables.reject(line);
                return Judgement { verdict, findings: Findings::NONE };
            }
        };
        let skips = self.skips;
        let Some(stream) = self.tables.stream(line, &frame.header.space, skips) else {
            self.untracked += 1;
            return without_tracking(datagram, speaker);
        };
        track(stream, &frame, speaker, skips)
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
fn without_tracking(datagram: Datagram<'_>, speaker: &dyn Protocol) -> Judgement {
    let verdict = match datagram.frame(speaker) {
        Ok(frame) => messages(&frame, speaker).verdict,
        Err(verdict) if !datagram.ends_in_header(speaker) => verdict,
        Err(_) => Verdict::ACCEPTED,
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

/// What the messages of a packet are, taken together.
struct Messages {
    verdict: Verdict,
    unknown: u64,
}

fn messages(frame: &Frame<'_>, speaker: &dyn Protocol) -> Messages {
    let mut found = Messages { verdict: Verdict::ACCEPTED, unknown: 0 };
    for message in frame.messages() {
        match speaker.check(message) {
            Ok(MessageKind::Unknown) => found.unknown += 1,
            Err(verdict) if found.verdict == Verdict::ACCEPTED => found.verdict = verdict,
            Ok(MessageKind::Known) | Err(_) => {}
        }
    }
    found
}

/// A soundly framed packet advances its stream; its messages may still be rejected.
fn track(stream: &mut Stream, frame: &Frame<'_>, speaker: &dyn Protocol, skips: u64) -> Judgement {
    if stream.skips != skips {
        stream.skips = skips;
        stream.tracker.forgive();
    }
    let header = frame.header;
    let step = match header.kind {
        Kind::Reset => stream.tracker.restart(header.first, header.units),
        _ => stream.tracker.offer(header.first, header.units),
    };
    stream.packets += 1;
    stream.heartbeats += u64::from(header.kind == Kind::Heartbeat);
    stream.ended = header.kind == Kind::EndOfSession || (stream.ended && !step.new_space);
    let found = messages(frame, speaker);
    stream.unknown_types += found.unknown;
    stream.rejected += u64::from(found.verdict != Verdict::ACCEPTED);
    Judgement { verdict: found.verdict, findings: findings_of(&header, &step) }
}

fn findings_of(header: &Header, step: &Step) -> Findings {
    let facts = [
        (step.missing > 0, Findings::GAP),
        (step.is_duplicate(), Findings::DUPLICATE),
        (step.is_out_of_order(), Findings::OUT_OF_ORDER),
        (step.is_overlap(), Findings::OVERLAP),
        (header.kind == Kind::Heartbeat, Findings::HEARTBEAT),
        (header.kind == Kind::EndOfSession, Findings::END_OF_SESSION),
        (step.new_space, Findings::NEW_SESSION),
    ];
    Findings(facts.into_iter().filter(|(is_so, _)| *is_so).fold(0, |bits, (_, bit)| bits | bit))
}

#[cfg(test)]
mod tests;
