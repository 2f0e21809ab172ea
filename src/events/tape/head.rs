//! The head of a DBN file (its metadata), and one record as JSON.

use super::super::follow::Span;
use super::super::output::SCHEMAS;
use crate::feed::FeedConfig;
use dbn::decode::{DbnRecordDecoder, DecodeRecordRef as _};
use dbn::encode::{DbnMetadataEncoder, EncodeRecordRef as _, json};
use dbn::{MappingInterval, Metadata, SType, SymbolMapping, VersionUpgradePolicy};
use std::collections::HashMap;
use std::io;
use std::num::NonZeroU64;

/// DBN's version of every file.
pub(super) const DBN_VERSION: u8 = 3;
/// Longest dataset code, bytes: DBN has 16 with the terminating zero.
const MAX_DATASET_BYTES: usize = 15;
/// Longest symbol, bytes: DBN version 3 has 71 with the terminating zero.
const MAX_SYMBOL_BYTES: usize = 70;

/// What a file's head is made of.
#[derive(Debug)]
pub(super) struct Heads<'a> {
    pub(super) config: &'a FeedConfig,
    pub(super) symbols: &'a [(u32, String)],
    pub(super) span: Span,
    pub(super) stream: usize,
}

impl Heads<'_> {
    /// While the file is written: what is configured. Empty for the side table, which has no head.
    pub(super) fn live(&self) -> io::Result<Vec<u8>> {
        let configured = self.config.symbols.iter().map(|(symbol, id)| (*id, symbol.as_str()));
        self.encode(None, configured)
    }

    /// Once it is complete: with its end and all symbols that are known.
    pub(super) fn sealed(&self) -> io::Result<Vec<u8>> {
        let end = NonZeroU64::new(self.span.last_ns.saturating_add(1));
        self.encode(end, self.symbols.iter().map(|(id, symbol)| (*id, symbol.as_str())))
    }

    fn encode<'s>(
        &self,
        end: Option<NonZeroU64>,
        symbols: impl Iterator<Item = (u32, &'s str)>,
    ) -> io::Result<Vec<u8>> {
        let Some(schema) = SCHEMAS.get(self.stream) else { return Ok(Vec::new()) };
        let mut metadata = Metadata::builder()
            .version(DBN_VERSION)
            .dataset(dataset(self.config))
            .schema(Some(*schema))
            .start(self.span.first_ns)
            .end(end)
            .stype_in(Some(SType::RawSymbol))
            .stype_out(SType::InstrumentId)
            .build();
        let first = metadata.start().date();
        let last = match metadata.end() {
            Some(end) => end.date().max(first),
            None => first,
        };
        let past_last = last.next_day().unwrap_or(last);
        let mut at = HashMap::new();
        for (id, symbol) in symbols.filter(|(_, symbol)| fits(symbol)) {
            let interval = MappingInterval { start_date: first, end_date: past_last, symbol: id.to_string() };
            let place = *at.entry(symbol.to_owned()).or_insert(metadata.mappings.len());
            match metadata.mappings.get_mut(place) {
                Some(mapping) => mapping.intervals.push(interval),
                None => metadata
                    .mappings
                    .push(SymbolMapping { raw_symbol: symbol.to_owned(), intervals: vec![interval] }),
            }
        }
        metadata.symbols = metadata.mappings.iter().map(|mapping| mapping.raw_symbol.clone()).collect();
        let mut head = Vec::new();
        DbnMetadataEncoder::new(&mut head).encode(&metadata).map_err(io::Error::other)?;
        Ok(head)
    }
}

/// What DBN can carry as a symbol; the rest stands in the side table alone.
fn fits(symbol: &str) -> bool {
    symbol.is_ascii() && !symbol.is_empty() && symbol.len() <= MAX_SYMBOL_BYTES && !symbol.contains('\0')
}

/// The dataset code: as configured, or made from the feed's name.
pub(super) fn dataset(config: &FeedConfig) -> String {
    let of = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '.' };
        name.chars().map(plain).take(MAX_DATASET_BYTES).collect()
    };
    of(if config.dataset.is_empty() { &config.name } else { &config.dataset })
}

/// Bytes of the head that a DBN file begins with, as its first eight bytes say; `None` if they are no DBN.
pub(super) fn head_bytes(prelude: &[u8]) -> Option<u64> {
    let (magic, rest) = prelude.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    (magic == b"DBN\x03").then_some(8 + u64::from(length))
}

/// One record as JSON, by the `dbn` crate; what it cannot read, in hexadecimal.
pub fn record_json(record: &[u8]) -> String {
    let decoded = || -> dbn::Result<Option<String>> {
        let mut decoder =
            DbnRecordDecoder::with_version(record, DBN_VERSION, VersionUpgradePolicy::AsIs, false)?;
        let Some(found) = decoder.decode_record_ref()? else { return Ok(None) };
        let mut out = Vec::new();
        json::Encoder::builder(&mut out).use_pretty_ts(true).build().encode_record_ref(found)?;
        Ok(Some(String::from_utf8_lossy(&out).trim_end().to_owned()))
    };
    match decoded() {
        Ok(Some(text)) => text,
        Ok(None) | Err(_) => format!("\"{}\"", crate::journal::manifest::hex(record)),
    }
}
