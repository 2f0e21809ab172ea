//! Ends what a crash left open.
//!
//! Each unsealed segment is walked from its beginning by committed word, length and CRC, cut at the first block
//! that fails, given statistics and an end-of-segment block marked as recovered, and sealed. Records are never
//! appended to it. If valid anchors of the same segment lie beyond the cut, or what fails had been committed, then
//! this is damage rather than a torn tail: the bytes are kept in `<name>.damaged`, and it is reported.

use super::behind::SEALED_MODE;
use super::format::decode::{self, Block, Damage};
use super::format::{
    ANCHOR_BYTES, Anchor, END_BYTES, EndOfSegment, MIB, MIB_BYTES, SegmentHeader, encode, fits_mib,
    parse_segment_name, room_in_mib,
};
use super::manifest::{Entry, Manifest, ManifestFile, Sealed};
use crate::pcapng::write::InterfaceStats;
use crate::sys;
use crate::time::StampClock;
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

/// What one look at a mapping touches, bytes.
const PAGE_BYTES: u64 = 4096;

/// What lies beyond the end of the good records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// End of the last non-zero byte; 0 if there is none beyond the cut.
    pub last_byte: u64,
    /// Offset of the first valid anchor of the same segment.
    pub anchor: Option<u64>,
}

/// What a walk over a segment found.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Its header; without one nothing else is known.
    pub header: Option<SegmentHeader>,
    /// Where the good records end, bytes.
    pub bytes: u64,
    /// Length of the file, bytes.
    pub file_bytes: u64,
    /// Counts of the records found, or the end-of-segment block if there is one.
    pub end: EndOfSegment,
    /// There is an end-of-segment block.
    pub ended: bool,
    /// Packets by interface.
    pub delivered: Vec<u64>,
    /// Why the walk stopped, unless at the end of the segment.
    pub stopped: Option<Damage>,
    /// What lies beyond.
    pub beyond: Beyond,
}

impl Scan {
    /// True if more is wrong than a tail that was being written.
    pub fn is_damaged(&self) -> bool {
        let torn = matches!(self.stopped, None | Some(Damage::Uncommitted)) || self.bytes == self.file_bytes;
        self.beyond.anchor.is_some() || (!torn && self.beyond.last_byte > self.bytes)
    }
}

/// Walks a segment.
///
/// # Errors
/// What reading says.
pub fn scan(file: &File) -> io::Result<Scan> {
    let mut scan = Scan { file_bytes: file.metadata()?.len(), ..Scan::default() };
    let mut chunk = vec![0; MIB_BYTES];
    let mut base = 0;
    while base < scan.file_bytes && scan.stopped.is_none() && !scan.ended {
        let bytes = read_chunk(file, &mut chunk, base, scan.file_bytes)?;
        walk_chunk(&mut scan, bytes, base);
        base += MIB;
    }
    if scan.stopped.is_none() && !scan.ended {
        scan.stopped = Some(Damage::Short { said: 4, there: 0 });
    }
    scan.beyond = look_beyond(file, &scan, &mut chunk)?;
    Ok(scan)
}

fn read_chunk<'a>(file: &File, chunk: &'a mut [u8], base: u64, file_bytes: u64) -> io::Result<&'a [u8]> {
    let len = usize::try_from((file_bytes - base).min(MIB)).unwrap_or(0);
    let part = chunk.get_mut(..len).unwrap_or_default();
    file.read_exact_at(part, base)?;
    Ok(part)
}

/// Walks the blocks of one MiB.
fn walk_chunk(scan: &mut Scan, chunk: &[u8], base: u64) {
    let mut at = 0;
    while at < chunk.len() {
        let segment_id = scan.header.map_or(0, |header| header.segment_id);
        let found = decode::block(&chunk[at..], segment_id)
            .and_then(|(block, len)| take_block(scan, &block, base + at as u64).map(|()| len));
        match found {
            Ok(len) => at += len,
            Err(damage) => {
                scan.stopped = Some(damage);
                return;
            }
        }
        scan.bytes = base + at as u64;
        if scan.ended {
            return;
        }
    }
}

