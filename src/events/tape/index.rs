//! What a capture's event directory says of itself: `events.toml` and the manifest.
//!
//! ```text
//! FEED/FILE SIZE RECORDS BLAKE3 sealed
//! FEED/FILE SIZE RECORDS BLAKE3 cut
//! ```
//! Lines are only ever appended; a last line without its newline is torn and does not count. There is no chain: the
//! journal is the proof, and whoever doubts a line makes the file again.

use super::head::{self, DBN_VERSION};
use super::{FileId, ROLL_BYTES};
use crate::feed::{FeedConfig, FeedProtocol};
use crate::journal::manifest::hex;
use crate::sys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The directory of event tapes in a journal.
pub const EVENTS_DIR: &str = "events";
/// Name of the description.
pub(super) const DESCRIPTION: &str = "events.toml";
/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest";
/// Version of this layout.
const FORMAT_VERSION: u16 = 1;

/// The version of what makes a protocol's events. Raised whenever the same tape would give other events.
pub const fn decoder_version(protocol: FeedProtocol) -> u32 {
    match protocol {
        FeedProtocol::MoldUdp64Itch50
        | FeedProtocol::MoldUdp64
        | FeedProtocol::IexTp
        | FeedProtocol::CmeMdp3
        | FeedProtocol::CboePitch
        | FeedProtocol::Sequenced => 1,
    }
}

/// How complete an event tape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being written, or left by a crash that no start has tidied up after yet.
    Live,
    /// Complete.
    Sealed,
    /// Ended by a crash: each file is a prefix of what it would be.
    Cut,
    /// Given up while the capture went on; `reason` says why. Each file is a prefix of what it would be.
    Stopped,
}

impl State {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sealed => "sealed",
            Self::Cut => "cut",
            Self::Stopped => "stopped",
        }
    }
}

/// `events.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Version of the layout.
    pub format_version: u16,
    /// Version of DBN in the files.
    pub dbn_version: u8,
    /// The capture's id, as in `journal.toml`.
    pub capture: String,
    /// How complete it is.
    pub state: State,
    /// Why it is not, if it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Bytes of records after which a file is closed.
    pub roll_bytes: u64,
    /// Packets that retention deleted before events were made of them.
    #[serde(default)]
    pub missed_packets: u64,
    /// The feeds, in the order of the configuration.
    #[serde(default, rename = "feed")]
    pub feeds: Vec<FeedEntry>,
}

/// One feed of an event tape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Its name in the configuration.
    pub name: String,
    /// Its directory.
    pub directory: String,
    /// What it speaks.
    pub protocol: FeedProtocol,
    /// [`decoder_version`] of the program that made the events.
    pub decoder_version: u32,
    /// DBN's dataset code.
    pub dataset: String,
    /// DBN's publisher id.
    pub publisher_id: u16,
}

impl Capture {
    /// A live event tape of `feeds`.
    pub fn new(id: [u8; 16], feeds: &[FeedConfig]) -> Self {
        let mut taken = BTreeSet::new();
        let entry = |feed: &FeedConfig| FeedEntry {
            name: feed.name.clone(),
            directory: directory(&feed.name, &mut taken),
            protocol: feed.protocol,
            decoder_version: decoder_version(feed.protocol),
            dataset: head::dataset(feed),
            publisher_id: feed.publisher_id,
        };
        Self {
            format_version: FORMAT_VERSION,
            dbn_version: DBN_VERSION,
            capture: hex(&id),
            state: State::Live,
            reason: String::new(),
            roll_bytes: ROLL_BYTES,
            missed_packets: 0,
            feeds: feeds.iter().map(entry).collect(),
        }
    }

    /// Where its directory is in the journal `dir`.
    pub fn path(&self, journal: &Path) -> PathBuf {
        journal.join(EVENTS_DIR).join(&self.capture)
    }

    /// A file's name within the event tape: directory and name.
    pub fn file_name(&self, file: FileId) -> String {
        let directory = self.feeds.get(file.feed).map_or("", |feed| feed.directory.as_str());
        format!("{directory}/{}", file.name())
    }

    /// Reads the description in `dir`; `None` if there is none.
    ///
    /// # Errors
    /// What the system says; `InvalidData` if it cannot be understood.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(dir.join(DESCRIPTION)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let found: Self = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        if found.format_version != FORMAT_VERSION {
            return Err(bad(format!(
                "event tape of format version {}; this program knows version {FORMAT_VERSION}",
                found.format_version
            )));
        }
        Ok(Some(found))
    }

    /// Replaces the description in `dir`, so that either the old or the new one is there after a crash.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let new = dir.join("events.toml.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, dir.join(DESCRIPTION))?;
        sys::fs::sync_dir(dir)
    }
}

/// A directory's name for a feed: bytes that not every file system takes become `_`, and no two feeds share one.
fn directory(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let mut plain: String = name.chars().map(plain).collect();
    if plain.starts_with('.') {
        plain.replace_range(..1, "_");
    }
    let numbered = (2u32..).map(|n| format!("{plain}_{n}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or(plain);
    taken.insert(free.clone());
    free
}

/// A line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Directory and name of the file.
    pub name: String,
    /// Length, bytes.
    pub size_bytes: u64,
    /// Records, or rows.
    pub records: u64,
    /// BLAKE3 of all its bytes.
    pub blake3: [u8; 32],
    /// False if it was ended by a crash.
    pub is_sealed: bool,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.is_sealed { "sealed" } else { "cut" };
        writeln!(f, "{} {} {} {} {state}", self.name, self.size_bytes, self.records, hex(&self.blake3))
    }
}

/// The whole lines of a manifest, and how many bytes they take. `None` for a line that is none.
pub fn parse_manifest(bytes: &[u8]) -> Option<(Vec<Line>, u64)> {
    let mut lines = Vec::new();
    let mut whole_bytes = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        lines.push(parse_line(std::str::from_utf8(text).ok()?)?);
        whole_bytes += line.len() as u64;
    }
    Some((lines, whole_bytes))
}

fn parse_line(text: &str) -> Option<Line> {
    let mut words = text.split(' ');
    let line = Line {
        name: words.next().filter(|name| name.contains('/'))?.to_owned(),
        size_bytes: words.next()?.parse().ok()?,
        records: words.next()?.parse().ok()?,
        blake3: parse_hash(words.next()?)?,
        is_sealed: match words.next()? {
            "sealed" => true,
            "cut" => false,
            _ => return None,
        },
    };
    words.next().is_none().then_some(line)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let is_hash = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    is_hash.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feed_has_a_directory_of_its_own() {
        let mut taken = BTreeSet::new();
        let names = ["itch a", "itch_a", "..", "itch/a", "itch-b", "é"];
        let directories = names.map(|name| directory(name, &mut taken));
        assert_eq!(directories, ["itch_a", "itch_a_2", "_.", "itch_a_3", "itch-b", "_"]);
    }

    #[test]
    fn a_manifest_reads_back_without_its_torn_line() {
        let line = |name: &str, is_sealed| Line {
            name: name.to_owned(),
            size_bytes: 7,
            records: 8,
            blake3: [9; 32],
            is_sealed,
        };
        let lines = vec![line("a/mbo-000000.dbn", true), line("a/side-000000.jsonl", false)];
        let text: String = lines.iter().map(Line::to_string).collect();
        let torn = format!("{text}a/mbo-000001.dbn 12");
        assert_eq!(parse_manifest(torn.as_bytes()), Some((lines, text.len() as u64)));
        assert_eq!(parse_manifest(b"nonsense\n"), None);
    }
}
