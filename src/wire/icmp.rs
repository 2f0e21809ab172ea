//! ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, checksum.

use super::checksum::Sum;
use super::span::{Span, Stop};
use super::udp::length32;
use crate::packet::Verdict;

/// Protocol number of ICMP, over IPv4.
pub const PROTOCOL: u8 = 1;
/// Protocol number of ICMPv6, over IPv6.
pub const PROTOCOL_V6: u8 = 58;
/// Type, code, checksum: what every message has.
pub const HEADER_LEN: usize = 4;

/// An ICMP or ICMPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpView<'a> {
    header: &'a [u8; HEADER_LEN],
}

impl<'a> IcmpView<'a> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// `ICMP_TRUNCATED`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        Ok(Self { header: span.header(Verdict::ICMP_TRUNCATED)? })
    }
    /// Type.
    pub const fn kind(&self) -> u8 {
        self.header[0]
    }
    /// Code.
    pub const fn code(&self) -> u8 {
        self.header[1]
    }
    /// True if the checksum of a whole message holds. ICMPv6 has a pseudo-header (without the length here), ICMP has none.
    pub fn checksum_is_sound(message: Span<'_>, pseudo: Option<Sum>) -> bool {
        let start = pseudo.map_or(Sum::ZERO, |pseudo| pseudo.dword(length32(message)));
        start.bytes(message.bytes()).is_sound()
    }
}
