//! What a capture did, for a person to read in ten seconds and for machines as JSON.
//!
//! Pure: made from counters that stand still. Every number is either measured or
//! left out; the sums at the end show that no packet is unaccounted for.

use super::counters::{CaptureCounters, Step, StepReaders, WorkerCounters};
use super::events::EventsPart;
use crate::metrics::Snapshot;
use crate::packet::{Findings, LossPlace, Verdict};
use crate::time::StampClock;
use crate::validate::FeedReport;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Packets and bytes, all queues together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packets {
    /// Passed the filter, those dropped by the kernel included.
    pub received: u64,
    /// Read by a worker.
    pub seen: u64,
    /// Captured bytes of those.
    pub seen_bytes: u64,
    /// Committed to the journal.
    pub on_tape: u64,
    /// Accepted by validation.
    pub accepted: u64,
    /// Rejected by validation (on tape all the same).
    pub rejected: u64,
    /// On tape without a verdict, because decoding was shed.
    pub not_judged: u64,
    /// Came after `--count` was reached.
    pub beyond_count: u64,
    /// Could not be read, because the kernel or file gave an impossible offset.
    pub unreadable: u64,
    /// Turned away by a file source's filter.
    pub filtered: u64,
    /// Shortened under load, as allowed.
    pub shortened: u64,
    /// Merged by GRO: several datagrams in one.
    pub gso: u64,
    /// Checksum never computed by the sender's host.
    pub csum_not_ready: u64,
    /// VLAN tag put back.
    pub vlan_restored: u64,
}

/// One row of the latency table, ns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LatencyRow {
    /// Which step.
    pub step: &'static str,
    /// The stamp's clock, where the step begins or ends at a stamp.
    pub clock: Option<&'static str>,
    /// Values, the negative ones included.
    pub count: u64,
    /// Values below zero: the two clocks disagree.
    pub negative: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90 %.
    pub p90_ns: u64,
    /// 99 %.
    pub p99_ns: u64,
    /// 99.9 %.
    pub p99_9_ns: u64,
    /// 99.99 %.
    pub p99_99_ns: u64,
    /// Largest, exact.
    pub max_ns: u64,
}

/// One sum that must hold: the same packets counted in two places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is compared, in words.
    pub what: &'static str,
    /// One side.
    pub left: u64,
    /// The other.
    pub right: u64,
}

impl Check {
    /// True if both sides are equal.
    pub const fn holds(&self) -> bool {
        self.left == self.right
    }
}

/// The journal's part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalPart {
    /// Where it is.
    pub dir: String,
    /// Segments sealed by this capture.
    pub segments_sealed: u64,
    /// Segments deleted by retention or for want of room.
    pub segments_retired: u64,
    /// Chain hash of the newest manifest line, hex.
    pub head: String,
    /// Longest sync, ns.
    pub longest_sync_ns: u64,
    /// Notes (losses, clock readings, events) that could not be put on tape.
    pub notes_lost: u64,
    /// Times a worker waited for the keeper.
    pub stalls: u64,
    /// How long, in all, ns.
    pub stalled_ns: u64,
}

/// A capture, summed up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Program version and revision.
    pub version: String,
    /// Where packets came from, and what the kernel granted.
    pub source: String,
    /// What was given up before the first packet was parsed, in words.
    pub lockdown: String,
    /// Why it ended.
    pub ended: String,
    /// Beginning, ns since the Unix epoch.
    pub began_ns: u64,
    /// End, ns since the Unix epoch.
    pub ended_ns: u64,
    /// Counts of packets.
    pub packets: Packets,
    /// Lost packets by place.
    pub lost: BTreeMap<&'static str, u64>,
    /// Verdicts that occurred, by name.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Findings that occurred, by name.
    pub findings: BTreeMap<&'static str, u64>,
    /// Packets by the clock that stamped them.
    pub stamps: BTreeMap<&'static str, u64>,
    /// Every feed that was configured or recognised.
    pub feeds: Vec<FeedReport>,
    /// Latency histograms in numbers.
    pub latencies: Vec<LatencyRow>,
    /// The sums.
    pub checks: Vec<Check>,
    /// The journal, if one was written.
    pub journal: Option<JournalPart>,
    /// The event tape, if one was written.
    pub events: Option<EventsPart>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// What failed, if something did; the capture then ended with exit code 1.
    pub failure: Option<String>,
}

