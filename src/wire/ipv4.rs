//! IPv4 (RFC 791): header, options, total length, fragments, header checksum.

use super::checksum::Sum;
use super::span::{Span, Stop, array, be16};
use crate::packet::Verdict;
use std::net::Ipv4Addr;

/// The header without options.
pub const MIN_HEADER_LEN: usize = 20;

/// An IPv4 header. After [`Ipv4View::new_checked`] it holds its options too, and version and
/// header length are sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4View<'a> {
    header: &'a [u8],
}

impl<'a> Ipv4View<'a> {
    /// Checks version and header length.
    ///
    /// # Errors
    /// `IPV4_TRUNCATED`, `IPV4_BAD_VERSION`, `IPV4_BAD_HEADER_LENGTH`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        let [first] = span.header::<1>(Verdict::IPV4_TRUNCATED)?;
        if first >> 4 != 4 {
            return Err(Stop::Bad(Verdict::IPV4_BAD_VERSION));
        }
        let header_len = usize::from(first & 0xf) * 4;
        if header_len < MIN_HEADER_LEN {
            return Err(Stop::Bad(Verdict::IPV4_BAD_HEADER_LENGTH));
        }
        Ok(Self { header: span.take(header_len, Verdict::IPV4_TRUNCATED)? })
    }
    /// Header length with options, bytes.
    pub const fn header_len(&self) -> usize {
        self.header.len()
    }
    /// Total length as the header says, bytes.
    pub fn total_len(&self) -> u16 {
        be16(self.header, 2)
    }
    /// Identification.
    pub fn identification(&self) -> u16 {
        be16(self.header, 4)
    }
    /// The "don't fragment" bit.
    pub fn dont_fragment(&self) -> bool {
        be16(self.header, 6) & 0x4000 != 0
    }
    /// The "more fragments" bit.
    pub fn more_fragments(&self) -> bool {
        be16(self.header, 6) & 0x2000 != 0
    }
    /// Where this fragment's payload belongs, bytes.
    pub fn fragment_offset(&self) -> u16 {
        (be16(self.header, 6) & 0x1fff) << 3
    }
    /// True if it is a fragment, the first included.
    pub fn is_fragment(&self) -> bool {
        be16(self.header, 6) & 0x3fff != 0
    }
    /// Time to live.
    pub fn ttl(&self) -> u8 {
        array::<1>(self.header, 8)[0]
    }
    /// Protocol of the payload.
    pub fn protocol(&self) -> u8 {
        array::<1>(self.header, 9)[0]
    }
    /// Source address.
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.header, 12))
    }
    /// Destination address.
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.header, 16))
    }
    /// True if the header checksum holds.
    pub fn checksum_is_sound(&self) -> bool {
        Sum::ZERO.bytes(self.header).is_sound()
    }

    /// Walks the options; answers the address that upper layers take as destination: the last one of a
    /// source route not yet travelled, else the header's (RFC 1122, section 4.1.3.4).
    ///
    /// # Errors
    /// `IPV4_BAD_OPTIONS`.
    pub fn final_dst(&self) -> Result<Ipv4Addr, Stop> {
        const END: u8 = 0;
        const NOP: u8 = 1;
        const LOOSE_ROUTE: u8 = 131;
        const STRICT_ROUTE: u8 = 137;
        let bad = Stop::Bad(Verdict::IPV4_BAD_OPTIONS);
        let mut dst = self.dst();
        let mut options = self.header.get(MIN_HEADER_LEN..).unwrap_or_default();
        while let Some((&kind, rest)) = options.split_first() {
            match kind {
                END => break,
                NOP => options = rest,
                _ => {
                    let len = usize::from(*rest.first().ok_or(bad)?);
                    let option = options.get(..len).filter(|_| len >= 2).ok_or(bad)?;
                    let pointer = option.get(2).copied().unwrap_or(u8::MAX);
                    if matches!(kind, LOOSE_ROUTE | STRICT_ROUTE) && len >= 7 && usize::from(pointer) <= len {
                        dst = Ipv4Addr::from(array::<4>(option, len - 4));
                    }
                    options = options.get(len..).unwrap_or_default();
                }
            }
        }
        Ok(dst)
    }

    /// The payload, without what the link layer added behind it. `merged` packets may carry a total
    /// length of 0 (the frame is longer than the field can say): then the frame decides.
    ///
    /// # Errors
    /// `IPV4_BAD_TOTAL_LENGTH`.
    pub fn payload(&self, span: Span<'a>, merged: bool) -> Result<Span<'a>, Stop> {
        let total = match usize::from(self.total_len()) {
            0 if merged => span.on_wire(),
            total => total,
        };
        if total < self.header_len() || total > span.on_wire() {
            return Err(Stop::Bad(Verdict::IPV4_BAD_TOTAL_LENGTH));
        }
        Ok(span.cut(total).after(self.header_len()))
    }

    /// The pseudo-header's part that does not depend on the segment's length (RFC 768, RFC 9293).
    pub fn pseudo_sum(&self, dst: Ipv4Addr, protocol: u8) -> Sum {
        Sum::ZERO.bytes(&self.src().octets()).bytes(&dst.octets()).word(u16::from(protocol))
    }
}
