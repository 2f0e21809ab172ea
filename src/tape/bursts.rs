//! `tape bursts`: the busiest windows of a tape: how much, when, on which feed.
//!
//! A window of length `w` that ends at a packet holds every packet whose stamp is less than `w` before it; the highest such window
//! is the highest of all windows of that length, wherever they begin, so nothing is rounded to a grid. One pass: packets
//! are brought into the order of their stamps, and as many are held as the longest window has.
//!
//! Listed are the highest windows that do not overlap: the highest of all, and then of each stretch of one window length its
//! highest one, unless that overlaps a higher one.

use super::in_order::InOrder;
use super::input::{Input, Item};
use super::outcome::{Outcome, TapeError};
use super::select::Selection;
use super::streams::Streams;
use super::words;
use crate::feed::FeedConfig;
use crate::time::{NS_PER_SEC, StampClock};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;

/// Windows that are looked at if none are asked for, ns.
pub const WINDOWS_NS: [u64; 3] = [1_000_000, 100_000, 10_000];
/// Most packets in a window.
const MAX_IN_WINDOW: usize = 1 << 24;
/// Most feeds and lines that are told apart; further ones count as `other`.
const MAX_SCOPES: usize = 256;
/// How far stamps may step back.
const HORIZON_NS: u64 = 10_000_000;

/// What makes one window higher than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Bytes, so the rate.
    #[default]
    Bytes,
    /// Packets.
    Packets,
}

/// What to look for.
#[derive(Clone, Debug)]
pub struct BurstsOptions {
    /// The configured feeds.
    pub feeds: Vec<FeedConfig>,
    /// Lengths of the windows, ns; none of them 0.
    pub windows_ns: Vec<u64>,
    /// What is ranked.
    pub by: By,
    /// Count what a frame takes on an Ethernet wire, not only its bytes.
    pub line_rate: bool,
    /// How many windows are listed of each length and feed.
    pub top: usize,
    /// JSON in place of text.
    pub json: bool,
}

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peak {
    /// Stamp of its last packet, ns since the Unix epoch.
    to_ns: u64,
    load: Load,
    /// The feed and line that most of it is of.
    mostly: usize,
    of_mostly: Load,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    packets: u64,
    bytes: u64,
}

impl Load {
    fn add(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }
    fn remove(&mut self, bytes: u32) {
        self.packets -= 1;
        self.bytes -= u64::from(bytes);
    }
    /// What is ranked, and what decides between equals.
    const fn rank(self, by: By) -> (u64, u64) {
        match by {
            By::Bytes => (self.bytes, self.packets),
            By::Packets => (self.packets, self.bytes),
        }
    }
    fn bits_per_second(self, window_ns: u64) -> u64 {
        let bits = u128::from(self.bytes) * 8 * u128::from(NS_PER_SEC) / u128::from(window_ns.max(1));
        u64::try_from(bits).unwrap_or(u64::MAX)
    }
}

/// Reads `input` and writes the answer to `out`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or the output; [`TapeError::Refused`] if a window holds more packets than memory is kept for.
pub fn run(
    input: &Input,
    selection: &Selection,
    options: &BurstsOptions,
    out: &mut dyn Write,
) -> Result<Outcome, TapeError> {
    let mut bursts = Bursts::new(options);
    input.for_each(selection, &mut |item| {
        bursts.take(item)?;
        Ok(ControlFlow::Continue(()))
    })?;
    let report = bursts.finish()?;
    let text = if options.json {
        serde_json::to_string(&report).map_err(|error| TapeError::Refused(error.to_string()))? + "\n"
    } else {
        text(&report)
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))?;
    Ok(Outcome::Good)
}

/// Feeds and lines, numbered as they are met.
#[derive(Debug)]
struct Scopes {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    /// By line.
    of_line: Vec<usize>,
}

impl Scopes {
    /// Everything.
    const ALL: usize = 0;
    /// What is of no feed.
    const OTHER: usize = 1;

    fn new() -> Self {
        let names = vec!["all".to_owned(), "other".to_owned()];
        Self { names, by_name: HashMap::new(), of_line: Vec::new() }
    }

    fn of_line(&mut self, line: usize, label: impl FnOnce() -> String) -> usize {
        if let Some(scope) = self.of_line.get(line) {
            return *scope;
        }
        let name = label();
        let known = self.by_name.get(&name).copied();
        let scope = known.unwrap_or_else(|| {
            if self.names.len() == MAX_SCOPES {
                return Self::OTHER;
            }
            self.names.push(name.clone());
            self.by_name.insert(name, self.names.len() - 1);
            self.names.len() - 1
        });
        // Lines are numbered in the order in which they are met, so this one is the next.
        self.of_line.push(scope);
        scope
    }
}

