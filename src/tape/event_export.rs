//! `tape export --events`: the event tapes beside a journal as compressed DBN, Parquet or CSV.
//!
//! DBN keeps files and records as they are and compresses them. Parquet and CSV are tables, one directory a feed and schema:
//!
//! `OUT/<feed>/<schema>/day=YYYY-MM-DD/host=NAME/part-NNNNNN.parquet`
//!
//! The day is that of `ts_recv`, UTC. The rows of each file are sorted by `ts_recv`, equal ones in the order of the tape. The tape is
//! so sorted nearly; what steps back by more than `HORIZON_NS` begins a new file, so each file keeps the promise.
//! The side table goes with the events as rows of time, kind and the JSON object as it stands on tape.

mod part;
mod table;

use super::event_files::{self, CaptureFiles, FeedFiles, SIDE, each_line, not_dbn};
use super::in_order::InOrder;
use super::outcome::{Outcome, TapeError};
use super::when::Rfc3339;
use crate::journal::reader::Tape;
use dbn::decode::{DbnMetadata, DecodeRecordRef};
use dbn::encode::EncodeRecordRef;
use dbn::{ImbalanceMsg, InstrumentDefMsg, MboMsg, Mbp1Msg, StatMsg, StatusMsg, TradeMsg};
use parquet::errors::ParquetError;
use part::{CsvPart, ParquetPart, Part, Style};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use table::{Cell, Column, Kind, Table};

/// How far the tape's stamps may step back within one file, ns.
const HORIZON_NS: u64 = 100_000_000;
/// zstd's level for DBN: its own default.
const ZSTD_LEVEL: i32 = 3;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventFormat {
    /// DBN, compressed with zstd.
    Dbn,
    /// Parquet.
    Parquet,
    /// CSV.
    Csv,
}

/// What to export, and how.
#[derive(Clone, Debug)]
pub struct EventExportOptions {
    /// The journal's directory.
    pub journal: PathBuf,
    /// The directory to write to: made, or empty.
    pub output: PathBuf,
    /// In which format.
    pub format: EventFormat,
    /// Rows in a row group (Parquet).
    pub group_rows: usize,
    /// Times and prices as plain integers (Parquet, CSV).
    pub plain_integers: bool,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct EventsExported {
    /// In which format.
    pub format: EventFormat,
    /// Records by `feed/schema` (`feed/side` for the side table).
    pub records: BTreeMap<String, u64>,
    /// Files written.
    pub files: u64,
    /// Times and prices that their column's type cannot hold and that are left out: 0 with plain integers.
    pub unfit: u64,
}

/// Exports the event tapes of a journal.
///
/// # Errors
/// [`TapeError`] if there are none, the output is not empty, or a file fails.
pub fn run(options: &EventExportOptions) -> Result<(Outcome, EventsExported), TapeError> {
    // What is no journal is said to be none.
    Tape::open(&options.journal)?;
    let captures = event_files::find(&options.journal)?;
    if captures.iter().all(|capture| capture.feeds.is_empty()) {
        return Err(TapeError::Refused(format!(
            "{} holds no event tape: capture with feeds configured, or make one with `tape decode --rebuild`",
            options.journal.display()
        )));
    }
    fresh_directory(&options.output)?;
    let done = EventsExported { format: options.format, records: BTreeMap::new(), files: 0, unfit: 0 };
    let mut export = Export { options, done, parts: BTreeMap::new() };
    for capture in &captures {
        for feed in &capture.feeds {
            export.feed(capture, feed)?;
        }
    }
    Ok((Outcome::Good, export.done))
}

fn fresh_directory(path: &Path) -> Result<(), TapeError> {
    std::fs::create_dir_all(path).map_err(TapeError::io(format!("cannot make {}", path.display())))?;
    let mut inside =
        std::fs::read_dir(path).map_err(TapeError::io(format!("cannot read {}", path.display())))?;
    if inside.next().is_some() {
        return Err(TapeError::Refused(format!("{} is not empty: name a new directory", path.display())));
    }
    Ok(())
}

struct Export<'o> {
    options: &'o EventExportOptions,
    done: EventsExported,
    /// The next part's number, by table.
    parts: BTreeMap<PathBuf, u32>,
}

