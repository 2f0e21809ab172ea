//! UDP (RFC 768).

use super::checksum::Sum;
use super::span::{Span, Stop, array, be16};
use crate::packet::Verdict;

/// Protocol number.
pub const PROTOCOL: u8 = 17;
/// The header.
pub const HEADER_LEN: usize = 8;

/// A UDP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpView<'a> {
    header: &'a [u8; HEADER_LEN],
}

impl<'a> UdpView<'a> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// `UDP_TRUNCATED`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        Ok(Self { header: span.header(Verdict::UDP_TRUNCATED)? })
    }
    /// Source port.
    pub fn src_port(&self) -> u16 {
        be16(self.header, 0)
    }
    /// Destination port.
    pub fn dst_port(&self) -> u16 {
        be16(self.header, 2)
    }
    /// Length of header and payload as the header says, bytes.
    pub fn length(&self) -> u16 {
        be16(self.header, 4)
    }
    /// The checksum field; 0 = none was computed.
    pub fn checksum(&self) -> u16 {
        be16(self.header, 6)
    }

    /// The datagram (header and payload) as its length says. In a `merged` packet the length may be that
    /// of one part; in a jumbogram it is 0 (RFC 2675): then the IP payload decides.
    ///
    /// # Errors
    /// `UDP_BAD_LENGTH`.
    pub fn datagram(&self, span: Span<'a>, merged: bool) -> Result<Span<'a>, Stop> {
        let length = usize::from(self.length());
        if merged || (length == 0 && span.on_wire() > usize::from(u16::MAX)) {
            return Ok(span);
        }
        if length < HEADER_LEN || length > span.on_wire() {
            return Err(Stop::Bad(Verdict::UDP_BAD_LENGTH));
        }
        Ok(span.cut(length))
    }

    /// True if the checksum of a whole datagram holds. `pseudo` is the pseudo-header without the length;
    /// `zero_is_none` over IPv4, where 0 means that none was computed (over IPv6 it is an error, RFC 8200, section 8.1).
    pub fn checksum_is_sound(&self, datagram: Span<'_>, pseudo: Sum, zero_is_none: bool) -> bool {
        if self.checksum() == 0 {
            return zero_is_none;
        }
        pseudo.dword(length32(datagram)).bytes(datagram.bytes()).is_sound()
    }

    /// True if the checksum field holds the sum of the pseudo-header and nothing else, as a sender's kernel leaves it for
    /// the device to complete. `pseudo` is the pseudo-header without the length.
    pub fn checksum_is_partial(&self, datagram: Span<'_>, pseudo: Sum) -> bool {
        self.checksum() == pseudo.dword(length32(datagram)).folded()
    }
}

/// The length word of a pseudo-header.
pub(super) fn length32(span: Span<'_>) -> u32 {
    u32::try_from(span.on_wire()).unwrap_or(u32::MAX)
}

/// The ports of a first fragment, if they are here.
pub(super) fn ports(span: Span<'_>) -> Option<(u16, u16, u16)> {
    let header: [u8; HEADER_LEN] = *span.bytes().first_chunk()?;
    Some((be16(&header, 0), be16(&header, 2), u16::from_be_bytes(array(&header, 4))))
}
