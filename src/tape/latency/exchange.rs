//! Exchange to arrival: a packet's send time, or the first event time in it where its header has none, against its stamp.

use super::super::input::{Input, Item};
use super::super::outcome::{Outcome, TapeError};
use super::super::select::Selection;
use super::super::streams::{OnLine, Streams};
use super::super::words;
use super::clocks::Clocks;
use super::race::Race;
use super::{DistributionJson, Distributions, json, put};
use crate::events::normalize::common::DayClock;
use crate::feed::{FeedConfig, Frame, Space};
use crate::time::{NS_PER_SEC, StampClock, delta_ns};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;

/// How to measure.
#[derive(Clone, Debug)]
pub struct LatencyOptions {
    /// The configured feeds: only these have lines that can race.
    pub feeds: Vec<FeedConfig>,
    /// Leave out datagrams with a wrong UDP checksum.
    pub verify_checksums: bool,
    /// JSON in place of text.
    pub json: bool,
}

/// Reads `input` and writes tables (or JSON) to `out`, and an interval log to `hlog`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or an output.
pub fn run(
    input: &Input,
    selection: &Selection,
    options: &LatencyOptions,
    out: &mut dyn Write,
    hlog: Option<&mut dyn Write>,
) -> Result<Outcome, TapeError> {
    let mut measured = Measured::default();
    let mut streams = Streams::new(&options.feeds, options.verify_checksums);
    let mut clocks = Clocks::default();
    input.for_each_noting(
        selection,
        &mut |item| {
            measured.take(&mut streams, item, &options.feeds)?;
            Ok(ControlFlow::Continue(()))
        },
        &mut |note| clocks.note(note),
    )?;
    clocks.stamps.append(&mut measured.stamps.stamps);
    let text = if options.json { measured.json(&clocks)? } else { measured.text(&clocks) };
    put(out, &text)?;
    if let Some(hlog) = hlog {
        let mut all = measured.arrivals;
        all.all.append(&mut measured.leads.all);
        all.write_log(hlog)?;
    }
    Ok(Outcome::Good)
}

#[derive(Debug, Default)]
struct Measured {
    arrivals: Distributions,
    leads: Distributions,
    races: HashMap<usize, Race>,
    scores: Vec<Score>,
    event_clocks: HashMap<(usize, Space), EventClock>,
    stamps: Clocks,
    without_time: u64,
    impossible: u64,
    mixed_clocks: u64,
}

/// Who was first, of two lines.
#[derive(Debug, Serialize)]
struct Score {
    of: String,
    /// Messages that both lines brought.
    messages: u64,
    /// Of these, those that the first-named line brought first.
    first_wins: u64,
    /// Those that the other brought first.
    second_wins: u64,
}

#[derive(Serialize)]
struct LatencyJson<'m> {
    arrivals: Vec<DistributionJson<'m>>,
    leads: Vec<DistributionJson<'m>>,
    races: &'m [Score],
    without_time: u64,
    impossible: u64,
    mixed_clocks: u64,
    clocks: &'m Clocks,
}

impl Measured {
    fn take(
        &mut self,
        streams: &mut Streams,
        item: &Item<'_>,
        feeds: &[FeedConfig],
    ) -> Result<(), TapeError> {
        let mut result = Ok(());
        streams.packet(&item.packet, &mut |on_line| {
            let Ok(frame) = &on_line.frame else { return };
            if result.is_ok() {
                result = self.datagram(item, on_line, frame, feeds);
            }
        });
        result
    }

    fn datagram(
        &mut self,
        item: &Item<'_>,
        on_line: &OnLine<'_, '_>,
        frame: &Frame<'_>,
        feeds: &[FeedConfig],
    ) -> Result<(), TapeError> {
        let stamp = item.packet.stamp;
        self.stamps.stamp(stamp.clock);
        if stamp.clock == StampClock::NONE {
            self.without_time += 1;
            return Ok(());
        }
        self.arrivals.saw(stamp.ns);
        match self.exchange_time(stamp.ns, on_line, frame, feeds) {
            Some((from, at_ns)) => {
                // Beyond 2262 a difference to a stamp of today has no 64 bits.
                if i64::try_from(at_ns).is_err() {
                    self.impossible += 1;
                } else {
                    let clocks = (from, stamp.clock.name());
                    self.arrivals.record(&on_line.line.label(), clocks, delta_ns(stamp.ns, at_ns))?;
                }
            }
            None => self.without_time += 1,
        }
        if let Some((feed, line)) = on_line.line.configured {
            self.race(item, (feed, line), frame, feeds)?;
        }
        Ok(())
    }

    /// When the exchange says that the packet, or the first event in it, was; and whose word that is.
    fn exchange_time(
        &mut self,
        stamp_ns: u64,
        on_line: &OnLine<'_, '_>,
        frame: &Frame<'_>,
        feeds: &[FeedConfig],
    ) -> Option<(&'static str, u64)> {
        if let Some(sent_ns) = frame.header.sent_ns {
            return Some(("sent", sent_ns));
        }
        let of_messages = EventTime::of(on_line.speaker.name())?;
        let offset_s = on_line.line.configured.and_then(|(feed, _)| feeds.get(feed)?.utc_offset_s);
        let clock = self
            .event_clocks
            .entry((on_line.index, frame.header.space))
            .or_insert_with(|| EventClock { day: DayClock::new(offset_s), second: None });
        let mut first = None;
        for message in frame.messages() {
            let since_midnight = of_messages.read(message, &mut clock.second);
            first = first.or(since_midnight);
        }
        Some(("event", clock.day.utc_ns(first?, stamp_ns)?))
    }