impl Report {
    /// True if every packet is accounted for.
    pub fn adds_up(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
    /// All losses, at every place. The NIC's count concerns the whole interface, before any filter.
    pub fn lost_packets(&self) -> u64 {
        self.lost.values().sum()
    }
    /// True if nothing was lost, at any place, and nothing was unreadable.
    pub fn lossless(&self) -> bool {
        self.lost_packets() == 0 && self.packets.unreadable == 0
    }
}

/// One queue's counters and histograms.
#[derive(Debug, Clone)]
pub struct QueueView {
    /// The capture thread's.
    pub capture: std::sync::Arc<CaptureCounters>,
    /// The worker's.
    pub worker: std::sync::Arc<WorkerCounters>,
    /// The histograms.
    pub steps: StepReaders,
}

/// Sums up the queues' counters into `report`.
pub fn add_counts(report: &mut Report, queues: &[QueueView], nic_dropped: u64, journaling: bool) {
    let p = &mut report.packets;
    let mut lost = [0; LossPlace::ALL.len()];
    for queue in queues {
        let (c, w) = (&queue.capture, &queue.worker);
        p.received += c.received.get();
        p.filtered += c.filtered.get();
        p.seen += w.seen.get();
        p.seen_bytes += w.seen_bytes.get();
        p.on_tape += w.written.get();
        p.not_judged += w.not_judged.get();
        p.beyond_count += w.beyond_count.get();
        p.unreadable += w.unreadable.get();
        p.shortened += w.shortened.get();
        p.gso += w.gso.get();
        p.csum_not_ready += w.csum_not_ready.get();
        p.vlan_restored += w.vlan_restored.get();
        for (sum, place) in lost.iter_mut().zip(LossPlace::ALL) {
            *sum += w.lost_at(place);
        }
        for (slot, counter) in w.verdicts.iter().enumerate() {
            let (verdict, name) = Verdict::ALL.get(slot).map_or((None, "unknown"), |v| (Some(v.0), v.1));
            let count = counter.get();
            if count == 0 {
                continue;
            }
            *report.verdicts.entry(name).or_default() += count;
            match verdict {
                Some(Verdict::ACCEPTED) => p.accepted += count,
                Some(Verdict::NOT_JUDGED) => {}
                _ => p.rejected += count,
            }
        }
        for (counter, (_, name)) in w.findings.iter().zip(Findings::NAMES) {
            if counter.get() > 0 {
                *report.findings.entry(name).or_default() += counter.get();
            }
        }
        for (index, counter) in (0u8..).zip(&w.clocks) {
            if counter.get() > 0 {
                *report.stamps.entry(StampClock(index).name()).or_default() += counter.get();
            }
        }
    }
    let ring_dropped: u64 = queues.iter().map(|q| q.capture.ring_dropped.get()).sum();
    let noted_ring = lost[1];
    lost[0] += nic_dropped;
    report.lost = LossPlace::ALL.iter().zip(lost).map(|(place, n)| (place.name(), n)).collect();
    let p = &report.packets;
    let at_disk = report.lost.get(LossPlace::DISK.name()).copied().unwrap_or(0);
    report.checks = vec![
        Check {
            what: "received by filter = seen + dropped by the ring + unreadable",
            left: p.received,
            right: p.seen + ring_dropped + p.unreadable,
        },
        Check {
            what: "ring drops of the kernel = ring losses on the ledger",
            left: ring_dropped,
            right: noted_ring,
        },
        Check {
            what: "seen = judged + not judged + lost at the disk + beyond --count",
            left: p.seen,
            right: p.accepted + p.rejected + p.not_judged + at_disk + p.beyond_count,
        },
    ];
    if journaling {
        report.checks.push(Check {
            what: "seen = on tape + lost at the disk + beyond --count",
            left: p.seen,
            right: p.on_tape + at_disk + p.beyond_count,
        });
    }
}

/// Every histogram that holds something, the queues together, by step and clock.
pub fn snapshots(queues: &[QueueView]) -> Vec<(Step, Option<StampClock>, Snapshot)> {
    let mut rows = Vec::new();
    for step in Step::ALL {
        let clocks = if step.by_clock() { StampClock::COUNT } else { 1 };
        for index in (0u8..).take(clocks) {
            let clock = StampClock(index);
            let mut sum = Snapshot::default();
            for queue in queues {
                sum.merge(&queue.steps.reader(step, clock).snapshot());
            }
            if sum.count() > 0 {
                rows.push((step, step.by_clock().then_some(clock), sum));
            }
        }
    }
    rows
}

/// The latency table's rows.
pub fn latency_rows(snapshots: &[(Step, Option<StampClock>, Snapshot)]) -> Vec<LatencyRow> {
    snapshots
        .iter()
        .map(|(step, clock, s)| LatencyRow {
            step: step.name(),
            clock: clock.map(StampClock::name),
            count: s.count(),
            negative: s.negative,
            p50_ns: s.quantile_ns(0.5),
            p90_ns: s.quantile_ns(0.9),
            p99_ns: s.quantile_ns(0.99),
            p99_9_ns: s.quantile_ns(0.999),
            p99_99_ns: s.quantile_ns(0.9999),
            max_ns: s.max_ns,
        })
        .collect()
}

/// The report for people. tcpdump's three lines come first, word for word.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, report);
    out
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn write_text(out: &mut String, r: &Report) -> std::fmt::Result {
    let p = &r.packets;
    let captured = p.seen - p.beyond_count;
    let dropped = r.lost.get(LossPlace::RING.name()).copied().unwrap_or(0);
    writeln!(out, "{captured} packet{} captured", plural(captured))?;
    writeln!(out, "{} packet{} received by filter", p.received, plural(p.received))?;
    writeln!(out, "{dropped} packet{} dropped by kernel", plural(dropped))?;
    writeln!(out)?;
    let seconds = r.ended_ns.saturating_sub(r.began_ns) / 1_000_000;
    writeln!(out, "{} for {}.{:03} s; ended: {}", r.source, seconds / 1000, seconds % 1000, r.ended)?;
    writeln!(out, "lockdown  {}", r.lockdown)?;
    write!(out, "packets   seen {}  accepted {}  rejected {}", captured, p.accepted, p.rejected)?;
    if p.not_judged > 0 {
        write!(out, "  not judged {}", p.not_judged)?;
    }
    writeln!(out)?;
    for (name, n) in r.verdicts.iter().filter(|(name, _)| **name != "accepted" && **name != "not-judged") {
        writeln!(out, "          rejected {n}: {name}")?;
    }
    write!(out, "lost     ")?;
    for place in LossPlace::ALL {
        write!(out, " {} {} ", place.name(), r.lost.get(place.name()).copied().unwrap_or(0))?;
    }
    writeln!(out)?;
    write_list(out, "stamps", &r.stamps)?;
    write_list(out, "findings", &r.findings)?;
    for (n, what) in [
        (p.gso, "merged (GRO)"),
        (p.csum_not_ready, "with a checksum never computed (sent on this host)"),
        (p.vlan_restored, "with the VLAN tag put back"),
        (p.shortened, "shortened under load"),
        (p.beyond_count, "after --count was reached, not kept"),
        (p.unreadable, "unreadable in the ring"),
        (p.filtered, "of the file turned away by the filter"),
    ] {
        if n > 0 {
            writeln!(out, "          {n} {what}")?;
        }
    }
    if let Some(j) = &r.journal {
        writeln!(
            out,
            "journal   {}: {} packets on tape, {} segment{} sealed, {} retired, longest sync {} µs",
            j.dir,
            p.on_tape,
            j.segments_sealed,
            plural(j.segments_sealed),
            j.segments_retired,
            j.longest_sync_ns / 1000
        )?;
        writeln!(out, "          head {}", j.head)?;
        if j.notes_lost > 0 {
            writeln!(
                out,
                "          {} note{} could not be put on tape",
                j.notes_lost,
                plural(j.notes_lost)
            )?;
        }
        if j.stalls > 0 {
            writeln!(
                out,
                "          waited {} time{} for the keeper, {} µs in all",
                j.stalls,
                plural(j.stalls),
                j.stalled_ns / 1000
            )?;
        }
    }
    if let Some(events) = &r.events {
        write_events(out, events)?;
    }
    for feed in &r.feeds {
        write_feed(out, feed)?;
    }
    write_latencies(out, &r.latencies)?;
    for check in &r.checks {
        let word = if check.holds() { "ok" } else { "DOES NOT ADD UP" };
        writeln!(out, "check     {}: {} = {} {word}", check.what, check.left, check.right)?;
    }
    for warning in &r.warnings {
        writeln!(out, "warning   {warning}")?;
    }
    if let Some(failure) = &r.failure {
        writeln!(out, "FAILED    {failure}")?;
    }
    Ok(())
}

fn write_events(out: &mut String, e: &EventsPart) -> std::fmt::Result {
    write!(out, "events    {}: {}, of {} packets", e.dir, e.state, e.packets)?;
    if let Some(lag_ns) = e.longest_lag_ns {
        write!(out, ", at most {} ms behind", lag_ns / 1_000_000)?;
    }
    writeln!(out)?;
    for feed in &e.feeds {
        write!(out, "          {}:", feed.name)?;
        for (schema, n) in &feed.records {
            write!(out, " {schema} {n} ")?;
        }
        writeln!(out, " side rows {}", feed.side_rows)?;
    }
    for feed in &e.room.feeds {
        writeln!(
            out,
            "          {}: {} messages, gaps on every line {} ({} missing: {} gaps upstream, {} maybe here), lines differ {}",
            feed.name,
            feed.messages,
            feed.gaps,
            feed.missing,
            feed.gaps_upstream,
            feed.gaps_maybe_local,
            feed.differing
        )?;
    }
    Ok(())
}

fn write_feed(out: &mut String, f: &FeedReport) -> std::fmt::Result {
    let how = if f.recognised { " (recognised, not configured)" } else { "" };
    let line = if f.line.is_empty() { String::new() } else { format!(" line {}", f.line) };
    writeln!(
        out,
        "feed      {}{line}{how}: {} session {:?}, {} packets, {} messages, next {}{}",
        f.name,
        f.protocol,
        f.session,
        f.packets,
        f.messages,
        f.next_seq,
        if f.ended { ", ended" } else { "" }
    )?;
    writeln!(
        out,
        "          gaps {} ({} messages missing), duplicates {}, out of order {} (filled {}), heartbeats {}, rejected {}, unknown types {}",
        f.gaps,
        f.missing_messages,
        f.duplicates,
        f.out_of_order,
        f.filled,
        f.heartbeats,
        f.rejected,
        f.unknown_types
    )?;
    for range in f.missing.iter().take(MISSING_SHOWN) {
        writeln!(out, "          missing {}..{}", range.first, range.first + range.count)?;
    }
    Ok(())
}

/// Missing ranges of a feed that the text shows; JSON has all that are kept.
const MISSING_SHOWN: usize = 8;

fn write_list(out: &mut String, title: &str, list: &BTreeMap<&'static str, u64>) -> std::fmt::Result {
    if list.is_empty() {
        return Ok(());
    }
    write!(out, "{title:<9}")?;
    for (name, n) in list {
        write!(out, " {name} {n} ")?;
    }
    writeln!(out)
}

fn write_latencies(out: &mut String, rows: &[LatencyRow]) -> std::fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>11}",
        "latency, ns", "count", "p50", "p90", "p99", "p99.9", "p99.99", "max"
    )?;
    for row in rows {
        let name = row.clock.map_or(row.step.to_owned(), |clock| format!("{} ({clock})", row.step));
        writeln!(
            out,
            "{name:<24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>11}",
            row.count, row.p50_ns, row.p90_ns, row.p99_ns, row.p99_9_ns, row.p99_99_ns, row.max_ns
        )?;
        if row.negative > 0 {
            writeln!(out, "          {} of them negative: the two clocks disagree", row.negative)?;
        }
    }
    Ok(())
}