/// Counts a block, if it may stand there.
fn take_block(scan: &mut Scan, block: &Block<'_>, at: u64) -> Result<(), Damage> {
    if at == 0 {
        return if matches!(block, Block::Section(_)) {
            Ok(())
        } else {
            Err(Damage::Field("no section header"))
        };
    }
    let Some(header) = scan.header else {
        let Block::SegmentHeader(header) = block else { return Err(Damage::Field("no segment header")) };
        scan.header = Some(*header);
        scan.end.next_seq = header.first_seq;
        return Ok(());
    };
    match block {
        Block::Anchor(anchor) if at.is_multiple_of(MIB) && belongs(anchor, &header, at) => {}
        Block::Anchor(_) => return Err(Damage::Field("an anchor of another place")),
        _ if at.is_multiple_of(MIB) => return Err(Damage::Field("a MiB without an anchor")),
        Block::Section(_) | Block::SegmentHeader(_) => return Err(Damage::Field("a second header")),
        Block::Interface(_) => scan.delivered.push(0),
        Block::Packet(packet) => {
            let delivered = usize::try_from(packet.interface).ok().and_then(|i| scan.delivered.get_mut(i));
            *delivered.ok_or(Damage::Field("a packet of an unknown interface"))? += 1;
            scan.end.packets += 1;
            scan.end.next_seq = packet.seq.wrapping_add(1);
            if packet.stamp.clock != StampClock::NONE {
                let (ns, end) = (packet.stamp.ns, &mut scan.end);
                end.min_stamp_ns = if end.min_stamp_ns == 0 { ns } else { end.min_stamp_ns.min(ns) };
                end.max_stamp_ns = end.max_stamp_ns.max(ns);
            }
        }
        Block::End(end) => {
            scan.end = *end;
            scan.ended = true;
        }
        Block::Pad | Block::Statistics(_) | Block::Loss(_) | Block::Clock(_) | Block::Event(_) => {}
    }
    Ok(())
}

fn belongs(anchor: &Anchor, header: &SegmentHeader, at: u64) -> bool {
    anchor.segment_id == header.segment_id && anchor.position == at && anchor.capture_id == header.capture_id
}

/// Looks for bytes and anchors beyond the end of the good records.
fn look_beyond(file: &File, scan: &Scan, chunk: &mut [u8]) -> io::Result<Beyond> {
    let mut beyond = Beyond::default();
    let mut base = scan.bytes / MIB * MIB;
    while base < scan.file_bytes {
        let bytes = read_chunk(file, chunk, base, scan.file_bytes)?;
        let skip = usize::try_from(scan.bytes.saturating_sub(base)).unwrap_or(0);
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0)
            && last >= skip
        {
            // Blocks are multiples of four bytes, and their last bytes may be zero.
            beyond.last_byte = (base + last as u64 + 1).next_multiple_of(4).min(scan.file_bytes);
        }
        if let (None, 0, Some(header)) = (beyond.anchor, skip, scan.header)
            && let Ok((Block::Anchor(anchor), _)) = decode::block(bytes, header.segment_id)
            && belongs(&anchor, &header, base)
        {
            beyond.anchor = Some(base);
        }
        base += MIB;
    }
    Ok(beyond)
}

/// A segment that now ends with an end-of-segment block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) bytes: u64,
    pub(super) end: EndOfSegment,
}

/// Ends a segment whose writer stopped in the middle. The file is left exactly as long as its blocks.
pub(super) fn end_segment(file: &File, segment_id: u32) -> io::Result<Ended> {
    let scan = scan(file)?;
    match scan.header {
        Some(header) if header.segment_id == segment_id => end_scanned(file, &scan, &header, 0),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it has no header")),
    }
}

fn end_scanned(file: &File, scan: &Scan, header: &SegmentHeader, flags: u32) -> io::Result<Ended> {
    if scan.ended {
        file.set_len(scan.bytes)?;
        return Ok(Ended { bytes: scan.bytes, end: scan.end });
    }
    // A follower of the capture that died still looks at the word behind the last record: that page stays, or
    // looking at it would raise SIGBUS.
    let page_end = (scan.bytes / PAGE_BYTES + 1) * PAGE_BYTES;
    file.set_len(page_end)?;
    let end = EndOfSegment { flags: flags | EndOfSegment::RECOVERED, ..scan.end };
    let tail = closing_blocks(scan, header, &end);
    file.write_all_at(&tail, scan.bytes)?;
    let bytes = scan.bytes + tail.len() as u64;
    file.set_len(bytes)?;
    Ok(Ended { bytes, end })
}

