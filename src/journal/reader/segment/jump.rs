//! Goes to where something is known to stand, without reading what is before it: the head, an anchor, the end.

use super::{BlockError, SegmentReader};
use crate::journal::format::decode::{self, Block};
use crate::journal::format::{self, Anchor, EndOfSegment, MIB};
use crate::journal::reader::ReadError;
use crate::journal::reader::bytes::{FetchError, Found};
use crate::pcapng::block::{INTERFACE_DESCRIPTION, SECTION_HEADER};

impl SegmentReader {
    /// The anchor at a multiple of a MiB, if a valid one of this segment stands there. Reads nothing else.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn anchor_at(&mut self, at: u64) -> Result<Option<Anchor>, ReadError> {
        self.bytes.set_read_ahead(false);
        let found = self.bytes.fetch_anchor(at);
        self.bytes.set_read_ahead(true);
        match found {
            Ok(Found::Block { kind: format::ANCHOR, .. }) => {}
            Err(FetchError::Io(error)) => return Err(self.fetch_error(at, FetchError::Io(error))),
            _ => return Ok(None),
        }
        let Some(anchor) = decode::anchor(self.bytes.block()) else { return Ok(None) };
        let is_ours = self.segment_id.is_none_or(|id| id == anchor.segment_id) && anchor.position == at;
        let is_sound = decode::checked(self.bytes.block(), anchor.segment_id).is_ok();
        Ok((is_ours && is_sound).then_some(anchor))
    }

    /// The last anchor that is committed, found by halving.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn last_anchor(&mut self) -> Result<Option<Anchor>, ReadError> {
        let mut best = None;
        let (mut low, mut high) = (0, self.len_bytes().div_ceil(MIB));
        while high - low > 1 {
            let middle = low.midpoint(high);
            match self.anchor_at(middle * MIB)? {
                Some(anchor) => {
                    low = middle;
                    best = Some(anchor);
                }
                None => high = middle,
            }
        }
        Ok(best)
    }

    /// What the end-of-segment block of a finished segment says, without reading what is before it;
    /// None for one that may still be written.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn end_by_tail(&mut self) -> Result<Option<EndOfSegment>, ReadError> {
        let Some(at) = self.bytes.len_bytes().checked_sub(format::END_BYTES as u64) else { return Ok(None) };
        if self.bytes.is_live() {
            return Ok(None);
        }
        self.bytes.set_read_ahead(false);
        let found = self.bytes.fetch(at);
        self.bytes.set_read_ahead(true);
        match found {
            Ok(Found::Block { kind: format::END_OF_SEGMENT, .. }) => {}
            Err(FetchError::Io(error)) => return Err(self.fetch_error(at, FetchError::Io(error))),
            _ => return Ok(None),
        }
        let parsed = decode::parse(format::END_OF_SEGMENT, self.bytes.block());
        Ok(if let Ok(Block::End(end)) = parsed { Some(end) } else { None })
    }

    /// Reads the headers and the interfaces at the segment's beginning, up to the first packet or note,
    /// without taking that. False if they are not (all) committed yet.
    ///
    /// # Errors
    /// [`ReadError`], as a step.
    pub fn read_head(&mut self) -> Result<bool, ReadError> {
        self.bytes.set_read_ahead(false);
        let done = self.walk_head();
        self.bytes.set_read_ahead(true);
        done
    }

    fn walk_head(&mut self) -> Result<bool, ReadError> {
        loop {
            let offset = self.position;
            let found = self.bytes.fetch(offset).map_err(|e| self.fetch_error(offset, e))?;
            let Found::Block { kind, len_bytes } = found else {
                if self.bytes.is_live() {
                    return Ok(self.header.is_some());
                }
                return Err(self.damage(offset, BlockError::NoEnd));
            };
            let is_head = matches!(kind, SECTION_HEADER | format::SEGMENT_HEADER | INTERFACE_DESCRIPTION);
            if !is_head && self.header.is_some() {
                return Ok(true);
            }
            self.take(kind, offset, len_bytes).map_err(|e| self.damage(offset, e))?;
            self.position = offset + len_bytes;
            self.counted.blocks += 1;
        }
    }

    /// Goes to an anchor that [`SegmentReader::anchor_at`] has shown. The head must have been read.
    pub fn seek_to_anchor(&mut self, anchor: &Anchor) {
        self.position = anchor.position;
        self.next_seq = None;
        self.promised_stamp_ns = None;
        self.is_gapless = false;
        self.current = None;
    }
}
