//! ARP (RFC 826), and RARP, which has the same form.

use super::span::{Span, Stop, array, be16};
use crate::packet::Verdict;
use std::net::Ipv4Addr;

/// The part before the addresses.
const FIXED_LEN: usize = 8;

/// An ARP packet. After [`ArpView::new_checked`] the four addresses lie within the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpView<'a> {
    bytes: &'a [u8],
}

impl<'a> ArpView<'a> {
    /// Checks the length against the address lengths that the packet names.
    ///
    /// # Errors
    /// `ARP_BAD`, or snapped.
    pub fn new_checked(span: Span<'a>) -> Result<Self, Stop> {
        let fixed = span.header::<FIXED_LEN>(Verdict::ARP_BAD)?;
        let addresses = 2 * (usize::from(fixed[4]) + usize::from(fixed[5]));
        Ok(Self { bytes: span.take(FIXED_LEN + addresses, Verdict::ARP_BAD)? })
    }
    /// Hardware type; 1 = Ethernet.
    pub fn hardware_type(&self) -> u16 {
        be16(self.bytes, 0)
    }
    /// Protocol type: an EtherType.
    pub fn protocol_type(&self) -> u16 {
        be16(self.bytes, 2)
    }
    /// 1 = request, 2 = reply, others as the registry says.
    pub fn operation(&self) -> u16 {
        be16(self.bytes, 6)
    }
    /// True if it maps IPv4 to six-byte hardware addresses, so that the `_ip` and `_mac` accessors mean something.
    pub fn is_ipv4_over_ethernet(&self) -> bool {
        self.protocol_type() == super::ethernet::TYPE_IPV4 && self.bytes.get(4..6) == Some(&[6, 4])
    }
    /// Sender's hardware address.
    pub fn sender_mac(&self) -> Option<[u8; 6]> {
        self.is_ipv4_over_ethernet().then(|| array(self.bytes, 8))
    }
    /// Sender's IPv4 address.
    pub fn sender_ip(&self) -> Option<Ipv4Addr> {
        self.is_ipv4_over_ethernet().then(|| Ipv4Addr::from(array::<4>(self.bytes, 14)))
    }
    /// Target's hardware address.
    pub fn target_mac(&self) -> Option<[u8; 6]> {
        self.is_ipv4_over_ethernet().then(|| array(self.bytes, 18))
    }
    /// Target's IPv4 address.
    pub fn target_ip(&self) -> Option<Ipv4Addr> {
        self.is_ipv4_over_ethernet().then(|| Ipv4Addr::from(array::<4>(self.bytes, 24)))
    }
}
