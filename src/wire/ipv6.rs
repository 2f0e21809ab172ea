//! IPv6 (RFC 8200): fixed header and the chain of extension headers, at most [`MAX_EXTENSIONS`].

use super::checksum::Sum;
use super::span::{Span, Stop, array, be16, be32};
use crate::packet::Verdict;
use std::net::Ipv6Addr;

/// The fixed header.
pub const HEADER_LEN: usize = 40;
/// Most extension headers that the decoder follows.
pub const MAX_EXTENSIONS: usize = 10;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// An IPv6 header. After [`Ipv6View::new_checked`] the version is sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6View<'a> {
    header: &'a [u8; HEADER_LEN],
}

impl<'a> Ipv6View<'a> {
    /// Checks the version.
    ///
    /// # Errors
    /// `IPV6_TRUNCATED`, `IPV6_BAD_VERSION`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        let [first] = span.header::<1>(Verdict::IPV6_TRUNCATED)?;
        if first >> 4 != 6 {
            return Err(Stop::Bad(Verdict::IPV6_BAD_VERSION));
        }
        Ok(Self { header: span.header(Verdict::IPV6_TRUNCATED)? })
    }
    /// Traffic class.
    pub fn traffic_class(&self) -> u8 {
        (self.header[0] << 4) | (self.header[1] >> 4)
    }
    /// Flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        be32(self.header, 0) & 0xf_ffff
    }
    /// Payload length as the header says, bytes.
    pub fn payload_len(&self) -> u16 {
        be16(self.header, 4)
    }
    /// What follows the fixed header.
    pub const fn next_header(&self) -> u8 {
        self.header[6]
    }
    /// Hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.header[7]
    }
    /// Source address.
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.header, 8))
    }
    /// Destination address.
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.header, 24))
    }

    /// The payload (extension headers included), without what the link layer added behind it.
    /// Length 0 means a jumbogram if the jumbo option says so (RFC 2675), or the rest of a `merged` frame.
    ///
    /// # Errors
    /// `IPV6_BAD_PAYLOAD_LENGTH`.
    pub fn payload(&self, span: Span<'a>, merged: bool) -> Result<Span<'a>, Stop> {
        let behind = span.after(HEADER_LEN);
        let len = match usize::from(self.payload_len()) {
            0 if merged => behind.on_wire(),
            0 if self.next_header() == HOP_BY_HOP => jumbo_len(behind).unwrap_or(0),
            len => len,
        };
        if len > behind.on_wire() {
            return Err(Stop::Bad(Verdict::IPV6_BAD_PAYLOAD_LENGTH));
        }
        Ok(behind.cut(len))
    }

    /// Follows the extension headers to the upper-layer header.
    ///
    /// # Errors
    /// `IPV6_BAD_EXTENSION`, or snapped.
    pub fn upper(&self, payload: Span<'a>) -> Result<Upper<'a>, Stop> {
        let mut upper = Upper {
            protocol: self.next_header(),
            span: payload,
            fragment: None,
            final_dst: self.dst(),
            checksum_is_known: true,
        };
        for _ in 0..=MAX_EXTENSIONS {
            if !upper.pass_one()? {
                return Ok(upper);
            }
        }
        Err(Stop::Bad(Verdict::IPV6_BAD_EXTENSION))
    }

    /// The pseudo-header's part that does not depend on the segment's length (RFC 8200, section 8.1).
    pub fn pseudo_sum(&self, dst: Ipv6Addr, protocol: u8) -> Sum {
        Sum::ZERO.bytes(&self.src().octets()).bytes(&dst.octets()).word(u16::from(protocol))
    }
}

/// What stands behind the extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Upper<'a> {
    /// Its protocol number.
    pub protocol: u8,
    /// Its bytes.
    pub span: Span<'a>,
    /// The fragment's offset in bytes, if this is a fragment (an "atomic" fragment, RFC 6946, is not).
    pub fragment: Option<u16>,
    /// The destination for the pseudo-header: the last one of a route not yet travelled.
    pub final_dst: Ipv6Addr,
    /// False if a header that we do not follow changes the pseudo-header.
    pub checksum_is_known: bool,
}

impl Upper<'_> {
    /// Passes one extension header; false if there is none any more.
    fn pass_one(&mut self) -> Result<bool, Stop> {
        let bad = Verdict::IPV6_BAD_EXTENSION;
        // What a fragment holds is not judged: a later one is the middle of something, and the first may
        // end inside the chain.
        if self.fragment.is_some() {
            return Ok(false);
        }
        let kind = self.protocol;
        let len = match kind {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 => {
                8 + 8 * usize::from(span_byte(self.span, 1, bad)?)
            }
            AUTHENTICATION => 8 + 4 * usize::from(span_byte(self.span, 1, bad)?),
            FRAGMENT => 8,
            _ => return Ok(false),
        };
        let header = self.span.take(len, bad)?;
        match kind {
            HOP_BY_HOP | DESTINATION => self.options(header)?,
            ROUTING => self.route(header),
            FRAGMENT => {
                let word = be16(header, 2);
                let (offset, more) = (word & 0xfff8, word & 1 != 0);
                self.fragment = (offset != 0 || more).then_some(offset);
            }
            _ => {}
        }
        self.protocol = header.first().copied().unwrap_or(59);
        self.span = self.span.after(len);
        Ok(true)
    }

    fn options(&mut self, header: &[u8]) -> Result<(), Stop> {
        const HOME_ADDRESS: u8 = 201;
        for option in Options(header.get(2..).unwrap_or_default()) {
            let (kind, _) = option.ok_or(Stop::Bad(Verdict::IPV6_BAD_EXTENSION))?;
            // RFC 6275, section 6.3: the checksum is over the home address then.
            self.checksum_is_known &= kind != HOME_ADDRESS;
        }
        Ok(())
    }

    fn route(&mut self, header: &[u8]) {
        let [_, _, kind, segments_left] = array::<4>(header, 0);
        if segments_left == 0 {
            return;
        }
        let at = match kind {
            0 | 2 => header.len().checked_sub(16),
            4 => Some(8), // RFC 8754: the segment list is in reverse order
            _ => None,
        };
        match at.filter(|at| *at >= 8 && at + 16 <= header.len()) {
            Some(at) => self.final_dst = Ipv6Addr::from(array::<16>(header, at)),
            None => self.checksum_is_known = false,
        }
    }
}

/// The options of a hop-by-hop or destination header; `None` for one that runs past the header.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        const PAD1: u8 = 0;
        while let Some((&PAD1, rest)) = self.0.split_first() {
            self.0 = rest;
        }
        let (&kind, rest) = self.0.split_first()?;
        let found = rest.split_first().and_then(|(&len, body)| body.split_at_checked(usize::from(len)));
        self.0 = found.map(|(_, after)| after).unwrap_or_default();
        Some(found.map(|(data, _)| (kind, data)))
    }
}

fn span_byte(span: Span<'_>, at: usize, ended: Verdict) -> Result<u8, Stop> {
    Ok(span.take(at + 1, ended)?.get(at).copied().unwrap_or(0))
}

/// The payload length that a jumbo option names.
fn jumbo_len(span: Span<'_>) -> Option<usize> {
    const JUMBO: u8 = 0xc2;
    let len = 8 + 8 * usize::from(*span.bytes().get(1)?);
    let header = span.bytes().get(2..len)?;
    let (_, data) = Options(header).flatten().find(|(kind, _)| *kind == JUMBO)?;
    usize::try_from(u32::from_be_bytes(*data.first_chunk::<4>()?)).ok()
}