impl Export<'_> {
    fn feed(&mut self, capture: &CaptureFiles, feed: &FeedFiles) -> Result<(), TapeError> {
        if self.options.format == EventFormat::Dbn {
            return self.compress(capture, feed);
        }
        let symbols = feed.symbols()?;
        for (stream, files) in &feed.streams {
            let place = Place { capture, feed, stream, symbols: &symbols };
            match stream.as_str() {
                "mbo" => self.table::<MboMsg>(&place, files),
                "trades" => self.table::<TradeMsg>(&place, files),
                "mbp-1" | "tbbo" => self.table::<Mbp1Msg>(&place, files),
                "status" => self.table::<StatusMsg>(&place, files),
                "definition" => self.table::<InstrumentDefMsg>(&place, files),
                "imbalance" => self.table::<ImbalanceMsg>(&place, files),
                "statistics" => self.table::<StatMsg>(&place, files),
                SIDE => self.side(&place, files),
                other => Err(TapeError::Refused(format!("no table for the schema {other}"))),
            }?;
        }
        Ok(())
    }

    /// Files as they are, compressed: whole records only.
    fn compress(&mut self, capture: &CaptureFiles, feed: &FeedFiles) -> Result<(), TapeError> {
        let dir = self.options.output.join(&capture.id).join(&feed.name);
        std::fs::create_dir_all(&dir).map_err(TapeError::io(format!("cannot make {}", dir.display())))?;
        for (stream, path) in
            feed.streams.iter().flat_map(|(name, files)| files.iter().map(move |f| (name, f)))
        {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let to = dir.join(name + ".zst");
            let what = format!("cannot write {}", to.display());
            let file = File::create_new(&to).map_err(TapeError::io(&what))?;
            let out = zstd::Encoder::new(BufWriter::new(file), ZSTD_LEVEL).map_err(TapeError::io(&what))?;
            let records =
                if stream == SIDE { copy_rows(path, out, &what) } else { copy_records(path, out, &what) }?;
            self.count(&feed.name, stream, records);
            self.done.files += 1;
        }
        Ok(())
    }

    fn count(&mut self, feed: &str, stream: &str, records: u64) {
        *self.done.records.entry(format!("{feed}/{stream}")).or_default() += records;
    }

    fn table<T: Table>(&mut self, place: &Place<'_>, files: &[PathBuf]) -> Result<(), TapeError> {
        let mut columns = T::COLUMNS.to_vec();
        columns.push(("symbol", Kind::Text));
        let mut sorted: Sorted<T> = Sorted::new(columns);
        for path in files {
            let mut decoder = event_files::decoder(path)?;
            while let Some(record) = decoder.decode_record_ref().map_err(|error| not_dbn(path, &error))? {
                let row: &T = record.get().ok_or_else(|| {
                    TapeError::Refused(format!("{}: a record of another schema", path.display()))
                })?;
                sorted.take(self, place, row.at_ns(), row.clone(), &mut write_record)?;
            }
        }
        sorted.finish(self, place, &mut write_record)
    }

    fn side(&mut self, place: &Place<'_>, files: &[PathBuf]) -> Result<(), TapeError> {
        const COLUMNS: [Column; 3] = [("ts_recv", Kind::Time), ("kind", Kind::Text), ("row", Kind::Text)];
        let mut sorted: Sorted<(u64, String, String)> = Sorted::new(COLUMNS.to_vec());
        let mut newest_ns = 0;
        for path in files {
            each_line(path, &mut |line| {
                let text = String::from_utf8_lossy(line).into_owned();
                let row: serde_json::Value = serde_json::from_str(&text)
                    .map_err(|error| TapeError::Refused(format!("{}: {error}", path.display())))?;
                // Rows about the whole capture (counts at its end) have no time of their own.
                let at_ns = row["at_ns"].as_u64().unwrap_or(newest_ns);
                newest_ns = newest_ns.max(at_ns);
                let kind = row["kind"].as_str().unwrap_or_default().to_owned();
                sorted.take(self, place, at_ns, (at_ns, kind, text), &mut write_side)
            })?;
        }
        sorted.finish(self, place, &mut write_side)
    }

    /// A new file for the rows of a day.
    fn begin(&mut self, place: &Place<'_>, columns: &[Column], day: &str) -> Result<Open, TapeError> {
        let table = self.options.output.join(&place.feed.name).join(place.stream);
        let number = self.parts.entry(table.clone()).or_default();
        let ending = if self.options.format == EventFormat::Parquet { "parquet" } else { "csv" };
        let dir = table.join(format!("day={day}")).join(format!("host={}", safe(&place.capture.host)));
        let path = dir.join(format!("part-{number:06}.{ending}"));
        *number += 1;
        std::fs::create_dir_all(&dir).map_err(TapeError::io(format!("cannot make {}", dir.display())))?;
        let file =
            File::create_new(&path).map_err(TapeError::io(format!("cannot write {}", path.display())))?;
        let style =
            Style { plain_integers: self.options.plain_integers, group_rows: self.options.group_rows };
        let facts = [
            ("wiretape.feed", place.feed.name.clone()),
            ("wiretape.schema", place.stream.to_owned()),
            ("wiretape.capture", place.capture.id.clone()),
            ("wiretape.price_scale", "1e-9".to_owned()),
        ];
        let part: Result<Box<dyn Part>, ParquetError> = match self.options.format {
            EventFormat::Parquet => {
                ParquetPart::create(file, columns, style, &facts).map(|part| Box::new(part) as Box<dyn Part>)
            }
            EventFormat::Dbn | EventFormat::Csv => CsvPart::create(file, columns, style)
                .map(|part| Box::new(part) as Box<dyn Part>)
                .map_err(ParquetError::from),
        };
        self.done.files += 1;
        Ok(Open { part: part.map_err(|error| failed(&path, &error))?, path, day: day.to_owned() })
    }
}

/// What a table is of.
struct Place<'a> {
    capture: &'a CaptureFiles,
    feed: &'a FeedFiles,
    stream: &'a str,
    symbols: &'a BTreeMap<u32, String>,
}

