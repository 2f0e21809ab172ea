//! `tape info`: what is on a tape.
//!
//! The heads and ends of the segments tell most of it, however long the tape is. Verdicts, clocks, losses and
//! events need every block to be read: that is done for tapes up to [`SCAN_LIMIT_BYTES`], or when asked for.
//! Damage is reported and passed over, as far as it can be: what is left is still worth knowing.

mod described;

use super::outcome::{Outcome, TapeError};
use super::words;
use crate::journal::format::EndOfSegment;
use crate::journal::manifest::hex;
use crate::journal::reader::{
    DurablePosition, OnDamage, Opening, ReadError, ReadOptions, Record, SegmentFile, SegmentReader,
    SegmentStep, Tape,
};
use crate::journal::{Description, Event, JournalError, Note};
use crate::packet::{Findings, LossPlace, Verdict};
use crate::time::StampClock;
use described::Capture;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

/// Tapes up to this length are read through without being asked.
pub const SCAN_LIMIT_BYTES: u64 = 1 << 30;
/// So many events are printed.
const MAX_EVENTS: usize = 50;

/// What to tell.
#[derive(Clone, Debug)]
pub struct InfoOptions {
    /// A journal's directory, or a segment.
    pub path: PathBuf,
    /// One JSON object in place of text.
    pub json: bool,
    /// Read every block; None: if the tape is short.
    pub scan: Option<bool>,
}

/// One segment, from its head and its end.
#[derive(Debug, Default)]
struct SegmentInfo {
    name: String,
    queue: u16,
    index: u32,
    capture: String,
    size_bytes: u64,
    used_bytes: u64,
    packets: u64,
    first_ns: u64,
    last_ns: u64,
    is_live: bool,
    recovered: bool,
    quarantined: bool,
    application: String,
    damage: Option<String>,
    /// Of a live segment, if the journal says it.
    durable: Option<DurablePosition>,
}

/// An interface: which queues have it.
#[derive(Debug, Default)]
struct Interface {
    link: u16,
    snaplen: u32,
    filter: String,
    hardware: String,
    queues: Vec<u16>,
}

/// What reading every block has told.
#[derive(Debug, Default)]
struct Scan {
    packet_bytes: u64,
    clocks: BTreeMap<&'static str, u64>,
    verdicts: BTreeMap<u16, u64>,
    findings: BTreeMap<&'static str, u64>,
    lost: BTreeMap<u8, u64>,
    lost_before: u64,
    clock_readings: u64,
    event_count: u64,
    events: Vec<Event>,
    damages: Vec<String>,
}

/// All that is told of a tape.
#[derive(Debug)]
struct Known {
    tape: Tape,
    segments: Vec<SegmentInfo>,
    interfaces: BTreeMap<String, Interface>,
    scan: Option<Scan>,
    description: Result<Option<Description>, JournalError>,
}

impl Known {
    fn captures(&self) -> Vec<Capture<'_>> {
        let description = self.description.as_ref().ok().and_then(Option::as_ref);
        described::captures(&self.segments, description, self.tape.is_directory())
    }
}

/// Tells what is on a tape.
///
/// # Errors
/// [`TapeError`] if there is no tape, or `out` fails.
pub fn run(options: &InfoOptions, out: &mut dyn Write) -> Result<Outcome, TapeError> {
    let tape = Tape::open(&options.path)?;
    let mut interfaces = BTreeMap::new();
    let mut segments = Vec::new();
    for file in tape.segments() {
        segments.extend(look(file, &mut interfaces)?);
    }
    let total_bytes: u64 = segments.iter().map(|s| s.used_bytes).sum();
    let scan =
        if options.scan.unwrap_or(total_bytes <= SCAN_LIMIT_BYTES) { Some(scan(&tape)?) } else { None };
    let description = tape.description();
    let durable = tape.durable()?;
    for segment in segments.iter_mut().filter(|s| s.is_live) {
        segment.durable = durable.iter().find(|d| d.queue == segment.queue).copied();
    }
    let known = Known { tape, segments, interfaces, scan, description };
    let written = if options.json { writeln!(out, "{}", to_json(&known)) } else { print(out, &known) };
    written.and_then(|()| out.flush()).map_err(TapeError::io("writing the answer"))?;
    let is_damaged = known.segments.iter().any(|s| s.damage.is_some())
        || known.scan.is_some_and(|s| !s.damages.is_empty());
    Ok(if is_damaged { Outcome::Bad } else { Outcome::Good })
}

