//! Ethernet / VLAN / IP / UDP frames with right lengths and checksums, into the caller's buffer.

use std::net::IpAddr;

/// Ethertype of a customer VLAN tag.
pub const TPID_VLAN: u16 = 0x8100;
/// Ethertype of a provider's outer tag (QinQ).
pub const TPID_QINQ: u16 = 0x88a8;

const UDP: u8 = 17;

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its ethertype, e.g. [`TPID_VLAN`].
    pub tpid: u16,
    /// Priority, drop-eligible bit and VLAN id.
    pub tci: u16,
}

/// Everything before the payload of a UDP datagram.
#[derive(Clone, Debug)]
pub struct UdpFrame {
    /// Sender's hardware address.
    pub source_mac: [u8; 6],
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// Sender.
    pub source: IpAddr,
    /// Receiver, of the same family; a multicast group gets its own hardware address (see [`mac_of`]).
    pub destination: IpAddr,
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub port: u16,
}

impl UdpFrame {
    /// Bytes before the payload.
    pub fn header_len(&self) -> usize {
        14 + 4 * self.tags.len() + if self.destination.is_ipv4() { 20 } else { 40 } + 8
    }

    /// Appends a frame around what `payload` appends. `ident` is IPv4's identification.
    /// A payload beyond 65,000 bytes has no place in a datagram; its lengths would be wrong.
    pub fn append(&self, out: &mut Vec<u8>, ident: u16, payload: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&mac_of(self.destination));
        out.extend_from_slice(&self.source_mac);
        for tag in &self.tags {
            put(out, tag.tpid);
            put(out, tag.tci);
        }
        put(out, if self.destination.is_ipv4() { 0x0800 } else { 0x86dd });
        let ip = out.len();
        let pseudo = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                out.extend_from_slice(&[0x45, 0, 0, 0]);
                put(out, ident);
                out.extend_from_slice(&[0x40, 0, 16, UDP, 0, 0]); // do not fragment, 16 hops
                out.extend_from_slice(&source.octets());
                out.extend_from_slice(&destination.octets());
                sum(&source.octets()) + sum(&destination.octets())
            }
            (source, destination) => {
                let (source, destination) = (v6(source), v6(destination));
                out.extend_from_slice(&[0x60, 0, 0, 0, 0, 0, UDP, 16]);
                out.extend_from_slice(&source);
                out.extend_from_slice(&destination);
                sum(&source) + sum(&destination)
            }
        };
        let udp = out.len();
        put(out, self.source_port);
        put(out, self.port);
        out.extend_from_slice(&[0; 4]);
        payload(out);
        let udp_len = length(out.len() - udp);
        patch(out, udp + 4, udp_len);
        if self.destination.is_ipv4() {
            let total_len = length(out.len() - ip);
            patch(out, ip + 2, total_len);
            let header = fold(sum(&out[ip..udp]));
            patch(out, ip + 10, header);
        } else {
            patch(out, ip + 4, udp_len);
        }
        let datagram = fold(pseudo + u64::from(UDP) + u64::from(udp_len) + sum(&out[udp..]));
        // 0 would say "no checksum"; its other form is all ones (RFC 768).
        patch(out, udp + 6, if datagram == 0 { 0xffff } else { datagram });
    }
}

/// The hardware address that a frame to `address` carries: a group's own (RFC 1112, RFC 2464), else a
/// locally administered one made of the last four bytes.
pub fn mac_of(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            if v4.is_multicast() { [1, 0, 0x5e, b & 0x7f, c, d] } else { [2, 0, a, b, c, d] }
        }
        IpAddr::V6(v6) => {
            let o = v6.octets();
            let head = if v6.is_multicast() { [0x33, 0x33] } else { [2, 6] };
            [head[0], head[1], o[12], o[13], o[14], o[15]]
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn put(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn patch(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn length(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Sum of big-endian 16-bit words, an odd last byte padded (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let whole: u64 = words.by_ref().map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    whole + words.remainder().first().map_or(0, |&last| u64::from(last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet_packet::Packet;
    use pnet_packet::ethernet::EthernetPacket;
    use pnet_packet::ipv4::{self, Ipv4Packet};
    use pnet_packet::ipv6::Ipv6Packet;
    use pnet_packet::udp::{self, UdpPacket};
    use proptest::prelude::*;

    fn frame(source: &str, destination: &str) -> UdpFrame {
        UdpFrame {
            source_mac: [2, 0, 0, 0, 0, 1],
            tags: Vec::new(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: 1000,
            port: 2000,
        }
    }

    proptest! {
        #[test]
        fn lengths_and_checksums_are_those_that_another_library_computes(
            payload in prop::collection::vec(any::<u8>(), 0..600), ident: u16,
        ) {
            let mut out = Vec::new();
            frame("10.0.0.1", "233.54.12.1").append(&mut out, ident, |out| out.extend(&payload));
            let ethernet = EthernetPacket::new(&out).unwrap();
            prop_assert_eq!(ethernet.get_destination().octets(), [1, 0, 0x5e, 54, 12, 1]);
            let ip = Ipv4Packet::new(ethernet.payload()).unwrap();
            prop_assert_eq!(ip.get_checksum(), ipv4::checksum(&ip));
            prop_assert_eq!(usize::from(ip.get_total_length()), ethernet.payload().len());
            let udp = UdpPacket::new(ip.payload()).unwrap();
            let expected = udp::ipv4_checksum(&udp, &ip.get_source(), &ip.get_destination());
            prop_assert!(udp.get_checksum() == expected || (expected == 0 && udp.get_checksum() == 0xffff));
            prop_assert_eq!(udp.payload(), payload.as_slice());

            out.clear();
            frame("fd00::1", "ff15::7").append(&mut out, ident, |out| out.extend(&payload));
            let ethernet = EthernetPacket::new(&out).unwrap();
            let ip = Ipv6Packet::new(ethernet.payload()).unwrap();
            let udp = UdpPacket::new(ip.payload()).unwrap();
            let expected = udp::ipv6_checksum(&udp, &ip.get_source(), &ip.get_destination());
            prop_assert!(udp.get_checksum() == expected || (expected == 0 && udp.get_checksum() == 0xffff));
            prop_assert_eq!(udp.payload(), payload.as_slice());
        }
    }

    #[test]
    fn tags_stand_outermost_first_and_the_header_length_counts_them() {
        let mut tagged = frame("10.0.0.1", "10.0.0.2");
        tagged.tags = vec![Tag { tpid: TPID_QINQ, tci: 0x6007 }, Tag { tpid: TPID_VLAN, tci: 9 }];
        let mut out = Vec::new();
        tagged.append(&mut out, 0, |_| ());
        assert_eq!(out[12..22], [0x88, 0xa8, 0x60, 7, 0x81, 0, 0, 9, 8, 0]);
        assert_eq!(out.len(), tagged.header_len());
    }
}
