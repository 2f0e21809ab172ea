//! `wiretape.toml`: which feeds to expect, and where.
//!
//! Two types: what stands in the file (`RawConfig`, fields as people write them) and what it
//! means ([`Config`], checked). One function turns one into the other, so whoever holds a [`Config`] need
//! not check again. Always true of it: names are unique and not empty, ports are not 0, no two feeds share
//! group, port and source, addresses of one feed are of one family. An error names file, line and column, and the mend.

use crate::feed::{FeedConfig, FeedProtocol, LineConfig};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
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
    feed: Vec<RawFeed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeed {
    name: Spanned<String>,
    protocol: Spanned<String>,
    group: Spanned<String>,
    port: Spanned<i64>,
    source: Option<Spanned<String>>,
    interface: Option<Spanned<String>>,
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
        let feeds = check_feeds(raw).map_err(|complaint| invalid(text, complaint))?;
        Ok(Self { feeds, hash: *blake3::hash(bytes).as_bytes() })
    }
}

fn check_feeds(raw: RawConfig) -> Result<Vec<FeedConfig>, Complaint> {
    if let Some(first_too_many) = raw.feed.get(MAX_FEEDS) {
        let what = format!("more than {MAX_FEEDS} feeds; split them over several captures");
        return Err(Complaint::of(&first_too_many.name, what));
    }
    let mut names = HashSet::new();
    let mut places = HashMap::new();
    let mut feeds = Vec::with_capacity(raw.feed.len());
    for entry in raw.feed {
        let feed = check_feed(&entry)?;
        if !names.insert(feed.name.clone()) {
            let what = format!("a feed named \"{}\" stands further up; give each its own name", feed.name);
            return Err(Complaint::of(&entry.name, what));
        }
        let places_of = feed.lines.iter().map(|line| (line.group, line.port, line.source));
        if let Some(other) = places_of.filter_map(|place| places.insert(place, feed.name.clone())).next() {
            let what = format!("feed \"{other}\" has the same group, port and source; remove one of the two");
            return Err(Complaint::of(&entry.group, what));
        }
        feeds.push(feed);
    }
    Ok(feeds)
}

fn check_feed(raw: &RawFeed) -> Result<FeedConfig, Complaint> {
    let group = address(&raw.group, "group")?;
    if group.is_unspecified() || is_broadcast(group) {
        let what = format!("group {group} is nobody's address; name a multicast group or a host's address");
        return Err(Complaint::of(&raw.group, what));
    }
    let line = LineConfig {
        name: "A".to_owned(),
        group,
        port: port(&raw.port)?,
        source: raw.source.as_ref().map(|source| source_address(source, group)).transpose()?,
        interface: raw.interface.as_ref().map(interface).transpose()?,
    };
    let feed = FeedConfig::one_line(&name(&raw.name)?, protocol(&raw.protocol)?, group, line.port);
    Ok(FeedConfig { lines: vec![line], ..feed })
}

fn name(raw: &Spanned<String>) -> Result<String, Complaint> {
    let name = raw.get_ref();
    let plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        let what = format!("a feed's name is 1 to {MAX_NAME_BYTES} bytes of letters, digits and punctuation");
        return Err(Complaint::of(raw, what));
    }
    Ok(name.clone())
}

fn protocol(raw: &Spanned<String>) -> Result<FeedProtocol, Complaint> {
    let found = FeedProtocol::ALL.into_iter().find(|(name, _)| name == raw.get_ref());
    found.map(|(_, protocol)| protocol).ok_or_else(|| {
        let known: Vec<String> = FeedProtocol::ALL.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        Complaint::of(raw, format!("unknown protocol \"{}\"; known: {}", raw.get_ref(), known.join(", ")))
    })
}

fn address(raw: &Spanned<String>, what: &str) -> Result<IpAddr, Complaint> {
    raw.get_ref().parse().map_err(|_| {
        let text = raw.get_ref();
        let what =
            format!("{what} \"{text}\" is no IP address; write it like \"233.54.12.111\" or \"ff3e::1\"");
        Complaint::of(raw, what)
    })
}

fn source_address(raw: &Spanned<String>, group: IpAddr) -> Result<IpAddr, Complaint> {
    let source = address(raw, "source")?;
    if source.is_multicast() || source.is_unspecified() || is_broadcast(source) {
        return Err(Complaint::of(
            raw,
            format!("source {source} is no sender's address; name the host that sends"),
        ));
    }
    if source.is_ipv4() != group.is_ipv4() {
        let what =
            format!("source {source} and group {group} are of different IP versions; nothing can match both");
        return Err(Complaint::of(raw, what));
    }
    Ok(source)
}

fn port(raw: &Spanned<i64>) -> Result<u16, Complaint> {
    u16::try_from(*raw.get_ref())
        .ok()
        .filter(|&port| port != 0)
        .ok_or_else(|| Complaint::of(raw, format!("port {} is not between 1 and 65535", raw.get_ref())))
}

