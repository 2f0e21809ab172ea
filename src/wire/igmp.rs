//! IGMP, versions 1 to 3 (RFC 1112, 2236, 9776): type, group, checksum.

use super::checksum::Sum;
use super::span::{Span, Stop, array};
use crate::packet::Verdict;
use std::net::Ipv4Addr;

/// Protocol number.
pub const PROTOCOL: u8 = 2;
/// What every version has.
pub const HEADER_LEN: usize = 8;

/// An IGMP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IgmpView<'a> {
    header: &'a [u8; HEADER_LEN],
}

impl<'a> IgmpView<'a> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// `IGMP_TRUNCATED`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        Ok(Self { header: span.header(Verdict::IGMP_TRUNCATED)? })
    }
    /// 0x11 query, 0x12/0x16/0x22 report of version 1/2/3, 0x17 leave.
    pub const fn kind(&self) -> u8 {
        self.header[0]
    }
    /// The group; in a version 3 report the field holds the number of records instead.
    pub fn group(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.header, 4))
    }
    /// True if the checksum of a whole message holds.
    pub fn checksum_is_sound(message: Span<'_>) -> bool {
        Sum::ZERO.bytes(message.bytes()).is_sound()
    }
}