/// A packet in a window.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at_ns: u64,
    bytes: u32,
    scope: u32,
}

#[derive(Debug)]
struct Bursts {
    options: BurstsOptions,
    streams: Streams,
    scopes: Scopes,
    order: InOrder<(u32, usize)>,
    /// The packets of the longest window, and how many were taken away before the first of them.
    seen: VecDeque<Seen>,
    gone: usize,
    windows: Vec<Window>,
    totals: Vec<Load>,
    clocks: BTreeMap<&'static str, u64>,
    without_time: u64,
    late: u64,
}

/// One length of windows, and where its current window begins.
#[derive(Debug)]
struct Window {
    length_ns: u64,
    /// Number of its first packet, counted from the beginning of all.
    head: usize,
    /// By scope.
    loads: Vec<Load>,
    /// By scope.
    peaks: Vec<Peaks>,
}

impl Bursts {
    fn new(options: &BurstsOptions) -> Self {
        let window =
            |length_ns: &u64| Window { length_ns: *length_ns, head: 0, loads: Vec::new(), peaks: Vec::new() };
        Self {
            streams: Streams::new(&options.feeds, false),
            scopes: Scopes::new(),
            order: InOrder::new(HORIZON_NS),
            seen: VecDeque::new(),
            gone: 0,
            windows: options.windows_ns.iter().map(window).collect(),
            totals: Vec::new(),
            clocks: BTreeMap::new(),
            without_time: 0,
            late: 0,
            options: options.clone(),
        }
    }

    fn take(&mut self, item: &Item<'_>) -> Result<(), TapeError> {
        let packet = &item.packet;
        *self.clocks.entry(packet.stamp.clock.name()).or_default() += 1;
        if packet.stamp.clock == StampClock::NONE {
            self.without_time += 1;
            return Ok(());
        }
        let mut scope = Scopes::OTHER;
        let scopes = &mut self.scopes;
        self.streams.packet(packet, &mut |on_line| {
            scope = scopes.of_line(on_line.index, || on_line.line.label());
        });
        let bytes = if self.options.line_rate { on_ethernet(packet.wire_len) } else { packet.wire_len };
        if self.order.push(packet.stamp.ns, (bytes, scope)).is_err() {
            self.late += 1;
        }
        while let Some((at_ns, (bytes, scope))) = self.order.ready() {
            self.slide(at_ns, bytes, scope)?;
        }
        Ok(())
    }

