//! Which feed and line a packet belongs to: as the configuration says, or by structure where that is safe.
//!
//! A line is a sender and where its datagrams go. The first datagram that a protocol recognises makes a line; from then on
//! what comes there is read as that protocol, so that what is corrupt is called so. At most [`MAX_LINES`] are kept;
//! datagrams of further ones are counted and left out.
//!
//! May touch: the packets it is given; [`recorded_feeds`] reads `journal.toml`.

use super::outcome::TapeError;
use crate::feed::sequenced::Layout;
use crate::feed::{FeedConfig, FeedProtocol, Frame, Protocol};
use crate::journal::options::JUDGE_KEY;
use crate::journal::reader::Tape;
use crate::packet::{Findings, Marks, Packet, Verdict};
use crate::validate::JudgeConfig;
use crate::wire::{Dissection, Transport, dissect};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Most lines that are told apart.
pub const MAX_LINES: usize = 4_096;

/// The feeds that the newest capture on a journal was configured with; none if it does not say.
///
/// # Errors
/// [`TapeError::Refused`] if `journal.toml` cannot be read.
pub fn recorded_feeds(tape: &Tape) -> Result<Vec<FeedConfig>, TapeError> {
    feeds_of(tape, |_| true)
}

/// The feeds of the capture of this id (as in `journal.toml`).
pub(super) fn feeds_of_capture(tape: &Tape, id: &str) -> Result<Vec<FeedConfig>, TapeError> {
    feeds_of(tape, |other| other == id)
}

/// The feeds of the last capture that is one of those wanted and says which it had.
fn feeds_of(tape: &Tape, wanted: impl Fn(&str) -> bool) -> Result<Vec<FeedConfig>, TapeError> {
    let refused = |what: String| TapeError::Refused(format!("journal.toml: {what}; give --config FILE"));
    let description = tape.description().map_err(|error| refused(error.to_string()))?;
    let captures = description.iter().flat_map(|d| &d.captures).filter(|capture| wanted(&capture.id));
    let Some((capture, text)) =
        captures.filter_map(|capture| Some((capture, capture.host.0.get(JUDGE_KEY)?))).next_back()
    else {
        return Ok(Vec::new());
    };
    let config: JudgeConfig = toml::from_str(text).map_err(|error| {
        refused(format!("capture {}: its feeds cannot be read: {}", capture.id, error.message()))
    })?;
    Ok(config.feeds)
}

/// A sender and where its datagrams go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// From.
    pub src: SocketAddr,
    /// To.
    pub dst: SocketAddr,
}

/// A line that something came on.
#[derive(Clone, Debug)]
pub struct Line {
    /// From where to where.
    pub route: Route,
    /// Index of its feed and of its line in the configuration; `None` if it was recognised by structure.
    pub configured: Option<(usize, usize)>,
    /// The feed's name; of a recognised line `destination:port`.
    pub feed: String,
    /// The line's name; empty if it was recognised.
    pub name: String,
    /// Which of the speakers.
    speaker: usize,
}

impl Line {
    /// Feed and line as one word: `XNAS/A`, `233.54.12.111:26477`.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.feed.clone() } else { format!("{}/{}", self.feed, self.name) }
    }
}

/// A datagram on a line.
#[derive(Clone, Copy, Debug)]
pub struct OnLine<'l, 'a> {
    /// The line's index: lines are numbered in the order in which they are met.
    pub index: usize,
    /// The line.
    pub line: &'l Line,
    /// What it speaks.
    pub speaker: &'l dyn Protocol,
    /// What was framed, or why it could not be; [`Verdict::ACCEPTED`] if the capture ends before that can be said.
    pub frame: Result<Frame<'a>, Verdict>,
}

/// Finds the line of each packet.
#[derive(Debug)]
pub struct Streams {
    feeds: Vec<FeedConfig>,
    /// What the feeds speak, in their order, and behind them what is recognised.
    speakers: Vec<Box<dyn Protocol>>,
    lines: Vec<Line>,
    by_route: HashMap<Route, usize>,
    verify_checksums: bool,
    left_out: u64,
    bad_checksums: u64,
}

impl Streams {
    /// Nothing seen yet. Without `verify_checksums` a datagram may have a wrong UDP checksum (captures whose addresses were
    /// rewritten, or that were taken before the checksum was computed).
    pub fn new(feeds: &[FeedConfig], verify_checksums: bool) -> Self {
        let configured = feeds.iter().map(|feed| feed.protocol.speaker(feed.layout));
        let recognised = FeedProtocol::RECOGNISED.into_iter().map(|p| p.speaker(Layout::default()));
        Self {
            feeds: feeds.to_vec(),
            speakers: configured.chain(recognised).collect(),
            lines: Vec::new(),
            by_route: HashMap::new(),
            verify_checksums,
            left_out: 0,
            bad_checksums: 0,
        }
    }

