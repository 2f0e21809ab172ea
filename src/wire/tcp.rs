//! TCP (RFC 9293): header and checksum. Streams are not reassembled.

use super::checksum::Sum;
use super::span::{Span, Stop, be16, be32};
use super::udp::length32;
use crate::packet::Verdict;

/// Protocol number.
pub const PROTOCOL: u8 = 6;
/// The header without options.
pub const MIN_HEADER_LEN: usize = 20;

/// A TCP header. After [`TcpView::new_checked`] the fixed part is here and the data offset lies within the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpView<'a> {
    header: &'a [u8; MIN_HEADER_LEN],
}

impl<'a> TcpView<'a> {
    /// Checks the data offset.
    ///
    /// # Errors
    /// `TCP_TRUNCATED`, `TCP_BAD_OFFSET`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        let view = Self { header: span.header(Verdict::TCP_TRUNCATED)? };
        if view.header_len() < MIN_HEADER_LEN || view.header_len() > span.on_wire() {
            return Err(Stop::Bad(Verdict::TCP_BAD_OFFSET));
        }
        Ok(view)
    }
    /// Source port.
    pub fn src_port(&self) -> u16 {
        be16(self.header, 0)
    }
    /// Destination port.
    pub fn dst_port(&self) -> u16 {
        be16(self.header, 2)
    }
    /// Sequence number.
    pub fn seq(&self) -> u32 {
        be32(self.header, 4)
    }
    /// Acknowledgement number.
    pub fn ack(&self) -> u32 {
        be32(self.header, 8)
    }
    /// Header length with options, bytes.
    pub fn header_len(&self) -> usize {
        usize::from(self.header[12] >> 4) * 4
    }
    /// Flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, AE 256.
    pub fn flags(&self) -> u16 {
        be16(self.header, 12) & 0x01ff
    }
    /// Window as the header says, unscaled.
    pub fn window(&self) -> u16 {
        be16(self.header, 14)
    }
    /// True if the checksum of a whole segment holds; `pseudo` is the pseudo-header without the length.
    pub fn checksum_is_sound(segment: Span<'_>, pseudo: Sum) -> bool {
        pseudo.dword(length32(segment)).bytes(segment.bytes()).is_sound()
    }
}
