//! `wiretape.toml`: which feeds to expect, and where.
//!
//! Two types: what stands in the file (`RawConfig`, fields as people write them) and what it
//! means ([`Config`], checked). One function turns one into the other, so whoever holds a [`Config`] need
//! not check again. Always true of it: names are unique, also as file names, and not empty; a feed has 1 to [`MAX_LINES`] lines; ports are not 0; no
//! two lines share group, port and source; what a protocol has no use for is not said of it. An error names file, line and
//! column, and the mend.

mod feed;
mod words;

use crate::feed::FeedConfig;
use crate::feed::config::MAX_LINES;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Most feeds that a configuration may name: each costs a tracker.
pub const MAX_FEEDS: usize = 4096;
/// Longest name of a feed, bytes: it stands in tables and metrics.
pub const MAX_NAME_BYTES: usize = 64;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The feeds, in the order of the file.
    pub feeds: Vec<FeedConfig>,
    /// BLAKE3 of the file's bytes: stands in the journal's header.
    pub hash: [u8; 32],
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// Something in the file cannot be understood or used.
    #[error("{path}:{at}: {what}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: Position,
        /// What is wrong there, and the mend.
        what: String,
    },
}

/// A place in a text: both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// Where byte `at` of `text` stands.
    fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    feed: Vec<feed::RawFeed>,
}

/// What is wrong, and at which byte of the text.
struct Complaint {
    at: usize,
    what: String,
}

impl Complaint {
    fn of<T>(value: &Spanned<T>, what: String) -> Self {
        Self { at: value.span().start, what }
    }
}

impl Config {
    /// No feeds: what holds without a file.
    pub fn empty() -> Self {
        Self { feeds: Vec::new(), hash: *blake3::hash(b"").as_bytes() }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file, the line and the mend.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
        Self::parse(path, &std::fs::read(path).map_err(unreadable)?)
    }

    /// Checks a configuration that was read already; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let invalid = |text: &str, complaint: Complaint| ConfigError::Invalid {
            path: path.to_owned(),
            at: Position::of(text, complaint.at),
            what: complaint.what,
        };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let what = "is not UTF-8 text; save the file as UTF-8".to_owned();
                return Err(invalid(&String::from_utf8_lossy(good), Complaint { at: good.len(), what }));
            }
        };
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            invalid(text, Complaint { at, what: error.message().trim_end().to_owned() })
        })?;
        let feeds = check_feeds(&raw).map_err(|complaint| invalid(text, complaint))?;
        Ok(Self { feeds, hash: *blake3::hash(bytes).as_bytes() })
    }
}

/// Each feed by itself, then against the others.
fn check_feeds(raw: &RawConfig) -> Result<Vec<FeedConfig>, Complaint> {
    if let Some(first_too_many) = raw.feed.get(MAX_FEEDS) {
        let what = format!("more than {MAX_FEEDS} feeds; split them over several captures");
        return Err(Complaint::of(&first_too_many.name, what));
    }
    let mut names: HashMap<String, String> = HashMap::new();
    let mut places = HashMap::new();
    let mut feeds = Vec::with_capacity(raw.feed.len());
    for entry in &raw.feed {
        let feed = feed::check(entry)?;
        if let Some(other) = names.insert(file_name(&feed.name), feed.name.clone()) {
            let what = if other == feed.name {
                format!("a feed named \"{other}\" stands further up; give each its own name")
            } else {
                format!(
                    "\"{}\" and \"{other}\" further up would be one name of a directory; change one",
                    feed.name
                )
            };
            return Err(Complaint::of(&entry.name, what));
        }
        for (at, line) in feed.lines.iter().enumerate() {
            let here = format!("feed \"{}\"", feed.name);
            if let Some(other) = places.insert((line.group, line.port, line.source), here) {
                let what = format!("{other} has the same group, port and source; remove one of the two");
                return Err(entry.complain_of_group(at, what));
            }
        }
        feeds.push(feed);
    }
    Ok(feeds)
}

/// A feed's name as its directory in an event tape is called.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte) } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
