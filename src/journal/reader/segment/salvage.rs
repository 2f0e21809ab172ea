//! Goes on behind damage: with the next block if the damaged one's length can still be believed, else with the next
//! valid anchor. What was left out makes counts and sequence numbers unknown, so those are believed again from there.

use super::SegmentReader;
use crate::journal::format::MIB;
use crate::journal::format::decode::{self, Block};
use crate::journal::reader::ReadError;
use crate::journal::reader::bytes::Found;
use crate::pcapng::block::{INTERFACE_DESCRIPTION, SECTION_HEADER};

impl SegmentReader {
    /// Goes on behind the damage that the last step met. False if there is nowhere to go on: the segment
    /// has then ended for this reader.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn skip_damage(&mut self) -> Result<bool, ReadError> {
        self.is_lenient = true;
        self.is_gapless = false;
        self.next_seq = None;
        self.promised_stamp_ns = None;
        let offset = self.position;
        if let Ok(Found::Block { kind, len_bytes }) = self.bytes.fetch(offset)
            && has_trailer(self.bytes.block())
        {
            // The length stands at both ends: believe it, and of an interface's description what can be read.
            if kind == INTERFACE_DESCRIPTION
                && let Ok(Block::Interface(def)) = decode::parse(kind, self.bytes.block())
            {
                self.interfaces.push(def);
            }
            self.position = offset + len_bytes;
            if self.segment_id.is_some() || kind == SECTION_HEADER {
                return Ok(true);
            }
        }
        self.skip_to_anchor(offset)
    }

    /// Finds the first valid anchor behind `offset`.
    fn skip_to_anchor(&mut self, offset: u64) -> Result<bool, ReadError> {
        let mut at = (offset / MIB + 1) * MIB;
        while at < self.bytes.len_bytes() {
            if let Some(anchor) = self.anchor_at(at)? {
                self.segment_id = Some(anchor.segment_id);
                self.position = at;
                return Ok(true);
            }
            at += MIB;
        }
        self.has_ended = true;
        Ok(false)
    }
}

fn has_trailer(block: &[u8]) -> bool {
    let head = block.get(4..).and_then(|b| b.first_chunk::<4>());
    head.is_some() && head == block.last_chunk::<4>()
}
