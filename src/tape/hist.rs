//! `tape hist`: how delays and intervals are distributed, in HdrHistogram's own text formats.
//!
//! One histogram a distribution and stamp clock: two clocks never share one. An interval is recorded only between
//! neighbours that were stamped by the same clock.

use super::hlog;
use super::input::{Input, Item};
use super::outcome::{Outcome, TapeError};
use super::select::Selection;
use crate::time::StampClock;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// From the stamp to the arrival in user space.
    Delay,
    /// From the stamp before to this one.
    Interval,
}

impl Measure {
    const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Interval => "interval",
        }
    }
}

/// Which distributions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistOptions {
    /// Only this one.
    pub of: Option<Measure>,
    /// Only of packets stamped by this clock.
    pub clock: Option<StampClock>,
    /// JSON in place of tables.
    pub json: bool,
}

/// Longest value told apart, ns: a day. Longer ones count as a day.
const LONGEST_NS: u64 = 86_400_000_000_000;
/// Significant decimal digits.
const DIGITS: u8 = 3;

/// A distribution and what did not fit it.
#[derive(Debug)]
struct Distribution {
    measure: Measure,
    clock: StampClock,
    histogram: Histogram<u64>,
    /// Below zero: an arrival before its stamp (clocks apart), a stamp before its predecessor.
    negative: u64,
}

/// All distributions of an input.
#[derive(Debug)]
struct Collected {
    distributions: Vec<Distribution>,
    last: Option<(StampClock, u64)>,
    first_ns: Option<u64>,
    last_ns: u64,
}

/// Reads `input` and writes tables (or JSON) to `out`, and an interval log to `hlog`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or an output.
pub fn run(
    input: &Input,
    selection: &Selection,
    options: &HistOptions,
    out: &mut dyn Write,
    hlog: Option<&mut dyn Write>,
) -> Result<Outcome, TapeError> {
    let mut collected = Collected { distributions: Vec::new(), last: None, first_ns: None, last_ns: 0 };
    input.for_each(selection, &mut |item| {
        if options.clock.is_none_or(|clock| clock == item.packet.stamp.clock) {
            collected.take(item)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    collected.distributions.retain(|d| options.of.is_none_or(|only| only == d.measure));
    collected.distributions.sort_by_key(|d| (d.measure.name(), d.clock));
    let text = if options.json { collected.json()? } else { collected.tables() };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))?;
    if let Some(hlog) = hlog {
        collected.write_log(hlog)?;
    }
    Ok(Outcome::Good)
}

impl Collected {
    fn take(&mut self, item: &Item<'_>) -> Result<(), TapeError> {
        let stamp = item.packet.stamp;
        if stamp.clock == StampClock::NONE {
            self.last = None;
            return Ok(());
        }
        self.first_ns = Some(self.first_ns.map_or(stamp.ns, |first| first.min(stamp.ns)));
        self.last_ns = self.last_ns.max(stamp.ns);
        if item.packet.arrival_ns != 0 {
            self.record(Measure::Delay, stamp.clock, item.packet.arrival_ns, stamp.ns)?;
        }
        if let Some((clock, before)) = self.last
            && clock == stamp.clock
        {
            self.record(Measure::Interval, clock, stamp.ns, before)?;
        }
        self.last = Some((stamp.clock, stamp.ns));
        Ok(())
    }

    fn record(
        &mut self,
        measure: Measure,
        clock: StampClock,
        later: u64,
        earlier: u64,
    ) -> Result<(), TapeError> {
        let distribution = self.of(measure, clock)?;
        match later.checked_sub(earlier) {
            Some(ns) => distribution.histogram.saturating_record(ns),
            None => distribution.negative += 1,
        }
        Ok(())
    }

    fn of(&mut self, measure: Measure, clock: StampClock) -> Result<&mut Distribution, TapeError> {
        let known = self.distributions.iter().position(|d| d.measure == measure && d.clock == clock);
        let at = if let Some(at) = known {
            at
        } else {
            let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
                .map_err(|error| TapeError::Refused(error.to_string()))?;
            self.distributions.push(Distribution { measure, clock, histogram, negative: 0 });
            self.distributions.len() - 1
        };
        Ok(&mut self.distributions[at])
    }

    fn tables(&self) -> String {
        let tables: Vec<String> = self.distributions.iter().map(Distribution::table).collect();
        tables.join("\n")
    }

    fn json(&self) -> Result<String, TapeError> {
        let list: Vec<DistributionJson> = self.distributions.iter().map(Distribution::summary).collect();
        let object = serde_json::json!({ "distributions": list });
        serde_json::to_string(&object)
            .map(|s| s + "\n")
            .map_err(|error| TapeError::Refused(error.to_string()))
    }

    fn write_log(&self, out: &mut dyn Write) -> Result<(), TapeError> {
        let comment = "wiretape: values in ns; tags name the distribution and the stamp clock";
        let tagged = self
            .distributions
            .iter()
            .map(|d| (format!("{}-{}", d.measure.name(), d.clock.name()), &d.histogram));
        hlog::write(out, comment, (self.first_ns.unwrap_or(self.last_ns), self.last_ns), tagged)
    }
}

#[derive(Serialize)]
struct DistributionJson {
    of: Measure,
    clock: &'static str,
    count: u64,
    negative: u64,
    min_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    p99_99_ns: u64,
    max_ns: u64,
}

impl Distribution {
    fn summary(&self) -> DistributionJson {
        let h = &self.histogram;
        DistributionJson {
            of: self.measure,
            clock: self.clock.name(),
            count: h.len(),
            negative: self.negative,
            min_ns: h.min(),
            p50_ns: h.value_at_quantile(0.5),
            p90_ns: h.value_at_quantile(0.9),
            p99_ns: h.value_at_quantile(0.99),
            p99_9_ns: h.value_at_quantile(0.999),
            p99_99_ns: h.value_at_quantile(0.9999),
            max_ns: h.max(),
        }
    }

    /// The table in the shape of `HistogramLogProcessor -outputValueUnitRatio 1`: what `.hgrm` plotters read.
    fn table(&self) -> String {
        use std::fmt::Write as _;
        let mut t = String::new();
        let what = match self.measure {
            Measure::Delay => "stamp to arrival",
            Measure::Interval => "stamp to next stamp",
        };
        let clock = self.clock.name();
        let _ = writeln!(t, "#[{what}, clock {clock}, ns; below zero and left out: {}]", self.negative);
        let _ = writeln!(
            t,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let h = &self.histogram;
        let digits = usize::from(DIGITS);
        for point in h.iter_quantiles(5) {
            let value = float(point.value_iterated_to());
            let quantile = point.quantile_iterated_to();
            let total = h.count_between(0, point.value_iterated_to());
            let _ = write!(t, "{value:>12.digits$} {quantile:>2.12} {total:>10}");
            let _ = if quantile < 1.0 {
                writeln!(t, " {:>14.2}", 1.0 / (1.0 - quantile))
            } else {
                t.push('\n');
                Ok(())
            };
        }
        let _ =
            writeln!(t, "#[Mean    = {:>12.digits$}, StdDeviation   = {:>12.digits$}]", h.mean(), h.stdev());
        let _ = writeln!(t, "#[Max     = {:>12.digits$}, Total count    = {:>12}]", float(h.max()), h.len());
        let _ = writeln!(t, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", h.buckets(), 2048);
        t
    }
}

#[expect(clippy::cast_precision_loss, reason = "values up to a day in ns are exact in an f64")]
fn float(n: u64) -> f64 {
    n as f64
}
