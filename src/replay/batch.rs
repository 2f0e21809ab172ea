//! Frames kept to be sent together. Pure memory.

use crate::sys::packet_send::MAX_BATCH;

/// Room for a batch of frames that go out together. All memory is allocated when it is made.
#[derive(Debug)]
pub(super) struct FrameBatch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    most_frames: usize,
    most_bytes: usize,
}

impl FrameBatch {
    /// Longest batch, frames.
    pub(super) const FRAMES: usize = MAX_BATCH;

    /// An empty batch for up to [`Self::FRAMES`] frames of `most_bytes` together.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(most_bytes),
            ends: Vec::with_capacity(Self::FRAMES),
            most_frames: Self::FRAMES,
            most_bytes,
        }
    }
    /// Copies a frame in; false if there is no room, and then nothing has changed.
    pub(super) fn push(&mut self, frame: &[u8]) -> bool {
        if self.ends.len() == self.most_frames || self.bytes.len() + frame.len() > self.most_bytes {
            return false;
        }
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
        true
    }
    /// How many frames wait in it.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
    /// Frame number `i`.
    pub(super) fn frame(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        self.bytes.get(start..end)
    }
    /// Forgets the frames; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The frames from number `from` on.
    pub(super) fn frames_from(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        (from..self.len()).filter_map(|i| self.frame(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_frames_apart_and_refuses_what_does_not_fit() {
        let mut batch = FrameBatch::new(10);
        assert!(batch.push(b"abcd") && batch.push(b"") && batch.push(b"efghij"));
        assert!(!batch.push(b"x"));
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.frame(0), Some(&b"abcd"[..]));
        assert_eq!(batch.frame(1), Some(&b""[..]));
        assert_eq!(batch.frame(2), Some(&b"efghij"[..]));
        assert_eq!(batch.frame(3), None);
        batch.clear();
        assert!(batch.len() == 0 && batch.push(b"0123456789"));
    }
}
