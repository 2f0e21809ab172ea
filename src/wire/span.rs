//! Bytes from some header on, together with how many of them there were on the wire.
//!
//! A capture may hold less than the wire carried (snap length), and a frame more than its
//! packet (padding, trailers, a frame check sequence). Every header is taken through a
//! [`Span`], so the difference between "cut by the capturer" and "cut by the sender" is
//! made in one place. Nothing here panics; a span never grows.

use crate::packet::Verdict;

/// Why dissection ends before the innermost header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The capturer kept too few bytes: no fault of the packet.
    Snapped,
    /// The packet itself is at fault.
    Bad(Verdict),
}

/// Captured bytes, and the length they had on the wire (never less).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span<'a> {
    bytes: &'a [u8],
    on_wire: usize,
}

impl<'a> Span<'a> {
    /// `bytes` of which there were `on_wire` on the wire (at least those that are here).
    pub fn new(bytes: &'a [u8], on_wire: usize) -> Self {
        Self { bytes, on_wire: on_wire.max(bytes.len()) }
    }
    /// What is here.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// How much there was on the wire.
    pub const fn on_wire(&self) -> usize {
        self.on_wire
    }
    /// True if nothing was cut by the capturer.
    pub const fn is_whole(&self) -> bool {
        self.bytes.len() >= self.on_wire
    }

    /// The first `N` bytes, or why they are not here.
    ///
    /// # Errors
    /// [`Stop::Snapped`] if the wire had them, [`Stop::Bad`] with `ended` if not.
    pub fn header<const N: usize>(&self, ended: Verdict) -> Result<&'a [u8; N], Stop> {
        self.bytes.first_chunk::<N>().ok_or_else(|| self.short(N, ended))
    }
    /// The first `len` bytes, or why they are not here.
    ///
    /// # Errors
    /// As [`Span::header`].
    pub fn take(&self, len: usize, ended: Verdict) -> Result<&'a [u8], Stop> {
        self.bytes.get(..len).ok_or_else(|| self.short(len, ended))
    }
    /// What follows the first `len` bytes; empty if there is nothing.
    #[must_use]
    pub fn after(&self, len: usize) -> Self {
        Self { bytes: self.bytes.get(len..).unwrap_or_default(), on_wire: self.on_wire.saturating_sub(len) }
    }
    /// The first `len` bytes as the wire had them: what follows (padding, trailers) is left out.
    #[must_use]
    pub fn cut(&self, len: usize) -> Self {
        let here = len.min(self.bytes.len());
        Self { bytes: self.bytes.get(..here).unwrap_or_default(), on_wire: len.min(self.on_wire) }
    }

    fn short(&self, len: usize, ended: Verdict) -> Stop {
        if len <= self.on_wire { Stop::Snapped } else { Stop::Bad(ended) }
    }
}

/// The big-endian 16-bit word at `at`; 0 beyond the end (views check their length first).
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).map_or(0, |word| u16::from_be_bytes(*word))
}

/// The big-endian 32-bit word at `at`; 0 beyond the end (views check their length first).
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |word| u32::from_be_bytes(*word))
}

/// `N` bytes from `at`; zeros beyond the end (views check their length first).
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).map_or([0; N], |found| *found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_by_the_capturer_is_not_a_cut_by_the_sender() {
        let span = Span::new(&[1, 2, 3], 8);
        assert_eq!(span.header::<2>(Verdict::LINK_TRUNCATED), Ok(&[1, 2]));
        assert_eq!(span.header::<8>(Verdict::LINK_TRUNCATED), Err(Stop::Snapped));
        assert_eq!(span.header::<9>(Verdict::LINK_TRUNCATED), Err(Stop::Bad(Verdict::LINK_TRUNCATED)));
        assert_eq!(span.cut(2).on_wire(), 2);
        assert!(span.cut(3).is_whole() && !span.cut(4).is_whole());
        assert_eq!(span.after(5), Span::new(&[], 3));
        assert_eq!(span.after(9), Span::new(&[], 0));
    }
}
