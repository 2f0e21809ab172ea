//! One queue through all its segments, the live one included.
//!
//! May touch: the queue's segment files, and the list of names in their directory.
//!
//! Behind an end-of-segment block, the next segment follows: the lowest index above, whatever it is (segments between may have
//! been deleted by retention). At the end of what is committed in a segment without such a block: if a later
//! segment has begun, this one was abandoned and reading goes on there; otherwise it is the live end.
//! While following, a segment that does not exist yet is waited for, unless the one before says that the capture
//! ended there in good order: then this is the end.

use super::segment::{Opening, SegmentReader, SegmentStep};
use super::tape::{SegmentFile, list_segments};
use super::{Damage, OnDamage, ReadError, ReadOptions, Record, Step};
use crate::journal::format::{Anchor, EndOfSegment};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

/// So many damages are remembered with their place; further ones are only counted.
const MAX_DAMAGES: usize = 1000;

/// Reads one queue, record by record.
#[derive(Debug)]
pub struct QueueReader {
    queue: u16,
    /// To look for new segments in; None for a single file.
    directory: Option<PathBuf>,
    ahead: VecDeque<SegmentFile>,
    current: Option<SegmentReader>,
    /// Index of the last segment opened.
    last_index: Option<u32>,
    options: ReadOptions,
    damages: Vec<Damage>,
    damage_count: u64,
    has_ended: bool,
    /// The capture that ended in good order with the segment closed last.
    ended_capture: Option<[u8; 16]>,
    /// Of the segments already closed.
    closed_blocks: u64,
    closed_bytes: u64,
}

impl QueueReader {
    pub(super) fn new(
        queue: u16,
        directory: Option<PathBuf>,
        segments: Vec<SegmentFile>,
        options: ReadOptions,
    ) -> Self {
        Self {
            queue,
            directory,
            ahead: segments.into(),
            current: None,
            last_index: None,
            options,
            damages: Vec::new(),
            damage_count: 0,
            has_ended: false,
            ended_capture: None,
            closed_blocks: 0,
            closed_bytes: 0,
        }
    }

    /// Goes to the next record.
    ///
    /// # Errors
    /// [`ReadError`]. After one, the next step goes on behind the damage, or with the next segment.
    pub fn step(&mut self) -> Result<Step, ReadError> {
        while !self.has_ended {
            let Some(segment) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(self.at_live_end());
            };
            match segment.step() {
                Ok(SegmentStep::Record) => return Ok(Step::Record),
                Ok(SegmentStep::End) => self.close(),
                Ok(SegmentStep::Nothing) => {
                    if !self.is_abandoned()? {
                        return Ok(self.at_live_end());
                    }
                    self.close();
                }
                Err(ReadError::Damaged(damage)) => self.meet(damage)?,
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
        Ok(Step::End)
    }

    /// The record that the last [`Step::Record`] stands for.
    pub fn record(&self) -> Option<Record<'_>> {
        self.current.as_ref().and_then(SegmentReader::record)
    }