fn interface(raw: &Spanned<String>) -> Result<String, Complaint> {
    let name = raw.get_ref();
    let plain = |c: char| c.is_ascii_graphic() && c != '/';
    // The kernel's IFNAMSIZ is 16 with the terminating zero.
    if name.is_empty() || name.len() > 15 || !name.chars().all(plain) {
        let what =
            format!("\"{name}\" cannot be an interface's name (1 to 15 characters, no space or slash)");
        return Err(Complaint::of(raw, what));
    }
    Ok(name.clone())
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("wiretape.toml"), text.as_bytes())
    }
    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }
    fn feed(lines: &str) -> String {
        format!("[[feed]]\nname = \"a\"\nprotocol = \"moldudp64\"\n{lines}\n")
    }

    #[test]
    fn a_feed_is_read_with_all_its_fields() {
        let text = "# feeds\n[[feed]]\nname = \"itch-a\"\nprotocol = \"moldudp64-itch50\"\ngroup = \"233.54.12.111\"\n\
                    port = 26477\nsource = \"206.200.127.138\"\ninterface = \"eth0\"\n";
        let config = parse(text).unwrap();
        let group = "233.54.12.111".parse().unwrap();
        let mut expected = FeedConfig::one_line("itch-a", FeedProtocol::MoldUdp64Itch50, group, 26477);
        expected.lines[0].source = Some("206.200.127.138".parse().unwrap());
        expected.lines[0].interface = Some("eth0".into());
        assert_eq!(config.feeds, [expected]);
        assert_eq!(config.hash, *blake3::hash(text.as_bytes()).as_bytes());
    }

    #[test]
    fn an_empty_file_is_a_configuration_without_feeds() {
        assert_eq!(parse("").unwrap(), Config::empty());
    }

    #[test]
    fn unicast_and_ipv6_addresses_are_taken() {
        assert!(parse(&feed("group = \"10.0.0.7\"\nport = 1")).is_ok());
        assert!(parse(&feed("group = \"ff3e::1\"\nport = 1\nsource = \"2001:db8::1\"")).is_ok());
    }

    #[test]
    fn each_error_names_file_line_column_and_mend() {
        let group = "group = \"239.1.2.3\"";
        for (text, expected) in [
            (feed(&format!("{group}\nport = 0")), "wiretape.toml:5:8: port 0 is not between 1 and 65535"),
            (feed(&format!("{group}\nport = 70000")), "5:8: port 70000"),
            (feed("group = \"nasdaq\"\nport = 1"), "4:9: group \"nasdaq\" is no IP address; write it like"),
            (feed("group = \"0.0.0.0\"\nport = 1"), "4:9: group 0.0.0.0 is nobody's address"),
            (
                feed(&format!("{group}\nport = 1\nsource = \"239.1.1.1\"")),
                "6:10: source 239.1.1.1 is no sender's",
            ),
            (feed(&format!("{group}\nport = 1\nsource = \"::1\"")), "6:10: source ::1 and group 239.1.2.3"),
            (
                feed(&format!("{group}\nport = 1\ninterface = \"a b\"")),
                "6:13: \"a b\" cannot be an interface",
            ),
            (feed(&format!("{group}\nport = 1\nprot = 3")), "6:1: unknown field `prot`, expected one of"),
            (feed(group), "missing field `port`"),
            ("[capture]\n".to_owned(), "1:2: unknown field `capture`"),
            ("[[feed]]\nname = \n".to_owned(), "wiretape.toml:2:8: "),
            (
                "[[feed]]\nname=\"a\"\nprotocol=\"pitch\"\ngroup=\"239.1.1.1\"\nport=1".to_owned(),
                "3:10: unknown protocol \"pitch\"; known: \"moldudp64-itch50\", \"moldudp64\"",
            ),
        ] {
            let said = message(&text);
            assert!(said.contains(expected), "{said:?} should contain {expected:?}");
        }
    }

    #[test]
    fn names_and_places_are_unique() {
        let one = feed("group = \"239.1.2.3\"\nport = 1");
        let same_name = feed("group = \"239.1.2.4\"\nport = 1");
        assert!(message(&format!("{one}{same_name}")).contains("7:8: a feed named \"a\" stands further up"));
        let same_place = one.replace("\"a\"", "\"b\"");
        let said = message(&format!("{one}{same_place}"));
        assert!(said.contains("9:9: feed \"a\" has the same group, port and source"), "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let said = Config::load(Path::new("/nonexistent/wiretape.toml")).unwrap_err().to_string();
        assert!(
            said.contains("cannot read configuration /nonexistent/wiretape.toml: No such file"),
            "{said}"
        );
        let said = Config::parse(Path::new("w.toml"), b"a = 1\n\xff").unwrap_err().to_string();
        assert_eq!(said, "w.toml:2:1: is not UTF-8 text; save the file as UTF-8");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Config::parse(Path::new("w.toml"), &bytes);
        }
    }
}