    /// Moves every window to the packet, which is not before any other.
    fn slide(&mut self, at_ns: u64, bytes: u32, scope: usize) -> Result<(), TapeError> {
        let by = self.options.by;
        let scopes = self.scopes.names.len();
        self.totals.resize(scopes, Load::default());
        for scope in [Scopes::ALL, scope] {
            self.totals[scope].add(bytes);
        }
        self.seen.push_back(Seen { at_ns, bytes, scope: u32::try_from(scope).unwrap_or(0) });
        for window in &mut self.windows {
            window.grow(scopes, self.options.top);
            for scope in [Scopes::ALL, scope] {
                window.loads[scope].add(bytes);
            }
            while let Some(first) = self.seen.get(window.head - self.gone) {
                if at_ns - first.at_ns < window.length_ns {
                    break;
                }
                window.head += 1;
                for scope in [Scopes::ALL, usize::try_from(first.scope).unwrap_or(0)] {
                    window.loads[scope].remove(first.bytes);
                }
            }
            window.offer(at_ns, scope, by);
        }
        let needed = self.windows.iter().map(|window| window.head).min().unwrap_or(self.gone);
        self.seen.drain(..needed - self.gone);
        self.gone = needed;
        if self.seen.len() > MAX_IN_WINDOW {
            return Err(TapeError::Refused(format!(
                "more than {MAX_IN_WINDOW} packets in one window: choose a shorter --window"
            )));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report, TapeError> {
        while let Some((at_ns, (bytes, scope))) = self.order.take() {
            self.slide(at_ns, bytes, scope)?;
        }
        let by = self.options.by;
        let names = &self.scopes.names;
        let windows = self.windows.iter().map(|window| window.report(names, &self.totals, by)).collect();
        Ok(Report {
            by,
            line_rate: self.options.line_rate,
            packets: self.totals.first().map_or(0, |all| all.packets),
            clocks: self.clocks,
            without_time: self.without_time,
            late: self.late,
            windows,
        })
    }
}

/// What a frame takes on an Ethernet wire, bytes: padded to 60 bytes, with its check sequence (4), the preamble (8) and the gap
/// (12) behind it (IEEE 802.3, 4A.4.2).
const fn on_ethernet(frame_bytes: u32) -> u32 {
    let padded = if frame_bytes < 60 { 60 } else { frame_bytes };
    padded.saturating_add(4 + 8 + 12)
}

impl Window {
    fn grow(&mut self, scopes: usize, top: usize) {
        self.loads.resize(scopes, Load::default());
        self.peaks.resize_with(scopes, || Peaks::new(top));
    }

    /// The window that ends here may be the highest of the scope that has just grown, and of all.
    fn offer(&mut self, to_ns: u64, scope: usize, by: By) {
        let own = self.loads[scope];
        let cell = to_ns / self.length_ns;
        self.peaks[scope].offer(cell, by, own, || Peak { to_ns, load: own, mostly: scope, of_mostly: own });
        let loads = &self.loads;
        let all = loads[Scopes::ALL];
        self.peaks[Scopes::ALL].offer(cell, by, all, || {
            let of_scopes = loads.iter().enumerate().skip(1);
            let (mostly, of_mostly) =
                of_scopes.max_by_key(|(_, load)| load.rank(by)).unwrap_or((scope, &own));
            Peak { to_ns, load: all, mostly, of_mostly: *of_mostly }
        });
    }

    fn report(&self, names: &[String], totals: &[Load], by: By) -> WindowReport {
        let length_ns = self.length_ns;
        let peak = |peak: &Peak| PeakReport {
            to_ns: peak.to_ns,
            packets: peak.load.packets,
            bytes: peak.load.bytes,
            bits_per_second: peak.load.bits_per_second(length_ns),
            mostly: names.get(peak.mostly).cloned().unwrap_or_default(),
            mostly_packets: peak.of_mostly.packets,
            mostly_bytes: peak.of_mostly.bytes,
        };
        let scope = |(at, peaks): (usize, &Peaks)| ScopeReport {
            scope: names.get(at).cloned().unwrap_or_default(),
            packets: totals.get(at).map_or(0, |load| load.packets),
            bytes: totals.get(at).map_or(0, |load| load.bytes),
            peaks: peaks.highest(length_ns, by).iter().map(peak).collect(),
        };
        let scopes = self.peaks.iter().enumerate().map(scope).filter(|scope| scope.packets > 0);
        WindowReport { window_ns: length_ns, scopes: scopes.collect() }
    }
}

/// The highest windows of one scope and length: of each stretch of one window length the highest that ends in it.
#[derive(Debug)]
struct Peaks {
    /// How many are wanted in the end.
    top: usize,
    cell: u64,
    in_cell: Option<Peak>,
    /// Of earlier stretches; the highest first. One window overlaps those of at most two other stretches, so three times
    /// as many as wanted are enough.
    kept: Vec<Peak>,
}

impl Peaks {
    fn new(top: usize) -> Self {
        Self { top, cell: 0, in_cell: None, kept: Vec::new() }
    }

    fn offer(&mut self, cell: u64, by: By, load: Load, peak: impl FnOnce() -> Peak) {
        if cell != self.cell {
            self.cell = cell;
            if let Some(done) = self.in_cell.take() {
                keep(&mut self.kept, done, self.top, by);
            }
        }
        if self.in_cell.is_none_or(|best| load.rank(by) > best.load.rank(by)) {
            self.in_cell = Some(peak());
        }
    }

    fn highest(&self, length_ns: u64, by: By) -> Vec<Peak> {
        let mut all = self.kept.clone();
        if let Some(last) = self.in_cell {
            keep(&mut all, last, self.top, by);
        }
        let mut chosen: Vec<Peak> = Vec::new();
        for peak in all {
            let overlaps = |other: &Peak| other.to_ns.abs_diff(peak.to_ns) < length_ns;
            if chosen.len() < self.top && !chosen.iter().any(overlaps) {
                chosen.push(peak);
            }
        }
        chosen
    }
}

/// Puts a peak at its rank (the earlier of equals first), if it is among the highest.
fn keep(kept: &mut Vec<Peak>, peak: Peak, top: usize, by: By) {
    let at = kept.partition_point(|other| other.load.rank(by) >= peak.load.rank(by));
    let most = top.saturating_mul(3);
    if at < most {
        kept.insert(at, peak);
        kept.truncate(most);
    }
}

#[derive(Debug, Serialize)]
struct Report {
    by: By,
    line_rate: bool,
    packets: u64,
    clocks: BTreeMap<&'static str, u64>,
    without_time: u64,
    late: u64,
    windows: Vec<WindowReport>,
}

#[derive(Debug, Serialize)]
struct WindowReport {
    window_ns: u64,
    scopes: Vec<ScopeReport>,
}

#[derive(Debug, Serialize)]
struct ScopeReport {
    scope: String,
    packets: u64,
    bytes: u64,
    peaks: Vec<PeakReport>,
}

#[derive(Debug, Serialize)]
struct PeakReport {
    to_ns: u64,
    packets: u64,
    bytes: u64,
    bits_per_second: u64,
    mostly: String,
    mostly_packets: u64,
    mostly_bytes: u64,
}

fn text(report: &Report) -> String {
    let mut t = String::new();
    let what = if report.line_rate { "bytes on the wire, with preamble and gap" } else { "bytes of frames" };
    for window in &report.windows {
        let _ = writeln!(t, "windows of {} ({what}):", words::duration(window.window_ns));
        for scope in &window.scopes {
            let (packets, bytes) =
                (words::count(scope.packets, "packet", "packets"), words::bytes(scope.bytes));
            let _ = writeln!(t, "  {}: {packets}, {bytes}", scope.scope);
            for peak in &scope.peaks {
                let mostly = if scope.scope == "all" {
                    format!("  mostly {} ({})", peak.mostly, words::grouped(peak.mostly_packets))
                } else {
                    String::new()
                };
                let _ = writeln!(
                    t,
                    "    {:>14} Mb/s  {:>10} packets  {:>12} bytes  to {}{mostly}",
                    mega(peak.bits_per_second),
                    words::grouped(peak.packets),
                    words::grouped(peak.bytes),
                    words::moment(peak.to_ns)
                );
            }
        }
    }
    if report.clocks.len() > 1 {
        let named: Vec<String> = report.clocks.iter().map(|(clock, n)| format!("{clock} {n}")).collect();
        let _ = writeln!(
            t,
            "stamps of several clocks ({}): windows are only as good as these agree",
            named.join(", ")
        );
    }
    if report.without_time + report.late > 0 {
        let _ = writeln!(
            t,
            "left out: {} without a stamp, {} stamped more than {} before others that stand ahead of them",
            words::grouped(report.without_time),
            words::grouped(report.late),
            words::duration(HORIZON_NS)
        );
    }
    t
}

/// Bits a second as megabits a second with three decimals.
fn mega(bits: u64) -> String {
    format!("{}.{:03}", words::grouped(bits / 1_000_000), bits % 1_000_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bursts(windows_ns: &[u64], by: By, top: usize) -> Bursts {
        Bursts::new(&BurstsOptions {
            feeds: Vec::new(),
            windows_ns: windows_ns.to_vec(),
            by,
            line_rate: false,
            top,
            json: false,
        })
    }

    /// The slow twin: every window that begins at a packet, added up anew.
    fn naive(packets: &[(u64, u32)], length_ns: u64, by: By) -> (u64, u64) {
        let window = |from: u64| {
            let inside = packets.iter().filter(|(at, _)| (from..from + length_ns).contains(at));
            inside.fold(Load::default(), |mut load, (_, bytes)| {
                load.add(*bytes);
                load
            })
        };
        packets.iter().map(|(from, _)| window(*from).rank(by)).max().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn the_first_peak_is_the_highest_of_all_windows(
            packets in prop::collection::vec((0u64..2_000, 1u32..100), 1..80),
            length_ns in 1u64..300,
            by_packets in any::<bool>(),
        ) {
            let by = if by_packets { By::Packets } else { By::Bytes };
            let mut b = bursts(&[length_ns, 7], by, 3);
            let mut sorted = packets.clone();
            sorted.sort_by_key(|(at, _)| *at);
            for (at, bytes) in &sorted {
                b.slide(*at, *bytes, Scopes::OTHER).unwrap();
            }
            let peaks = b.windows[0].peaks[Scopes::ALL].highest(length_ns, by);
            prop_assert_eq!(peaks[0].load.rank(by), naive(&packets, length_ns, by));
            prop_assert_eq!(&peaks, &b.windows[0].peaks[Scopes::OTHER].highest(length_ns, by));
            for (at, one) in peaks.iter().enumerate() {
                prop_assert!(peaks[..at].iter().all(|other| other.to_ns.abs_diff(one.to_ns) >= length_ns));
            }
        }
    }

    #[test]
    fn a_rate_is_of_the_window_and_the_wire_has_24_bytes_more() {
        let load = Load { packets: 1, bytes: 1_250 };
        assert_eq!(load.bits_per_second(1_000_000), 10_000_000);
        assert_eq!(mega(10_000_500), "10.000");
        assert_eq!([0, 60, 61, 1_514].map(on_ethernet), [84, 84, 85, 1_538]);
    }
}