/// The blocks that close a segment at `scan.bytes`: statistics of each interface and the end.
fn closing_blocks(scan: &Scan, header: &SegmentHeader, end: &EndOfSegment) -> Vec<u8> {
    let mut closing = Closing { out: Vec::new(), start: scan.bytes, header, end };
    let ns = |ns: u64| (ns != 0).then_some(ns);
    let at_ns = ns(end.max_stamp_ns).unwrap_or(header.created_ns);
    let mut block = Vec::new();
    for (interface, delivered) in scan.delivered.iter().enumerate() {
        let stats = InterfaceStats {
            start_ns: ns(end.min_stamp_ns),
            end_ns: ns(end.max_stamp_ns),
            delivered: Some(*delivered),
            ..InterfaceStats::default()
        };
        block.clear();
        let interface = u32::try_from(interface).unwrap_or(u32::MAX);
        encode::statistics(&mut block, header.segment_id, interface, at_ns, &stats);
        closing.put(&block);
    }
    let last = whole(END_BYTES, |out| encode::end_of_segment(out, header.segment_id, end));
    closing.put(&last);
    closing.out
}

/// Puts blocks one after the other under the rules of MiBs, in memory.
struct Closing<'a> {
    out: Vec<u8>,
    start: u64,
    header: &'a SegmentHeader,
    end: &'a EndOfSegment,
}

impl Closing<'_> {
    fn at(&self) -> u64 {
        self.start + self.out.len() as u64
    }

    fn put(&mut self, block: &[u8]) {
        if !self.at().is_multiple_of(MIB) && !fits_mib(self.at(), block.len() as u64) {
            let room = usize::try_from(room_in_mib(self.at())).unwrap_or(0);
            self.out.extend(whole(room, |out| encode::pad(out, self.header.segment_id)));
        }
        if self.at().is_multiple_of(MIB) {
            let anchor = Anchor {
                segment_id: self.header.segment_id,
                queue: self.header.queue,
                position: self.at(),
                next_seq: self.end.next_seq,
                max_stamp_ns: self.end.max_stamp_ns,
                next_stamp_ns: 0,
                capture_id: self.header.capture_id,
            };
            self.out.extend(whole(ANCHOR_BYTES, |out| encode::anchor(out, &anchor)));
        }
        self.out.extend_from_slice(block);
    }
}

fn whole(len: usize, fill: impl FnOnce(&mut [u8]) -> u32) -> Vec<u8> {
    let mut block = vec![0; len];
    let word = fill(&mut block);
    if let Some(first) = block.first_chunk_mut() {
        *first = word.to_le_bytes();
    }
    block
}

/// What opening a journal found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments that had been left open, now sealed.
    pub recovered: Vec<Recovered>,
    /// Segments that had been prepared and never used, now deleted.
    pub unused: Vec<String>,
    /// Segments that could not be read at all, now named `<name>.damaged`.
    pub unreadable: Vec<String>,
    /// Whatever else should be known, a sentence each.
    pub remarks: Vec<String>,
}

impl Recovery {
    /// True if the journal had been closed in good order.
    pub fn is_clean(&self) -> bool {
        self.recovered.is_empty() && self.unreadable.is_empty() && self.remarks.is_empty()
    }
}

/// A segment that recovery has sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// File name.
    pub name: String,
    /// Packets in it.
    pub packets: u64,
    /// Its length now, bytes.
    pub bytes: u64,
    /// Where it was cut and why; `None` if it had already ended and only its seal was missing.
    pub cut: Option<(u64, String)>,
    /// The file that holds what lay beyond the cut, if that was damage, and how many bytes.
    pub quarantined: Option<(String, u64)>,
}

/// Seals every segment of `dir` that the manifest does not know. Only for the holder of the lock,
/// or on a copy that nobody else has.
///
/// # Errors
/// What the system says, with the file's name in it.
pub fn recover(dir: &Path, manifest_file: &mut ManifestFile, manifest: &Manifest) -> io::Result<Recovery> {
    let mut recovery = Recovery::default();
    let retired: HashSet<&str> = manifest.lines.iter().filter_map(|line| line.retired_name()).collect();
    let known: HashSet<&str> = manifest.names().collect();
    for (_, name) in segment_files(dir)? {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        if retired.contains(name.as_str()) {
            std::fs::remove_file(dir.join(&name)).map_err(named)?;
        } else if !known.contains(name.as_str()) {
            recover_segment(dir, &name, manifest_file, &mut recovery).map_err(named)?;
        }
    }
    for sealed in manifest.kept() {
        let remark = match std::fs::metadata(dir.join(&sealed.name)) {
            Ok(found) if found.len() == sealed.size_bytes => continue,
            Ok(found) => {
                format!("{}: {} bytes long, sealed with {}", sealed.name, found.len(), sealed.size_bytes)
            }
            Err(error) => format!("{}: sealed, but not readable: {error}", sealed.name),
        };
        recovery.remarks.push(remark);
    }
    sys::fs::sync_dir(dir)?;
    Ok(recovery)
}

