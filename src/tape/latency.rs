//! `tape latency`: how long after the exchange's time packets arrived, which line was first, and how two journals differ.
//!
//! A difference of two clocks is not a delay unless the clocks agree. So every distribution names both clocks, differences are
//! signed and never clamped, two pairs of clocks never share a distribution, and what the tape knows of the
//! capturing clocks (`clocks.rs`) is printed beside them.
//!
//! | module | answers |
//! | --- | --- |
//! | [`exchange`] | exchange to arrival, by feed and line; race between the lines of a feed |
//! | [`taps`] | one tap to another, by the content of the packets |

pub mod clocks;
pub mod exchange;
mod identity;
mod race;
pub mod taps;

use super::hlog;
use super::outcome::TapeError;
use super::words;
use crate::events::spread::{Percentiles, Spread};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::io::Write;

/// A distribution of signed differences between two clocks.
#[derive(Debug)]
struct Distribution {
    /// What it is of: a feed and line, two lines, two taps.
    name: String,
    /// The clock that is subtracted.
    from: String,
    /// The clock that it is subtracted from.
    to: String,
    spread: Spread,
}

/// The same for JSON.
#[derive(Debug, Serialize)]
struct DistributionJson<'d> {
    of: &'d str,
    from: &'d str,
    to: &'d str,
    negative: u64,
    #[serde(flatten)]
    percentiles: Percentiles,
}

/// Distributions in the order in which they were first met.
#[derive(Debug, Default)]
struct Distributions {
    all: Vec<Distribution>,
    /// First and last stamp, ns.
    span_ns: Option<(u64, u64)>,
}

impl Distributions {
    fn record(&mut self, name: &str, (from, to): (&str, &str), difference_ns: i64) -> Result<(), TapeError> {
        let known = self.all.iter_mut().find(|d| d.name == name && d.from == from && d.to == to);
        if let Some(distribution) = known {
            distribution.spread.record(difference_ns, 1);
            return Ok(());
        }
        let mut spread =
            Spread::new().ok_or_else(|| TapeError::Refused("no room for a histogram".to_owned()))?;
        spread.record(difference_ns, 1);
        let (name, from, to) = (name.to_owned(), from.to_owned(), to.to_owned());
        self.all.push(Distribution { name, from, to, spread });
        Ok(())
    }

    fn saw(&mut self, stamp_ns: u64) {
        let (first, last) = self.span_ns.unwrap_or((stamp_ns, stamp_ns));
        self.span_ns = Some((first.min(stamp_ns), last.max(stamp_ns)));
    }

    fn json(&self) -> Vec<DistributionJson<'_>> {
        self.all.iter().map(Distribution::json).collect()
    }

    fn table(&self, text: &mut String) {
        use std::fmt::Write as _;
        let width = self.all.iter().map(|d| d.title().chars().count()).max().unwrap_or(0);
        let heads = ["count", "min", "p50", "p90", "p99", "p99.9", "max"];
        let _ = write!(text, "  {:width$}", "");
        for head in heads {
            let _ = write!(text, " {head:>13}");
        }
        text.push('\n');
        for d in &self.all {
            let p = d.spread.percentiles();
            let _ = write!(text, "  {:width$} {:>13}", d.title(), words::grouped(p.count));
            for ns in [p.min_ns, p.p50_ns, p.p90_ns, p.p99_ns, p.p999_ns, p.max_ns] {
                let _ = write!(text, " {:>13}", signed(ns));
            }
            text.push('\n');
        }
    }

    /// Values below zero stand in a histogram of their own, by their magnitude: `NAME-negative`.
    fn write_log(&self, out: &mut dyn Write) -> Result<(), TapeError> {
        let comment = "wiretape: differences in ns; tags name what, from which clock to which; -negative has the magnitudes \
                       of those below zero";
        let halves = self.all.iter().flat_map(|d| {
            let (below, above) = d.spread.halves();
            let tag = tag(&format!("{}-{}-{}", d.name, d.from, d.to));
            let negative: Option<(String, &Histogram<u64>)> =
                (!below.is_empty()).then(|| (format!("{tag}-negative"), below));
            [Some((tag, above)), negative].into_iter().flatten()
        });
        hlog::write(out, comment, self.span_ns.unwrap_or_default(), halves)
    }
}

impl Distribution {
    fn title(&self) -> String {
        format!("{} {} \u{2192} {}", self.name, self.from, self.to)
    }

    fn json(&self) -> DistributionJson<'_> {
        DistributionJson {
            of: &self.name,
            from: &self.from,
            to: &self.to,
            negative: self.spread.halves().0.len(),
            percentiles: self.spread.percentiles(),
        }
    }
}

/// A name that an interval log takes as a tag.
fn tag(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

/// Signed ns, grouped by thousands.
fn signed(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    format!("{sign}{}", words::grouped(ns.unsigned_abs()))
}

fn put(out: &mut dyn Write, text: &str) -> Result<(), TapeError> {
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))
}

fn json(value: &impl Serialize) -> Result<String, TapeError> {
    let text = serde_json::to_string(value).map_err(|error| TapeError::Refused(error.to_string()))?;
    Ok(text + "\n")
}
