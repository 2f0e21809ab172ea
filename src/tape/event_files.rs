//! What event tapes there are beside a journal: captures, feeds, and the files of each stream.
//!
//! `JOURNAL/events/<capture>/<feed>/<stream>-NNNNNN.dbn` and `side-NNNNNN.jsonl`, as `docs/event-tape.md` describes them.
//! May touch: those directories, and `journal.toml` for the host's name.

use super::outcome::TapeError;
use crate::events::tape::EVENTS_DIR;
use crate::journal::Description;
use dbn::decode::DbnMetadata;
use dbn::decode::dbn::Decoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The stream of the side table.
pub const SIDE: &str = "side";

/// One capture's events.
#[derive(Clone, Debug)]
pub struct CaptureFiles {
    /// The capture's id, as the directory is named.
    pub id: String,
    /// The host that captured, as `journal.toml` names it; else `unknown`.
    pub host: String,
    /// Its feeds, by name.
    pub feeds: Vec<FeedFiles>,
}

/// One feed's events.
#[derive(Clone, Debug)]
pub struct FeedFiles {
    /// The feed, as the directory is named.
    pub name: String,
    /// By stream (a schema, or [`SIDE`]) the files in the order in which they were written.
    pub streams: BTreeMap<String, Vec<PathBuf>>,
}

impl FeedFiles {
    /// The files of a stream; none if it has no records.
    pub fn stream(&self, name: &str) -> &[PathBuf] {
        self.streams.get(name).map_or(&[], Vec::as_slice)
    }

    /// Symbols by instrument id: those that the heads of the files tell, and those of the side table.
    ///
    /// # Errors
    /// [`TapeError`] if a file cannot be read.
    pub fn symbols(&self) -> Result<BTreeMap<u32, String>, TapeError> {
        let mut symbols = BTreeMap::new();
        for path in self.streams.iter().filter(|(name, _)| *name != SIDE).flat_map(|(_, files)| files) {
            for mapping in &decoder(path)?.metadata().mappings {
                let ids = mapping.intervals.iter().filter_map(|interval| interval.symbol.parse().ok());
                symbols.extend(ids.map(|id| (id, mapping.raw_symbol.clone())));
            }
        }
        for path in self.stream(SIDE) {
            each_row(path, &mut |row| {
                if row["kind"] == "symbol"
                    && let (Some(id), Some(symbol)) = (row["instrument_id"].as_u64(), row["symbol"].as_str())
                {
                    symbols.extend(u32::try_from(id).ok().map(|id| (id, symbol.to_owned())));
                }
                Ok(())
            })?;
        }
        Ok(symbols)
    }
}

/// The event tapes beside a journal, by capture in the order of `journal.toml`; empty if there are none.
///
/// # Errors
/// [`TapeError`] if a directory cannot be read.
pub fn find(journal: &Path) -> Result<Vec<CaptureFiles>, TapeError> {
    let dir = journal.join(EVENTS_DIR);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let known = Description::read(journal).map(|description| description.captures).unwrap_or_default();
    let mut captures = Vec::new();
    for path in directories(&dir)? {
        let id = name_of(&path);
        let entry = known.iter().position(|capture| capture.id == id);
        let host = entry.and_then(|at| known.get(at)?.host.0.get("hostname").cloned());
        let feeds = directories(&path)?.iter().map(|dir| feed(dir)).collect::<Result<_, _>>()?;
        let capture = CaptureFiles { id, host: host.unwrap_or_else(|| "unknown".to_owned()), feeds };
        captures.push((entry.unwrap_or(usize::MAX), capture));
    }
    captures.sort_by(|(at, one), (other_at, other)| (at, &one.id).cmp(&(other_at, &other.id)));
    Ok(captures.into_iter().map(|(_, capture)| capture).collect())
}

fn feed(dir: &Path) -> Result<FeedFiles, TapeError> {
    let mut streams: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in entries(dir)? {
        if let Some(stream) = stream_of(&name_of(&path)) {
            streams.entry(stream).or_default().push(path);
        }
    }
    Ok(FeedFiles { name: name_of(dir), streams })
}

/// The stream that a file's name names: `mbp-1-000007.dbn` is of `mbp-1`.
fn stream_of(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (stream, number) = stem.rsplit_once('-')?;
    let is_numbered = number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit());
    let is_side = stream == SIDE && ending == "jsonl";
    (is_numbered && (is_side || ending == "dbn")).then(|| stream.to_owned())
}

/// A decoder of one of the files, at its first record. What a live or torn file holds of a last record is not read.
///
/// # Errors
/// [`TapeError`] if it cannot be read, or is no DBN.
pub fn decoder(path: &Path) -> Result<Decoder<BufReader<File>>, TapeError> {
    let file = File::open(path).map_err(TapeError::io(format!("cannot read {}", path.display())))?;
    Decoder::new(BufReader::with_capacity(1 << 20, file)).map_err(|error| not_dbn(path, &error))
}

/// What is wrong with a file of records.
pub(super) fn not_dbn(path: &Path, error: &dbn::Error) -> TapeError {
    TapeError::Refused(format!("{}: {error}", path.display()))
}

/// Hands every whole row of a side table to `each`.
///
/// # Errors
/// [`TapeError`] if it cannot be read, a row is no JSON, or of `each`.
pub fn each_row(
    path: &Path,
    each: &mut dyn FnMut(&serde_json::Value) -> Result<(), TapeError>,
) -> Result<(), TapeError> {
    each_line(path, &mut |line| {
        let row = serde_json::from_slice(line)
            .map_err(|error| TapeError::Refused(format!("{}: {error}", path.display())))?;
        each(&row)
    })
}

/// Hands every whole line of a file to `each`, without its end. What follows the last line's end is not whole.
pub(super) fn each_line(
    path: &Path,
    each: &mut dyn FnMut(&[u8]) -> Result<(), TapeError>,
) -> Result<(), TapeError> {
    let what = || format!("cannot read {}", path.display());
    let mut lines = BufReader::new(File::open(path).map_err(TapeError::io(what()))?);
    let mut line = Vec::new();
    loop {
        line.clear();
        // No row is nearly as long; a damaged file must not fill the memory.
        let read = (&mut lines).take(1 << 20).read_until(b'\n', &mut line).map_err(TapeError::io(what()))?;
        match line.strip_suffix(b"\n") {
            Some(whole) => each(whole)?,
            None if read == 1 << 20 => {
                return Err(TapeError::Refused(format!("{}: a row longer than a MiB", path.display())));
            }
            None => return Ok(()),
        }
    }
}

fn directories(dir: &Path) -> Result<Vec<PathBuf>, TapeError> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// What is in a directory, by name.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, TapeError> {
    let what = || format!("cannot read {}", dir.display());
    let list = std::fs::read_dir(dir).map_err(TapeError::io(what()))?;
    let paths: Result<Vec<PathBuf>, _> = list.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(TapeError::io(what()))?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::stream_of;

    #[test]
    fn a_name_tells_the_stream() {
        assert_eq!(stream_of("mbp-1-000007.dbn").as_deref(), Some("mbp-1"));
        assert_eq!(stream_of("side-000000.jsonl").as_deref(), Some("side"));
        for other in ["events.toml", "mbo-0.dbn", "mbo-000000.jsonl", "mbo-00000x.dbn", "000000.dbn"] {
            assert_eq!(stream_of(other), None, "{other}");
        }
    }
}
