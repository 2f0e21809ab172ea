//! The manifest: one line of text a sealed segment, chained by BLAKE3.
//!
//! ```text
//! q00-000000.pcapng SIZE PACKETS FIRST_NS LAST_NS BLAKE3 CHAIN
//! retired q00-000000.pcapng AT_NS REASON CHAIN
//! ```
//! CHAIN is BLAKE3 over the chain value of the line before (32 bytes; zeros before the first line) followed
//! by the line up to and without the space before CHAIN. Lines are only ever appended; a last line
//! without its newline is torn and does not count.
//!
//! The disk may be full when a line is due, so room for lines is reserved ahead ([`ROOM_BYTES`]); a line that cannot be written
//! all the same may be kept, and stands before the next one ([`ManifestFile::keep`]).

use super::format::parse_segment_name;
use crate::sys;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Name of the file.
pub const FILE_NAME: &str = "manifest";
/// Chain value before the first line.
pub const GENESIS: [u8; 32] = [0; 32];

/// Room that is reserved beyond the last line: some 300 lines.
pub const ROOM_BYTES: u64 = 64 << 10;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A segment was sealed.
    Sealed(Sealed),
    /// A sealed segment was deleted by retention.
    Retired(Retired),
}

/// A sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// File name.
    pub name: String,
    /// Exact length, bytes.
    pub size_bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Lowest stamp, ns since the Unix epoch; 0 without packets.
    pub first_ns: u64,
    /// Highest stamp, ns since the Unix epoch; 0 without packets.
    pub last_ns: u64,
    /// BLAKE3 of all its bytes.
    pub blake3: [u8; 32],
}

/// A segment deleted by retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// File name.
    pub name: String,
    /// When, `CLOCK_REALTIME`, ns since the Unix epoch.
    pub at_ns: u64,
    /// Why: `bytes`, `age` or `full`.
    pub reason: String,
}

/// A line, checked against the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub entry: Entry,
    /// Its chain value as written.
    pub chain: [u8; 32],
    /// True if that follows from the line before.
    pub chain_holds: bool,
    /// Line number, from 1.
    pub number: usize,
}

/// A manifest as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its whole lines.
    pub lines: Vec<Line>,
    /// Bytes that they take; what lies beyond is a torn line.
    pub whole_bytes: u64,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number} of the manifest is damaged: {what}")]
pub struct BadLine {
    /// Line number, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// [`BadLine`] for the first whole line that is none of a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadLine> {
        let mut manifest = Self::default();
        let mut before = GENESIS;
        for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let number = index + 1;
            let (entry, body, chain) = parse_line(text).map_err(|what| BadLine { number, what })?;
            let chain_holds = next_chain(&before, body) == chain;
            manifest.lines.push(Line { entry, chain, chain_holds, number });
            manifest.whole_bytes += line.len() as u64;
            before = chain;
        }
        Ok(manifest)
    }

    /// Chain value of the last line.
    pub fn head(&self) -> [u8; 32] {
        self.lines.last().map_or(GENESIS, |line| line.chain)
    }

    /// The sealed segments that were not retired, in the order of sealing.
    pub fn kept(&self) -> Vec<&Sealed> {
        let retired: std::collections::HashSet<&str> =
            self.lines.iter().filter_map(Line::retired_name).collect();
        let sealed = self.lines.iter().filter_map(|line| match &line.entry {
            Entry::Sealed(sealed) => Some(sealed),
            Entry::Retired(_) => None,
        });
        sealed.filter(|sealed| !retired.contains(sealed.name.as_str())).collect()
    }

    /// Every name that the manifest mentions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| match &line.entry {
            Entry::Sealed(sealed) => sealed.name.as_str(),
            Entry::Retired(retired) => retired.name.as_str(),
        })
    }
}

impl Line {
    /// The segment that this line retires.
    pub fn retired_name(&self) -> Option<&str> {
        match &self.entry {
            Entry::Retired(retired) => Some(&retired.name),
            Entry::Sealed(_) => None,
        }
    }
}