    /// The configured feeds.
    pub fn feeds(&self) -> &[FeedConfig] {
        &self.feeds
    }

    /// The lines met so far, by index.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What a line speaks.
    pub fn speaker(&self, line: usize) -> Option<&dyn Protocol> {
        self.speakers.get(self.lines.get(line)?.speaker).map(Box::as_ref)
    }

    /// Datagrams of feeds that found no room among the lines.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// UDP datagrams with a wrong checksum, on any line or none: they are believed to be no feed's.
    pub const fn bad_checksums(&self) -> u64 {
        self.bad_checksums
    }

    /// Hands each datagram in the packet (several if the kernel had merged them) that is a feed's to `each`.
    pub fn packet<'a>(&mut self, packet: &Packet<'a>, each: &mut dyn FnMut(&OnLine<'_, 'a>)) {
        let mut packet = *packet;
        if !self.verify_checksums {
            packet.marks.0 |= Marks::CSUM_NOT_READY;
        }
        let dissection = dissect(&packet);
        let Some(route) = route(&dissection) else { return };
        self.bad_checksums += u64::from(dissection.verdict == Verdict::UDP_BAD_CHECKSUM);
        if dissection.verdict != Verdict::ACCEPTED {
            if let Some(index) = self.by_route.get(&route) {
                self.hand_over(*index, Err(dissection.verdict), each);
            }
            return;
        }
        let (payload, on_wire) = (dissection.payload, dissection.payload_on_wire);
        let merged = usize::from(packet.gso_size);
        if packet.marks.has(Marks::GSO) && merged > 0 && payload.len() > merged {
            for one in payload.chunks(merged) {
                let is_whole = one.len() == merged || payload.len() == on_wire;
                self.datagram(route, one, if is_whole { one.len() } else { merged }, each);
            }
        } else {
            self.datagram(route, payload, on_wire, each);
        }
    }

    fn datagram<'a>(
        &mut self,
        route: Route,
        payload: &'a [u8],
        on_wire: usize,
        each: &mut dyn FnMut(&OnLine<'_, 'a>),
    ) {
        let Some(index) = self.line_of(route, payload, on_wire) else { return };
        let Some(speaker) = self.speaker(index) else { return };
        let frame = speaker.frame(payload, on_wire).map_err(|verdict| {
            let ends_in_header = payload.len() < speaker.header_bytes().min(on_wire);
            if ends_in_header { Verdict::ACCEPTED } else { verdict }
        });
        self.hand_over(index, frame, each);
    }

    fn hand_over<'a>(
        &self,
        index: usize,
        frame: Result<Frame<'a>, Verdict>,
        each: &mut dyn FnMut(&OnLine<'_, 'a>),
    ) {
        if let (Some(line), Some(speaker)) = (self.lines.get(index), self.speaker(index)) {
            each(&OnLine { index, line, speaker, frame });
        }
    }

    fn line_of(&mut self, route: Route, payload: &[u8], on_wire: usize) -> Option<usize> {
        if let Some(index) = self.by_route.get(&route) {
            return Some(*index);
        }
        let line = self.configured(route).or_else(|| self.recognised(route, payload, on_wire))?;
        if self.lines.len() == MAX_LINES {
            self.left_out += 1;
            return None;
        }
        self.lines.push(line);
        self.by_route.insert(route, self.lines.len() - 1);
        Some(self.lines.len() - 1)
    }

    fn configured(&self, route: Route) -> Option<Line> {
        self.feeds.iter().enumerate().find_map(|(index, feed)| {
            let at = feed.lines.iter().position(|line| {
                line.group == route.dst.ip()
                    && line.port == route.dst.port()
                    && line.source.is_none_or(|source| source == route.src.ip())
            })?;
            Some(Line {
                route,
                configured: Some((index, at)),
                feed: feed.name.clone(),
                name: feed.lines.get(at)?.name.clone(),
                speaker: index,
            })
        })
    }

    fn recognised(&self, route: Route, payload: &[u8], on_wire: usize) -> Option<Line> {
        let port = route.dst.port();
        let behind = self.speakers.iter().enumerate().skip(self.feeds.len());
        let (speaker, _) = behind.into_iter().find(|(_, s)| s.recognises(payload, on_wire, port))?;
        Some(Line { route, configured: None, feed: route.dst.to_string(), name: String::new(), speaker })
    }
}

/// From where to where an unfragmented UDP datagram goes.
fn route(dissection: &Dissection<'_>) -> Option<Route> {
    let Transport::Udp { src_port, dst_port, .. } = dissection.transport else { return None };
    if dissection.findings.has(Findings::FRAGMENT) {
        return None;
    }
    Some(Route {
        src: SocketAddr::new(dissection.network.src()?, src_port),
        dst: SocketAddr::new(dissection.network.dst()?, dst_port),
    })
}