/// Head and end of a segment. None if it was deleted meanwhile.
fn look(
    file: &SegmentFile,
    interfaces: &mut BTreeMap<String, Interface>,
) -> Result<Option<SegmentInfo>, TapeError> {
    let mut segment = match SegmentReader::open(&file.path, Opening::Auto) {
        Ok(segment) => segment,
        Err(ReadError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let name = file.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut info = SegmentInfo { name, size_bytes: segment.len_bytes(), ..SegmentInfo::default() };
    info.is_live = segment.is_live();
    let end = segment.end_by_tail()?;
    if let Err(error) = read_through(&mut segment, end.as_ref()) {
        info.damage = Some(error.to_string());
    }
    fill(&mut info, &segment, end.as_ref());
    (info.queue, info.index) = segment.header().map_or((file.queue, file.index), |h| (h.queue, h.index));
    for def in segment.interfaces() {
        let known = interfaces.entry(def.name.clone()).or_insert_with(|| Interface {
            link: def.link.0,
            snaplen: def.snaplen,
            filter: def.filter.clone(),
            hardware: def.hardware.clone(),
            queues: Vec::new(),
        });
        if !known.queues.contains(&info.queue) {
            known.queues.push(info.queue);
        }
    }
    Ok(Some(info))
}

/// The head; of a live segment everything, as nothing else tells how far it goes.
fn read_through(segment: &mut SegmentReader, end: Option<&EndOfSegment>) -> Result<(), ReadError> {
    segment.read_head()?;
    while end.is_none() && segment.step()? == SegmentStep::Record {}
    Ok(())
}

fn fill(info: &mut SegmentInfo, segment: &SegmentReader, end: Option<&EndOfSegment>) {
    let counted = segment.counted();
    (info.packets, info.first_ns, info.last_ns) =
        (counted.packets, counted.min_stamp_ns, counted.max_stamp_ns);
    info.used_bytes = segment.position();
    if let Some(end) = end {
        (info.packets, info.first_ns, info.last_ns) = (end.packets, end.min_stamp_ns, end.max_stamp_ns);
        info.used_bytes = info.size_bytes;
        info.recovered = end.flags & EndOfSegment::RECOVERED != 0;
        info.quarantined = end.flags & EndOfSegment::DAMAGED != 0;
    }
    info.capture = segment.header().map(|h| hex(&h.capture_id)).unwrap_or_default();
    info.application = segment.section().map(|s| s.application.clone()).unwrap_or_default();
}

fn scan(tape: &Tape) -> Result<Scan, TapeError> {
    let mut scan = Scan::default();
    let options = ReadOptions { on_damage: OnDamage::Skip, ..ReadOptions::default() };
    for queue in tape.queues() {
        let mut reader = tape.queue(queue, options);
        while let Some(record) = reader.next_record()? {
            scan.count(&record);
        }
        scan.damages.extend(reader.damages().iter().map(ToString::to_string));
    }
    scan.events.sort_by_key(|event| event.at_ns);
    scan.events.truncate(MAX_EVENTS);
    Ok(scan)
}

impl Scan {
    fn count(&mut self, record: &Record<'_>) {
        match record {
            Record::Packet(packet) => {
                self.packet_bytes += packet.bytes.len() as u64;
                self.lost_before = self.lost_before.saturating_add(packet.lost_before);
                *self.clocks.entry(packet.stamp.clock.name()).or_default() += 1;
                *self.verdicts.entry(packet.judgement.verdict.0).or_default() += 1;
                if packet.judgement.findings != Findings::NONE {
                    for name in packet.judgement.findings.names() {
                        *self.findings.entry(name).or_default() += 1;
                    }
                }
            }
            Record::Note { note: Note::Loss(loss), .. } => {
                let sum = self.lost.entry(loss.place.0).or_default();
                *sum = sum.saturating_add(loss.packets);
            }
            Record::Note { note: Note::Clock(_), .. } => self.clock_readings += 1,
            Record::Note { note: Note::Event(event), .. } => {
                self.event_count += 1;
                // Twice what is printed bounds memory; queues come one after the other.
                if self.events.len() < 2 * MAX_EVENTS {
                    self.events.push(event.clone());
                }
            }
            Record::Interface { .. } | Record::Statistics { .. } | Record::End { .. } => {}
        }
    }
}

/// First and last stamp of the segments that have packets.
fn span(segments: &[SegmentInfo]) -> (u64, u64) {
    let filled = || segments.iter().filter(|s| s.packets > 0);
    (filled().map(|s| s.first_ns).min().unwrap_or(0), filled().map(|s| s.last_ns).max().unwrap_or(0))
}

fn print(out: &mut dyn Write, known: &Known) -> io::Result<()> {
    let Known { tape, segments, interfaces, scan, description } = known;
    let packets: u64 = segments.iter().map(|s| s.packets).sum();
    let used: u64 = segments.iter().map(|s| s.used_bytes).sum();
    let (first, last) = span(segments);
    let live = segments.iter().filter(|s| s.is_live).count();
    writeln!(out, "tape        {}", tape.path().display())?;
    writeln!(out, "packets     {}", words::grouped(packets))?;
    writeln!(out, "bytes       {} ({})", words::grouped(used), words::bytes(used))?;
    writeln!(out, "first       {}", words::moment(first))?;
    writeln!(out, "last        {}", words::moment(last))?;
    writeln!(out, "span        {}", words::duration(last.saturating_sub(first)))?;
    let queues = words::count(tape.queues().len() as u64, "queue", "queues");
    let files = words::count(segments.len() as u64, "segment", "segments");
    writeln!(out, "segments    {files} of {queues}, {live} live")?;
    for capture in known.captures() {
        capture.print(out)?;
    }
    if let Err(error) = description {
        writeln!(out, "            (the captures' descriptions: {error})")?;
    }
    for (name, interface) in interfaces {
        let Interface { link, snaplen, filter, hardware, queues } = interface;
        write!(out, "interface   {name}: link type {link}, on queues {queues:?}")?;
        if *snaplen != 0 {
            write!(out, ", snap length {snaplen}")?;
        }
        if !filter.is_empty() {
            write!(out, ", filter \"{filter}\"")?;
        }
        if !hardware.is_empty() {
            write!(out, ", {hardware}")?;
        }
        writeln!(out)?;
    }
    for s in segments.iter().filter(|s| s.is_live || s.recovered || s.quarantined || s.damage.is_some()) {
        let damage = s.damage.as_ref().map(|d| format!("; DAMAGED: {d}")).unwrap_or_default();
        let recovered = if s.recovered { "; sealed by recovery" } else { "" };
        let quarantined = if s.quarantined { "; bytes behind a cut were moved aside" } else { "" };
        let state = if s.is_live { "live" } else { "sealed" };
        let packets = words::count(s.packets, "packet", "packets");
        let durable = s.durable.map(|d| durable_words(s, &d)).unwrap_or_default();
        writeln!(out, "segment     {}: {state}, {packets}{durable}{recovered}{quarantined}{damage}", s.name)?;
    }
    match scan {
        Some(scan) => print_scan(out, scan),
        None => writeln!(
            out,
            "(verdicts, clocks, losses and events: not counted, the tape is long; ask for a scan)"
        ),
    }
}

/// How much of a live segment would survive a power failure.
fn durable_words(s: &SegmentInfo, durable: &DurablePosition) -> String {
    let (bytes, used) = (durable.of_segment(s.index, s.used_bytes), s.used_bytes);
    let at = words::moment(durable.at_ns);
    format!(", {} of {} bytes durable at {at}", words::grouped(bytes), words::grouped(used))
}

fn print_scan(out: &mut dyn Write, scan: &Scan) -> io::Result<()> {
    for (clock, packets) in &scan.clocks {
        writeln!(out, "clock       {clock}: {}", words::count(*packets, "packet", "packets"))?;
    }
    for (verdict, packets) in &scan.verdicts {
        writeln!(
            out,
            "verdict     {}: {}",
            Verdict(*verdict).name(),
            words::count(*packets, "packet", "packets")
        )?;
    }
    for (finding, packets) in &scan.findings {
        writeln!(out, "finding     {finding}: {}", words::count(*packets, "packet", "packets"))?;
    }
    if scan.lost.is_empty() {
        writeln!(out, "lost        nothing")?;
    }
    for (place, packets) in &scan.lost {
        writeln!(
            out,
            "lost        {}: {}",
            LossPlace(*place).name(),
            words::count(*packets, "packet", "packets")
        )?;
    }
    writeln!(out, "readings    {} of the clocks", words::grouped(scan.clock_readings))?;
    for event in &scan.events {
        writeln!(out, "event       {} {}: {}", words::moment(event.at_ns), event.kind.name(), event.text)?;
    }
    let more = scan.event_count.saturating_sub(scan.events.len() as u64);
    if more > 0 {
        writeln!(out, "event       … and {} more", words::grouped(more))?;
    }
    for damage in &scan.damages {
        writeln!(out, "DAMAGED     {damage}")?;
    }
    Ok(())
}

fn to_json(known: &Known) -> Value {
    let Known { tape, segments, interfaces, scan, description } = known;
    let (first, last) = span(segments);
    let interfaces: Vec<Value> = interfaces
        .iter()
        .map(|(name, i)| {
            json!({ "name": name, "link": i.link, "snaplen_bytes": i.snaplen, "filter": i.filter,
                    "hardware": i.hardware, "queues": i.queues })
        })
        .collect();
    json!({
        "path": tape.path().to_string_lossy(),
        "packets": segments.iter().map(|s| s.packets).sum::<u64>(),
        "bytes": segments.iter().map(|s| s.used_bytes).sum::<u64>(),
        "first_ns": first,
        "last_ns": last,
        "queues": tape.queues(),
        "captures": known.captures().iter().map(Capture::json).collect::<Vec<_>>(),
        "description_error": description.as_ref().err().map(ToString::to_string),
        "interfaces": interfaces,
        "segments": segments.iter().map(segment_json).collect::<Vec<_>>(),
        "scan": scan.as_ref().map(scan_json),
    })
}

fn segment_json(s: &SegmentInfo) -> Value {
    json!({
        "name": s.name, "queue": s.queue, "capture": s.capture, "size_bytes": s.size_bytes,
        "used_bytes": s.used_bytes, "packets": s.packets, "first_ns": s.first_ns, "last_ns": s.last_ns,
        "live": s.is_live, "recovered": s.recovered, "quarantined": s.quarantined, "damage": s.damage,
        "durable_bytes": s.durable.map(|d| d.of_segment(s.index, s.used_bytes)),
        "durable_at_ns": s.durable.map(|d| d.at_ns),
    })
}

fn scan_json(scan: &Scan) -> Value {
    let named = |counts: &BTreeMap<&'static str, u64>| -> Map<String, Value> {
        counts.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect()
    };
    let verdicts: Map<String, Value> =
        scan.verdicts.iter().map(|(v, n)| (Verdict(*v).name().to_owned(), json!(n))).collect();
    let lost: Map<String, Value> =
        scan.lost.iter().map(|(p, n)| (LossPlace(*p).name().to_owned(), json!(n))).collect();
    let events: Vec<Value> = scan
        .events
        .iter()
        .map(|e| json!({ "at_ns": e.at_ns, "kind": e.kind.name(), "value": e.value, "text": e.text }))
        .collect();
    debug_assert!(scan.clocks.len() <= StampClock::COUNT + 1);
    json!({
        "packet_bytes": scan.packet_bytes, "clocks": named(&scan.clocks), "verdicts": verdicts,
        "findings": named(&scan.findings), "lost": lost, "lost_before_packets": scan.lost_before,
        "clock_readings": scan.clock_readings, "event_count": scan.event_count, "events": events,
        "damages": scan.damages,
    })
}