/// The chain value of a line whose text without chain is `body`.
pub fn next_chain(before: &[u8; 32], body: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(body.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(out)
}

/// Exactly as [`body`] writes it: a line has one spelling only, so what was read can be written again.
fn number(text: Option<&str>) -> Option<u64> {
    let text = text.filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().filter(|_| text == "0" || !text.starts_with('0'))
}

fn parse_line(line: &[u8]) -> Result<(Entry, &str, [u8; 32]), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let (body, chain) = line.rsplit_once(' ').ok_or("it has no chain value")?;
    let chain = parse_hash(chain).ok_or("its chain value is not 64 hexadecimal digits")?;
    let mut words = body.split(' ');
    let first = words.next().unwrap_or("");
    let entry = if first == "retired" { parse_retired(&mut words) } else { parse_sealed(first, &mut words) };
    let entry =
        entry.filter(|_| words.next().is_none()).ok_or("a field is missing, unreadable or too many")?;
    Ok((entry, body, chain))
}

fn parse_sealed<'a>(name: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<Entry> {
    parse_segment_name(name)?;
    Some(Entry::Sealed(Sealed {
        name: name.to_owned(),
        size_bytes: number(words.next())?,
        packets: number(words.next())?,
        first_ns: number(words.next())?,
        last_ns: number(words.next())?,
        blake3: parse_hash(words.next()?)?,
    }))
}

fn parse_retired<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Entry> {
    let name = words.next()?;
    parse_segment_name(name)?;
    let at_ns = number(words.next())?;
    let reason = words.next().filter(|r| !r.is_empty())?;
    Some(Entry::Retired(Retired { name: name.to_owned(), at_ns, reason: reason.to_owned() }))
}

/// A line's text without its chain value.
pub fn body(entry: &Entry) -> String {
    match entry {
        Entry::Sealed(s) => {
            format!(
                "{} {} {} {} {} {}",
                s.name,
                s.size_bytes,
                s.packets,
                s.first_ns,
                s.last_ns,
                hex(&s.blake3)
            )
        }
        Entry::Retired(r) => format!("retired {} {} {}", r.name, r.at_ns, r.reason),
    }
}

/// The manifest of a journal that is being written.
#[derive(Debug)]
pub struct ManifestFile {
    file: File,
    head: [u8; 32],
    /// Up to here room is reserved.
    reserved_bytes: u64,
    /// Lines that could not be written yet.
    kept: Vec<Entry>,
}

impl ManifestFile {
    /// Opens (or creates) the manifest of `dir`, cuts a torn last line off.
    ///
    /// # Errors
    /// What the system says; [`BadLine`] (as `InvalidData`) if a whole line is damaged.
    pub fn open(dir: &Path) -> io::Result<(Self, Manifest)> {
        let path = dir.join(FILE_NAME);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let manifest =
            Manifest::parse(&bytes).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        if manifest.whole_bytes < bytes.len() as u64 {
            file.set_len(manifest.whole_bytes)?;
            file.sync_all()?;
        }
        let mut opened = Self { file, head: manifest.head(), reserved_bytes: 0, kept: Vec::new() };
        opened.reserve(manifest.whole_bytes);
        Ok((opened, manifest))
    }

    /// Appends a line, behind those that were kept, and makes it durable.
    ///
    /// # Errors
    /// What `write(2)` or `fsync(2)` says; a line written in part is taken back if that is possible.
    pub fn append(&mut self, entry: &Entry) -> io::Result<[u8; 32]> {
        self.write_kept()?;
        self.write(entry)?;
        self.file.sync_data()?;
        Ok(self.head)
    }

    /// Keeps a line that could not be appended until one can be.
    pub fn keep(&mut self, entry: Entry) {
        self.kept.push(entry);
    }

    /// Writes what was kept.
    ///
    /// # Errors
    /// As [`ManifestFile::append`]; what could not be written stays kept.
    pub fn write_kept(&mut self) -> io::Result<()> {
        while let Some(entry) = self.kept.first().cloned() {
            self.write(&entry)?;
            self.kept.remove(0);
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let body = body(entry);
        let chain = next_chain(&self.head, &body);
        let before = self.file.metadata()?.len();
        let line = format!("{body} {}\n", hex(&chain));
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // A torn line without newline would swallow the next one: take it back.
            self.file.set_len(before)?;
            self.reserved_bytes = before;
            return Err(error);
        }
        // The line is in the file: what follows must chain on it even if a sync fails.
        self.head = chain;
        self.reserve(before + line.len() as u64);
        Ok(())
    }

