//! One file of rows: Parquet or CSV.

use super::super::words::Decimal;
use super::table::{Cell, Column, Kind};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Times and prices as plain integers, for readers that do not know their types.
    pub(super) plain_integers: bool,
    /// Rows in a row group.
    pub(super) group_rows: usize,
}

/// A file of rows. A row is a [`Cell`] for each column, in order.
pub(super) trait Part {
    /// The row's next value.
    fn put(&mut self, cell: Cell<'_>) -> Result<(), ParquetError>;
    /// The row is whole.
    fn end_row(&mut self) -> Result<(), ParquetError>;
    /// No more rows. Answers how many values did not fit their type and were left out.
    fn finish(self: Box<Self>) -> Result<u64, ParquetError>;
}

/// Parquet: pages compressed with zstd, row groups of a stated size, sorted by the first column.
pub(super) struct ParquetPart {
    writer: SerializedFileWriter<BufWriter<File>>,
    style: Style,
    columns: Vec<Values>,
    at: usize,
    rows: usize,
    unfit: u64,
}

/// The values of a column in the current row group.
enum Values {
    /// With levels: 1 where there is a value.
    Optional {
        values: Vec<i64>,
        levels: Vec<i16>,
        is_price: bool,
    },
    Long(Vec<i64>),
    Int(Vec<i32>),
    Text(Vec<ByteArray>),
}

impl ParquetPart {
    pub(super) fn create(
        file: File,
        columns: &[Column],
        style: Style,
        facts: &[(&str, String)],
    ) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(&schema(columns, style.plain_integers))?);
        let facts = facts.iter().map(|(name, value)| KeyValue::new((*name).to_owned(), value.clone()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_sorting_columns(Some(vec![SortingColumn {
                column_idx: 0,
                descending: false,
                nulls_first: false,
            }]))
            .set_created_by(concat!("wiretape ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(facts.collect()))
            .build();
        let writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties))?;
        let columns = columns.iter().map(|(_, kind)| Values::of(*kind)).collect();
        Ok(Self { writer, style, columns, at: 0, rows: 0, unfit: 0 })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for values in &mut self.columns {
            let Some(mut column) = group.next_column()? else { break };
            match values {
                Values::Optional { values, levels, .. } => {
                    column.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                    levels.clear();
                    values.clear();
                }
                Values::Long(values) => {
                    column.typed::<Int64Type>().write_batch(values, None, None)?;
                    values.clear();
                }
                Values::Int(values) => {
                    column.typed::<Int32Type>().write_batch(values, None, None)?;
                    values.clear();
                }
                Values::Text(values) => {
                    column.typed::<ByteArrayType>().write_batch(values, None, None)?;
                    values.clear();
                }
            }
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// A value as its type can hold it: a time until the year 2262, a price of at most 18 digits.
    fn fitting(&mut self, cell: Cell<'_>) -> Option<i64> {
        const BEYOND_18_DIGITS: u64 = 1_000_000_000_000_000_000;
        let plain = self.style.plain_integers;
        let (wanted, fitting) = match cell {
            // As an unsigned integer every time has its bits.
            Cell::Time(Some(ns)) if plain => (true, Some(ns.cast_signed())),
            Cell::Time(ns) => (ns.is_some(), ns.and_then(|ns| i64::try_from(ns).ok())),
            Cell::Price(px) => (px.is_some(), px.filter(|px| plain || px.unsigned_abs() < BEYOND_18_DIGITS)),
            _ => (false, None),
        };
        self.unfit += u64::from(wanted && fitting.is_none());
        fitting
    }
}

impl Part for ParquetPart {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), ParquetError> {
        let fitting = self.fitting(cell);
        let at = self.at;
        self.at += 1;
        match (self.columns.get_mut(at), cell) {
            (Some(Values::Optional { values, levels, is_price }), Cell::Time(_) | Cell::Price(_))
                if *is_price == matches!(cell, Cell::Price(_)) =>
            {
                levels.push(i16::from(fitting.is_some()));
                values.extend(fitting);
            }
            (Some(Values::Long(values)), Cell::Unsigned(n)) => values.push(n.cast_signed()),
            (Some(Values::Long(values)), Cell::Signed(n)) => values.push(n),
            // A 32-bit column holds what its record's field of at most 32 bits held; unsigned ones by their bits.
            (Some(Values::Int(values)), Cell::Unsigned(n)) => {
                values.push(u32::try_from(n).unwrap_or(u32::MAX).cast_signed());
            }
            (Some(Values::Int(values)), Cell::Signed(n)) => values.push(i32::try_from(n).unwrap_or(i32::MAX)),
            (Some(Values::Text(values)), Cell::Text(text)) => values.push(ByteArray::from(text)),
            (column, cell) => {
                let what = format!(
                    "{cell:?} in column {at} of {}",
                    if column.is_some() { "another kind" } else { "none" }
                );
                return Err(ParquetError::General(what));
            }
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ParquetError> {
        self.at = 0;
        self.rows += 1;
        if self.rows >= self.style.group_rows { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<u64, ParquetError> {
        self.write_group()?;
        self.writer.finish()?;
        self.writer.inner_mut().flush()?;
        Ok(self.unfit)
    }
}

impl Values {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Time => Self::Optional { values: Vec::new(), levels: Vec::new(), is_price: false },
            Kind::Price => Self::Optional { values: Vec::new(), levels: Vec::new(), is_price: true },
            Kind::Unsigned(64) | Kind::Signed(64) => Self::Long(Vec::new()),
            Kind::Unsigned(_) | Kind::Signed(_) => Self::Int(Vec::new()),
            Kind::Text => Self::Text(Vec::new()),
        }
    }
}

/// The columns in Parquet's own words.
fn schema(columns: &[Column], plain_integers: bool) -> String {
    let mut text = String::from("message events {\n");
    for (name, kind) in columns {
        let kind = match (kind, plain_integers) {
            (Kind::Time, false) => format!("OPTIONAL INT64 {name} (TIMESTAMP(NANOS,true))"),
            (Kind::Time, true) => format!("OPTIONAL INT64 {name} (INTEGER(64,false))"),
            (Kind::Price, false) => format!("OPTIONAL INT64 {name} (DECIMAL(18,9))"),
            (Kind::Price, true) => format!("OPTIONAL INT64 {name}"),
            (Kind::Unsigned(64), _) => format!("REQUIRED INT64 {name} (INTEGER(64,false))"),
            (Kind::Signed(64), _) => format!("REQUIRED INT64 {name}"),
            (Kind::Unsigned(bits), _) => format!("REQUIRED INT32 {name} (INTEGER({bits},false))"),
            (Kind::Signed(bits), _) => format!("REQUIRED INT32 {name} (INTEGER({bits},true))"),
            (Kind::Text, _) => format!("REQUIRED BYTE_ARRAY {name} (STRING)"),
        };
        let _ = writeln!(text, "  {kind};");
    }
    text + "}"
}

/// CSV as in RFC 4180, with a line of names first. Times are integer ns, prices exact decimals, what is undefined is empty.
pub(super) struct CsvPart {
    out: BufWriter<File>,
    line: String,
    begun: bool,
    plain_integers: bool,
}

impl CsvPart {
    pub(super) fn create(file: File, columns: &[Column], style: Style) -> io::Result<Self> {
        let mut out = BufWriter::new(file);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        writeln!(out, "{}", names.join(","))?;
        Ok(Self { out, line: String::new(), begun: false, plain_integers: style.plain_integers })
    }
}

impl Part for CsvPart {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), ParquetError> {
        if self.begun {
            self.line.push(',');
        }
        self.begun = true;
        let line = &mut self.line;
        // Writing to a string does not fail.
        let _ = match cell {
            Cell::Time(None) | Cell::Price(None) => Ok(()),
            Cell::Time(Some(n)) | Cell::Unsigned(n) => write!(line, "{n}"),
            Cell::Price(Some(px)) if !self.plain_integers => write!(line, "{}", Decimal(px)),
            Cell::Price(Some(n)) | Cell::Signed(n) => write!(line, "{n}"),
            Cell::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                write!(line, "\"{}\"", text.replace('"', "\"\""))
            }
            Cell::Text(text) => write!(line, "{text}"),
        };
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ParquetError> {
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())?;
        self.line.clear();
        self.begun = false;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, ParquetError> {
        self.out.flush()?;
        Ok(0)
    }
}