    /// The next record; None at the end, and at the live end.
    ///
    /// # Errors
    /// As [`QueueReader::step`].
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        Ok(match self.step()? {
            Step::Record => self.record(),
            Step::Wait | Step::End => None,
        })
    }

    /// Stamp of the current record, if it is a packet.
    pub fn stamp_ns(&self) -> Option<u64> {
        self.current.as_ref().and_then(SegmentReader::stamp_ns)
    }

    /// Time of the current record, if it is a clock reading: `CLOCK_REALTIME`, ns since the Unix epoch.
    pub(super) fn reading_ns(&self) -> Option<u64> {
        self.current.as_ref().and_then(SegmentReader::reading_ns)
    }

    /// From here on a quiet end is an end.
    pub(super) fn stop_following(&mut self) {
        self.options.follow = false;
    }

    /// The queue's number.
    pub const fn queue(&self) -> u16 {
        self.queue
    }

    /// The segment that is being read.
    pub const fn segment(&self) -> Option<&SegmentReader> {
        self.current.as_ref()
    }

    /// Damage met so far with [`OnDamage::Skip`] (the first thousand).
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// How many damages were met so far.
    pub const fn damage_count(&self) -> u64 {
        self.damage_count
    }

    /// Blocks taken and bytes read so far: what reading has cost.
    pub fn touched(&self) -> (u64, u64) {
        let (blocks, bytes) = self.current.as_ref().map_or((0, 0), |s| (s.counted().blocks, s.bytes_read()));
        (self.closed_blocks + blocks, self.closed_bytes + bytes)
    }

    /// Leaves out all segments below `index`.
    pub(in crate::journal) fn skip_to_segment(&mut self, index: u32) {
        self.ahead.retain(|s| s.index >= index);
        self.current = None;
    }

    /// Opens the next segment and puts its reader at an anchor, of which `choose` says which one (none: the beginning).
    pub(in crate::journal) fn seek_in_next(
        &mut self,
        choose: impl FnOnce(&mut SegmentReader) -> Result<Option<Anchor>, ReadError>,
    ) -> Result<(), ReadError> {
        if self.open_next()?
            && let Some(segment) = &mut self.current
            && segment.read_head()?
            && let Some(anchor) = choose(segment)?
        {
            segment.seek_to_anchor(&anchor);
        }
        Ok(())
    }

    /// Goes behind everything committed so far: in the last segment that has begun, from its last anchor on.
    pub(super) fn go_to_live_end(&mut self) -> Result<(), ReadError> {
        // Finished segments need not be opened one by one: only the newest unfinished ones can be the live end.
        let mut first_live = self.ahead.len();
        while let Some(file) = first_live.checked_sub(1).and_then(|i| self.ahead.get(i)) {
            let is_live = SegmentReader::open(&file.path, Opening::Auto).is_ok_and(|s| s.is_live());
            if !is_live {
                break;
            }
            first_live -= 1;
        }
        // With none live, the newest finished one tells whether more may come.
        let begin = self.ahead.get(first_live).or_else(|| self.ahead.back()).map(|file| file.index);
        if let Some(index) = begin {
            self.skip_to_segment(index);
            self.seek_in_next(SegmentReader::last_anchor)?;
        }
        while self.step()? == Step::Record {}
        Ok(())
    }

    fn meet(&mut self, damage: Damage) -> Result<(), ReadError> {
        self.damage_count += 1;
        let can_go_on = match &mut self.current {
            Some(segment) => segment.skip_damage()?,
            None => false,
        };
        if !can_go_on {
            self.close();
        }
        if self.options.on_damage == OnDamage::Stop {
            return Err(damage.into());
        }
        if self.damages.len() < MAX_DAMAGES {
            self.damages.push(damage);
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(segment) = self.current.take() {
            let is_last = segment.end().is_some_and(|end| end.flags & EndOfSegment::LAST != 0);
            self.ended_capture = segment.header().filter(|_| is_last).map(|h| h.capture_id);
            self.closed_blocks += segment.counted().blocks;
            self.closed_bytes += segment.bytes_read();
        }
    }

    fn at_live_end(&mut self) -> Step {
        let more_may_come = match (&self.current, self.ended_capture) {
            (Some(_), None) => true,
            // Prepared by the capture that has ended, and never used: the keeper deletes it.
            (Some(segment), Some(ended)) => segment.header().is_some_and(|h| h.capture_id != ended),
            (None, ended) => self.directory.is_some() && ended.is_none(),
        };
        if self.options.follow && more_may_come {
            return Step::Wait;
        }
        self.has_ended = true;
        Step::End
    }

    /// Opens the next segment, if there is one. A segment that is gone by now was deleted by retention.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        loop {
            if self.ahead.is_empty() {
                self.look_for_more()?;
            }
            let Some(file) = self.ahead.pop_front() else { return Ok(false) };
            self.last_index = Some(file.index);
            match SegmentReader::open(&file.path, Opening::Auto) {
                Ok(segment) => {
                    self.current = Some(segment);
                    return Ok(true);
                }
                Err(ReadError::Io { error, .. })
                    if error.kind() == io::ErrorKind::NotFound && self.directory.is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Nothing is committed behind the current position: has the writer gone on in a later segment?
    fn is_abandoned(&mut self) -> Result<bool, ReadError> {
        if self.ahead.is_empty() {
            self.look_for_more()?;
        }
        let Some(next) = self.ahead.front() else { return Ok(false) };
        // A segment that is only prepared holds nothing (or its headers) yet: look for a record behind them.
        let mut later = match SegmentReader::open(&next.path, Opening::Auto) {
            Ok(later) => later,
            Err(ReadError::Io { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let has_begun =
            later.read_head().unwrap_or(true) && !matches!(later.step(), Ok(SegmentStep::Nothing));
        // The writer commits here before it begins there, so a block that is still not here will never be.
        let is_still_empty = self.current.as_mut().is_none_or(SegmentReader::has_nothing);
        Ok(has_begun && is_still_empty)
    }

    fn look_for_more(&mut self) -> Result<(), ReadError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let (queue, last) = (self.queue, self.last_index);
        let is_new = |s: &SegmentFile| s.queue == queue && last.is_none_or(|last| s.index > last);
        self.ahead = list_segments(directory)?.into_iter().filter(is_new).collect();
        Ok(())
    }
}
