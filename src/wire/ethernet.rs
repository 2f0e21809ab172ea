//! Ethernet II and 802.3 frames, and the other ways a capture can begin: raw IP, BSD
//! loopback, Linux cooked v1 and v2.
//!
//! All of them end in an EtherType (or none that we follow) and a place where the next
//! header starts.

use super::span::{Span, Stop, array, be16};
use crate::packet::{LinkType, Verdict};

/// EtherType of IPv4.
pub const TYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const TYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const TYPE_IPV6: u16 = 0x86dd;
/// Smallest number that is an EtherType; below it the field is an 802.3 length (IEEE 802.3, 3.2.6).
pub const FIRST_TYPE: u16 = 0x0600;
/// Length of the Ethernet header, bytes.
pub const HEADER_LEN: usize = 14;

/// An Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet {
    /// Destination address.
    pub dst: [u8; 6],
    /// Source address.
    pub src: [u8; 6],
    /// The type/length field as it stands in the header (a VLAN's TPID if tagged).
    pub ethertype: u16,
}

impl Ethernet {
    /// Reads the header.
    ///
    /// # Errors
    /// `LINK_TRUNCATED`, or snapped.
    pub fn new_checked(span: Span<'_>) -> Result<Self, Stop> {
        let header = span.header::<HEADER_LEN>(Verdict::LINK_TRUNCATED)?;
        Ok(Self { dst: array(header, 0), src: array(header, 6), ethertype: be16(header, 12) })
    }
    /// True if the destination is a group (or everybody).
    pub const fn is_group(&self) -> bool {
        self.dst[0] & 1 != 0
    }
}

/// What a link-layer header says of what follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// An EtherType.
    Type(u16),
    /// An IP packet whose version nibble decides.
    Ip,
    /// Nothing that the decoder follows; the number is what the header says of it.
    Opaque(u16),
}

/// Passes the link-layer header.
///
/// # Errors
/// `LINK_TRUNCATED`, or snapped.
pub fn enter(link: LinkType, span: Span<'_>) -> Result<(Option<Ethernet>, Next, Span<'_>), Stop> {
    let (next, header_len) = match link {
        LinkType::ETHERNET => {
            let ethernet = Ethernet::new_checked(span)?;
            return Ok((Some(ethernet), typed(ethernet.ethertype), span.after(HEADER_LEN)));
        }
        LinkType::RAW => (Next::Ip, 0),
        LinkType::IPV4 => (Next::Type(TYPE_IPV4), 0),
        LinkType::IPV6 => (Next::Type(TYPE_IPV6), 0),
        LinkType::NULL | LinkType::LOOP => (loopback(link, span)?, 4),
        LinkType::LINUX_SLL => (cooked(span.header::<16>(Verdict::LINK_TRUNCATED)?, 2, 14), 16),
        LinkType::LINUX_SLL2 => (cooked(span.header::<20>(Verdict::LINK_TRUNCATED)?, 8, 0), 20),
        _ => (Next::Opaque(0), 0),
    };
    Ok((None, next, span.after(header_len)))
}

/// An EtherType, or opaque if the field is an 802.3 length.
pub(super) fn typed(field: u16) -> Next {
    if field >= FIRST_TYPE { Next::Type(field) } else { Next::Opaque(field) }
}

/// The four bytes of address family. NULL is in the order of the machine that wrote the file,
/// which nobody tells: families are small, so the byte order that gives a small number is it.
fn loopback(link: LinkType, span: Span<'_>) -> Result<Next, Stop> {
    let word = *span.header::<4>(Verdict::LINK_TRUNCATED)?;
    let (big, little) = (u32::from_be_bytes(word), u32::from_le_bytes(word));
    let family = if link == LinkType::NULL { big.min(little) } else { big };
    Ok(match family {
        2 => Next::Type(TYPE_IPV4),
        // AF_INET6 differs: Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, Darwin 30.
        10 | 24 | 28 | 30 => Next::Type(TYPE_IPV6),
        _ => Next::Opaque(0),
    })
}

/// Linux cooked: the protocol field is an EtherType unless the device type gives it another meaning
/// (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>).
fn cooked(header: &[u8], device_type_at: usize, protocol_at: usize) -> Next {
    /// netlink, GRE, and the 802.11 kinds.
    const NOT_ETHERTYPE: [u16; 5] = [824, 778, 801, 802, 803];
    let protocol = be16(header, protocol_at);
    if NOT_ETHERTYPE.contains(&be16(header, device_type_at)) { Next::Opaque(0) } else { typed(protocol) }
}
