//! Which of the two formats a file is in, and what its next bytes say.

use super::batch::Record;
use super::classic::Classic;
use super::ng::Ng;
use crate::capture::SourceError;
use crate::packet::{InterfaceDef, LinkType};

/// What the bytes at the front of the unread say.
#[derive(Debug)]
pub(super) enum Step {
    /// Too few to say: so many are needed.
    Short { needed: usize },
    /// Something of `len` bytes that concerns nobody here.
    Nothing { len: usize },
    /// A new interface.
    Interface { len: usize, def: InterfaceDef },
    /// A packet. Its range counts from the first of the `len` bytes.
    Record { len: usize, record: Record, out_of_range: bool },
}

/// What [`Format::first_link`] found.
#[derive(Debug)]
pub(super) enum Parsed {
    Known(Option<LinkType>),
    Short { needed: usize },
}

/// The file cannot be read (on).
#[derive(Debug)]
pub(super) enum Trouble {
    Damaged { offset: u64, what: String },
    NotACapture(String),
}

impl Trouble {
    pub(super) const EMPTY: Self = Self::NotACapture(String::new());

    pub(super) fn damaged(offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { offset, what: what.into() }
    }
    pub(super) fn truncated(offset: u64, needed: usize, present: usize) -> Self {
        let what = format!("the last record needs at least {needed} bytes, the file ends after {present}");
        Self::Damaged { offset, what }
    }
    pub(super) fn of_file(self, path: String) -> SourceError {
        match self {
            Self::Damaged { offset, what } => SourceError::Damaged { path, offset, what },
            Self::NotACapture(what) if what.is_empty() => {
                SourceError::NotACapture { path, what: "is empty, not a capture file".to_owned() }
            }
            Self::NotACapture(what) => SourceError::NotACapture { path, what },
        }
    }
}

/// The format, as far as it is known, and where its reader stands.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Unknown,
    Classic(Classic),
    Ng(Ng),
}

impl Format {
    /// Reads what stands at the front of `bytes`, which lie at `offset` in the file.
    pub(super) fn step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Trouble> {
        match self {
            Self::Unknown => {
                let Some(magic) = bytes.first_chunk::<4>() else { return Ok(Step::Short { needed: 4 }) };
                *self = recognise(*magic)?;
                self.step(bytes, offset)
            }
            Self::Classic(classic) => classic.step(bytes, offset),
            Self::Ng(ng) => ng.step(bytes, offset),
        }
    }

    /// Looks for the first interface in the first bytes of a file, on a copy of the reader's state.
    pub(super) fn first_link(mut self, bytes: &[u8]) -> Result<Parsed, Trouble> {
        let mut at = 0;
        loop {
            match self.step(bytes.get(at..).unwrap_or_default(), at as u64)? {
                Step::Short { needed } => return Ok(Parsed::Short { needed: at.saturating_add(needed) }),
                Step::Nothing { len } => at += len,
                Step::Interface { def, .. } => return Ok(Parsed::Known(Some(def.link))),
                Step::Record { record, .. } => return Ok(Parsed::Known(Some(record.link))),
            }
        }
    }
}

/// The format that a file's first four bytes stand for.
fn recognise(magic: [u8; 4]) -> Result<Format, Trouble> {
    if let Some(classic) = Classic::recognise(magic) {
        return Ok(Format::Classic(classic));
    }
    let compressed = |program: &str| {
        Trouble::NotACapture(format!(
            "is compressed; unpack it first: `{program} -dc FILE | wiretape capture -r -`"
        ))
    };
    match magic {
        [0x0a, 0x0d, 0x0d, 0x0a] => Ok(Format::Ng(Ng::default())),
        [0x1f, 0x8b, ..] => Err(Trouble::NotACapture(
            "is compressed with gzip; unpack it first with gunzip: `gunzip -c FILE | wiretape capture -r -`"
                .to_owned(),
        )),
        [0x28, 0xb5, 0x2f, 0xfd] => Err(compressed("zstd")),
        [0x04, 0x22, 0x4d, 0x18] => Err(compressed("lz4")),
        [0xfd, b'7', b'z', b'X'] => Err(compressed("xz")),
        [a, b, c, d] => Err(Trouble::NotACapture(format!(
            "is no capture file: begins with {a:02x} {b:02x} {c:02x} {d:02x}, the mark of neither pcap nor pcapng"
        ))),
    }
}