    /// Sees to it that there is room beyond `len`. Where that cannot be, the next line may find the disk full.
    fn reserve(&mut self, len: u64) {
        if self.reserved_bytes < len + ROOM_BYTES / 2
            && sys::fs::allocate_beyond(&self.file, len + ROOM_BYTES).is_ok()
        {
            self.reserved_bytes = len + ROOM_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(index: u32) -> Entry {
        let name = super::super::format::segment_name(0, index);
        Entry::Sealed(Sealed {
            name,
            size_bytes: 1,
            packets: 2,
            first_ns: 3,
            last_ns: 4,
            blake3: [index.to_le_bytes()[0]; 32],
        })
    }

    #[test]
    fn lines_read_back_chained_and_a_torn_one_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, empty) = ManifestFile::open(dir.path()).unwrap();
        assert_eq!(empty, Manifest::default());
        let retired =
            Entry::Retired(Retired { name: "q00-000000.pcapng".into(), at_ns: 5, reason: "bytes".into() });
        for entry in [sealed(0), sealed(1), retired.clone()] {
            file.append(&entry).unwrap();
        }
        let path = dir.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn.extend_from_slice(b"q00-000002.pcapng 12");
        std::fs::write(&path, &torn).unwrap();
        let (mut file, manifest) = ManifestFile::open(dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(manifest.lines.iter().all(|line| line.chain_holds));
        assert_eq!(manifest.lines.len(), 3);
        assert_eq!(manifest.kept().len(), 1);
        file.append(&sealed(2)).unwrap();
        let manifest = Manifest::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert!(manifest.lines.iter().all(|line| line.chain_holds));
    }

    #[test]
    fn a_removed_swapped_or_changed_line_breaks_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = ManifestFile::open(dir.path()).unwrap();
        for index in 0..3 {
            file.append(&sealed(index)).unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let broken = |lines: &[&str]| {
            let manifest = Manifest::parse((lines.join("\n") + "\n").as_bytes()).unwrap();
            manifest.lines.iter().any(|line| !line.chain_holds)
        };
        assert!(!broken(&lines));
        assert!(broken(&[lines[0], lines[2]]));
        assert!(broken(&[lines[1], lines[0], lines[2]]));
        assert!(broken(&[lines[0], &lines[1].replace(" 1 2 3 4 ", " 1 2 3 5 "), lines[2]]));
        assert!(Manifest::parse(b"nonsense\n").is_err());
        assert!(Manifest::parse(b"\n").is_err());
    }

    /// Bug: a size of `007` was read as 7. Cause: any digits were a number. A line written again from what was read
    /// then had another chain value than the one that was checked. Fix: one spelling a number.
    #[test]
    fn a_number_has_one_spelling() {
        let body = body(&sealed(0));
        for (spelling, is_right) in
            [(" 1 ", true), (" 01 ", false), (" +1 ", false), (" 00 ", false), (" 0 ", true)]
        {
            let body = body.replacen(" 1 ", spelling, 1);
            let chain = hex(&next_chain(&GENESIS, &body));
            assert_eq!(
                Manifest::parse(format!("{body} {chain}\n").as_bytes()).is_ok(),
                is_right,
                "{spelling}"
            );
        }
    }

    #[test]
    fn a_kept_line_stands_before_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = ManifestFile::open(dir.path()).unwrap();
        file.keep(sealed(0));
        file.append(&sealed(1)).unwrap();
        let lines = Manifest::parse(&std::fs::read(dir.path().join(FILE_NAME)).unwrap()).unwrap();
        let names: Vec<_> = lines.names().map(str::to_owned).collect();
        assert_eq!(names, ["q00-000000.pcapng", "q00-000001.pcapng"]);
    }
}