/// HdrHistogram's interval log (`.hlog`), one tagged line a histogram, for its own tools.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_hlog(
    out: &mut impl std::io::Write,
    snapshots: &[(Step, Option<StampClock>, Snapshot)],
    began_ns: u64,
    ended_ns: u64,
) -> std::io::Result<()> {
    use hdrhistogram::serialization::{
        V2DeflateSerializer, interval_log::IntervalLogWriterBuilder, interval_log::Tag,
    };
    use std::time::{Duration, UNIX_EPOCH};
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[wiretape latency histograms, ns; a tag a step and stamp clock]")
        .with_start_time(UNIX_EPOCH + Duration::from_nanos(began_ns))
        .with_base_time(UNIX_EPOCH + Duration::from_nanos(began_ns))
        .begin_log_with(out, &mut serializer)?;
    for (step, clock, snapshot) in snapshots {
        let name = step.name().replace('→', "-to-");
        let tag = clock.map_or(name.clone(), |c| format!("{name}.{}", c.name()));
        log.write_histogram(
            &snapshot.hdr,
            Duration::ZERO,
            Duration::from_nanos(ended_ns.saturating_sub(began_ns)),
            Tag::new(&tag),
        )
        .map_err(|e| std::io::Error::other(format!("histogram {tag}: {e:?}")))?;
    }
    Ok(())
}