/// The segment files of a directory, by queue and index.
pub(super) fn segment_files(dir: &Path) -> io::Result<BTreeMap<(u16, u32), String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string()
            && let Some(key) = parse_segment_name(&name)
        {
            files.insert(key, name);
        }
    }
    Ok(files)
}

fn recover_segment(
    dir: &Path,
    name: &str,
    manifest: &mut ManifestFile,
    recovery: &mut Recovery,
) -> io::Result<()> {
    let path = dir.join(name);
    let scan = scan(&File::open(&path)?)?;
    let header = scan.header.filter(|header| parse_segment_name(name) == Some((header.queue, header.index)));
    let Some(header) = header else {
        if scan.beyond.last_byte == 0 && scan.bytes == 0 {
            std::fs::remove_file(&path)?;
            recovery.unused.push(name.to_owned());
        } else {
            std::fs::rename(&path, free_name(dir, name)?.0)?;
            recovery.unreadable.push(name.to_owned());
        }
        return Ok(());
    };
    // A crash between sealing and the manifest's line leaves a file that its own owner may not write.
    std::fs::set_permissions(&path, Permissions::from_mode(0o640))?;
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let quarantined = if scan.is_damaged() { Some(quarantine(dir, name, &file, &scan)?) } else { None };
    let flags = if quarantined.is_some() { EndOfSegment::DAMAGED } else { 0 };
    let ended = end_scanned(&file, &scan, &header, flags)?;
    file.sync_all()?;
    let blake3 = hash(&file, ended.bytes)?;
    file.set_permissions(Permissions::from_mode(SEALED_MODE))?;
    manifest.append(&Entry::Sealed(Sealed {
        name: name.to_owned(),
        size_bytes: ended.bytes,
        packets: ended.end.packets,
        first_ns: ended.end.min_stamp_ns,
        last_ns: ended.end.max_stamp_ns,
        blake3,
    }))?;
    recovery.recovered.push(Recovered {
        name: name.to_owned(),
        packets: ended.end.packets,
        bytes: ended.bytes,
        cut: scan.stopped.map(|damage| (scan.bytes, damage.to_string())),
        quarantined,
    });
    Ok(())
}

/// A name for damaged bytes that is not taken yet: path and name.
fn free_name(dir: &Path, name: &str) -> io::Result<(std::path::PathBuf, String)> {
    let names =
        std::iter::once(format!("{name}.damaged")).chain((1..1000).map(|n| format!("{name}.damaged.{n}")));
    for name in names {
        let path = dir.join(&name);
        if !path.try_exists()? {
            return Ok((path, name));
        }
    }
    Err(io::Error::other("there are too many damaged files of this name: move them away"))
}

/// Copies what lies beyond the cut into a file of its own.
fn quarantine(dir: &Path, name: &str, file: &File, scan: &Scan) -> io::Result<(String, u64)> {
    let (path, name) = free_name(dir, name)?;
    let damaged = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut chunk = vec![0; MIB_BYTES];
    let mut at = scan.bytes;
    while at < scan.beyond.last_byte {
        let bytes = read_chunk(file, &mut chunk, at, scan.beyond.last_byte)?;
        damaged.write_all_at(bytes, at - scan.bytes)?;
        at += bytes.len() as u64;
    }
    damaged.sync_all()?;
    damaged.set_permissions(Permissions::from_mode(SEALED_MODE))?;
    Ok((name, scan.beyond.last_byte.saturating_sub(scan.bytes)))
}

/// BLAKE3 of the first `bytes` of a file.
fn hash(file: &File, bytes: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; MIB_BYTES];
    let mut at = 0;
    while at < bytes {
        let part = read_chunk(file, &mut chunk, at, bytes)?;
        hasher.update(part);
        at += part.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}