    fn race(
        &mut self,
        item: &Item<'_>,
        (feed, line): (usize, usize),
        frame: &Frame<'_>,
        feeds: &[FeedConfig],
    ) -> Result<(), TapeError> {
        let Some(config) = feeds.get(feed).filter(|config| config.lines.len() > 1) else { return Ok(()) };
        let header = frame.header;
        // A count out of a configured field may be any number.
        for at in 0..header.units.min(1 << 16) {
            let place = (header.space, header.first.saturating_add(at));
            let Some(lead) = self.races.entry(feed).or_default().came(place, line, item.packet.stamp) else {
                continue;
            };
            let Some(ns) = lead.ns else {
                self.mixed_clocks += 1;
                continue;
            };
            let name = |at: usize| config.lines.get(at).map_or("", |line| line.name.as_str());
            let (one, other) = (name(lead.lines.0), name(lead.lines.1));
            let of = format!("{}/{one}-before-{other}", config.name);
            let clock = item.packet.stamp.clock.name();
            self.leads.record(&of, (clock, clock), ns)?;
            self.count_win(&of, ns);
        }
        Ok(())
    }

    fn count_win(&mut self, of: &str, lead_ns: i64) {
        let at = self.scores.iter().position(|wins| wins.of == of).unwrap_or_else(|| {
            self.scores.push(Score { of: of.to_owned(), messages: 0, first_wins: 0, second_wins: 0 });
            self.scores.len() - 1
        });
        if let Some(wins) = self.scores.get_mut(at) {
            wins.messages += 1;
            wins.first_wins += u64::from(lead_ns > 0);
            wins.second_wins += u64::from(lead_ns < 0);
        }
    }

    fn json(&self, clocks: &Clocks) -> Result<String, TapeError> {
        json(&LatencyJson {
            arrivals: self.arrivals.json(),
            leads: self.leads.json(),
            races: &self.scores,
            without_time: self.without_time,
            impossible: self.impossible,
            mixed_clocks: self.mixed_clocks,
            clocks,
        })
    }

    fn text(&self, clocks: &Clocks) -> String {
        let mut t = String::new();
        t.push_str("exchange to arrival, ns (arrival minus exchange's time, signed):\n");
        self.arrivals.table(&mut t);
        t.push_str(
            "  sent: the exchange's send time, in the packet's header; event: its time of the first event in the packet\n",
        );
        clocks.tell(&mut t, "");
        t.push_str(
            "  these are differences between two clocks: one-way delays only if both were synchronised\n",
        );
        if !self.leads.all.is_empty() {
            t.push_str("\nrace between lines, ns (by how much the first-named was earlier; negative: it was later):\n");
            self.leads.table(&mut t);
            for wins in &self.scores {
                let _ = writeln!(
                    t,
                    "  {}: of {} messages on both, the first-named was first in {}, the other in {}",
                    wins.of,
                    words::grouped(wins.messages),
                    words::grouped(wins.first_wins),
                    words::grouped(wins.second_wins)
                );
            }
            t.push_str("  both ends are stamps of one clock: no synchronisation is in the numbers\n");
        }
        let left_out = [
            (self.without_time, "packets without a stamp or an exchange's time"),
            (self.impossible, "packets whose exchange's time is beyond the year 2262"),
            (self.mixed_clocks, "messages whose two copies were stamped by different clocks"),
        ];
        for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
            let _ = writeln!(t, "left out: {} {what}", words::grouped(count));
        }
        t
    }
}

/// A stream's way from the exchange's midnight to UTC.
#[derive(Debug)]
struct EventClock {
    day: DayClock,
    /// The last whole second that a message told, for protocols that tell seconds and nanoseconds apart.
    second: Option<u32>,
}

/// Where a protocol's messages have their event time.
#[derive(Clone, Copy)]
enum EventTime {
    /// ns since midnight, 48 bits, big-endian, at 5 (TotalView-ITCH 5.0, 4).
    Itch,
    /// Seconds since midnight in messages of type 0x20, and ns since that second in all others, both 32 bits little-endian at 2
    /// (Cboe multicast PITCH, Time).
    Pitch,
}

impl EventTime {
    fn of(protocol: &str) -> Option<Self> {
        match protocol {
            "moldudp64-itch50" => Some(Self::Itch),
            "cboe-pitch" => Some(Self::Pitch),
            _ => None,
        }
    }

    /// ns since midnight; `None` for a message that has no time.
    fn read(self, message: &[u8], second: &mut Option<u32>) -> Option<u64> {
        match self {
            Self::Itch => {
                let number = message.get(5..)?.first_chunk::<6>()?;
                Some(number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            Self::Pitch => {
                const TIME: u8 = 0x20;
                let number = u32::from_le_bytes(*message.get(2..)?.first_chunk::<4>()?);
                if message.get(1) == Some(&TIME) {
                    *second = Some(number);
                    return None;
                }
                let whole_ns = u64::from((*second)?) * NS_PER_SEC;
                Some(whole_ns + u64::from(number)).filter(|_| u64::from(number) < NS_PER_SEC)
            }
        }
    }
}