/// A file that is being written.
struct Open {
    part: Box<dyn Part>,
    path: PathBuf,
    day: String,
}

/// Hands a row's values to a part.
type WriteRow<'w, R> = &'w mut dyn FnMut(&Place<'_>, &R, &mut dyn Part) -> Result<(), ParquetError>;

/// Brings rows into order, and cuts them into files by day.
struct Sorted<R> {
    columns: Vec<Column>,
    order: InOrder<R>,
    open: Option<Open>,
}

impl<R> Sorted<R> {
    const fn new(columns: Vec<Column>) -> Self {
        Self { columns, order: InOrder::new(HORIZON_NS), open: None }
    }

    fn take(
        &mut self,
        export: &mut Export<'_>,
        place: &Place<'_>,
        at_ns: u64,
        row: R,
        write: WriteRow<'_, R>,
    ) -> Result<(), TapeError> {
        if let Err(row) = self.order.push(at_ns, row) {
            // Too late for this file: another one begins with it.
            self.drain(export, place, write)?;
            close(self.open.take(), export)?;
            self.order = InOrder::new(HORIZON_NS);
            let _ = self.order.push(at_ns, row);
        }
        while let Some((at_ns, row)) = self.order.ready() {
            self.write(export, place, at_ns, &row, write)?;
        }
        Ok(())
    }

    fn drain(
        &mut self,
        export: &mut Export<'_>,
        place: &Place<'_>,
        write: WriteRow<'_, R>,
    ) -> Result<(), TapeError> {
        while let Some((at_ns, row)) = self.order.take() {
            self.write(export, place, at_ns, &row, write)?;
        }
        Ok(())
    }

    fn finish(
        mut self,
        export: &mut Export<'_>,
        place: &Place<'_>,
        write: WriteRow<'_, R>,
    ) -> Result<(), TapeError> {
        self.drain(export, place, write)?;
        close(self.open, export)
    }

    fn write(
        &mut self,
        export: &mut Export<'_>,
        place: &Place<'_>,
        at_ns: u64,
        row: &R,
        write: WriteRow<'_, R>,
    ) -> Result<(), TapeError> {
        let day = Rfc3339(at_ns).to_string();
        let day = day.get(..10).unwrap_or("1970-01-01");
        if self.open.as_ref().is_some_and(|open| open.day != day) {
            close(self.open.take(), export)?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(export.begin(place, &self.columns, day)?),
        };
        let written = write(place, row, &mut *open.part).and_then(|()| open.part.end_row());
        written.map_err(|error| failed(&open.path, &error))?;
        export.count(&place.feed.name, place.stream, 1);
        Ok(())
    }
}

fn close(open: Option<Open>, export: &mut Export<'_>) -> Result<(), TapeError> {
    let Some(open) = open else { return Ok(()) };
    export.done.unfit += open.part.finish().map_err(|error| failed(&open.path, &error))?;
    Ok(())
}

fn write_record<T: Table>(place: &Place<'_>, row: &T, part: &mut dyn Part) -> Result<(), ParquetError> {
    let mut written = Ok(());
    row.cells(&mut |cell| {
        if written.is_ok() {
            written = part.put(cell);
        }
    });
    written?;
    part.put(Cell::Text(place.symbols.get(&row.id()).map_or("", String::as_str)))
}

fn write_side(_: &Place<'_>, row: &(u64, String, String), part: &mut dyn Part) -> Result<(), ParquetError> {
    let (at_ns, kind, text) = row;
    part.put(Cell::Time(Some(*at_ns)))?;
    part.put(Cell::Text(kind))?;
    part.put(Cell::Text(text))
}

type Zstd = zstd::Encoder<'static, BufWriter<File>>;

fn copy_records(path: &Path, mut out: Zstd, what: &str) -> Result<u64, TapeError> {
    let mut decoder = event_files::decoder(path)?;
    let metadata = decoder.metadata().clone();
    let wrong = |error: dbn::Error| TapeError::Refused(format!("{what}: {error}"));
    let mut encoder = dbn::encode::dbn::Encoder::new(&mut out, &metadata).map_err(wrong)?;
    let mut records = 0;
    while let Some(record) = decoder.decode_record_ref().map_err(|error| not_dbn(path, &error))? {
        encoder.encode_record_ref(record).map_err(wrong)?;
        records += 1;
    }
    finish(out, what)?;
    Ok(records)
}

fn copy_rows(path: &Path, mut out: Zstd, what: &str) -> Result<u64, TapeError> {
    let mut rows = 0;
    each_line(path, &mut |line| {
        rows += 1;
        out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(TapeError::io(what))
    })?;
    finish(out, what)?;
    Ok(rows)
}

fn finish(out: Zstd, what: &str) -> Result<(), TapeError> {
    out.finish().and_then(|mut file| file.flush()).map_err(TapeError::io(what))
}

fn failed(path: &Path, error: &ParquetError) -> TapeError {
    TapeError::Refused(format!("cannot write {}: {error}", path.display()))
}

/// A name that is one part of a path.
fn safe(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}
