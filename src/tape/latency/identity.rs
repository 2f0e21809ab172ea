//! What makes a packet the same packet at two taps: its IP packet without what may change on the way.
//!
//! Left out are all of the link layer (addresses, VLAN tags, labels, padding), and of the IP packet: time to live or hop limit, traffic
//! class, flow label and the checksums of IPv4, UDP and TCP (a device may compute them late). Everything else, identification
//! and payload above all, goes into a BLAKE3 hash of which 128 bits are kept.

use crate::packet::{Findings, Marks, Packet};
use crate::wire::dissect;

/// A packet by its content.
pub(super) type Identity = u128;

/// Why a packet has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nameless {
    /// Not IP, or with a length that cannot be believed.
    NotIp,
    /// Not all of it was captured, or the kernel had put several together.
    NotWhole,
}

const UDP: u8 = 17;
const TCP: u8 = 6;
/// Longest headers that are looked at: IPv4 with options and TCP up to its checksum.
const HEAD_BYTES: usize = 60 + 18;

/// The identity of a packet.
pub(super) fn of(packet: &Packet<'_>) -> Result<Identity, Nameless> {
    if packet.marks.has(Marks::GSO) {
        return Err(Nameless::NotWhole);
    }
    let dissection = dissect(packet);
    if dissection.findings.has(Findings::SNAPPED) {
        return Err(Nameless::NotWhole);
    }
    let ip = dissection.ip;
    let mut head = [0_u8; HEAD_BYTES];
    let here = ip.len().min(HEAD_BYTES);
    let (first, rest) = ip.split_at_checked(here).ok_or(Nameless::NotIp)?;
    head.get_mut(..here).ok_or(Nameless::NotIp)?.copy_from_slice(first);
    let transport = match first.first().map(|byte| byte >> 4) {
        Some(4) => blank_ipv4(&mut head),
        Some(6) => Some(blank_ipv6(&mut head)),
        _ => return Err(Nameless::NotIp),
    };
    match transport {
        Some((UDP, at)) => blank(&mut head, at + 6, 2),
        Some((TCP, at)) => blank(&mut head, at + 16, 2),
        _ => {}
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(head.get(..here).unwrap_or_default()).update(rest);
    let hash = *hasher.finalize().as_bytes();
    Ok(hash.first_chunk::<16>().map_or(0, |half| u128::from_le_bytes(*half)))
}

fn blank(head: &mut [u8; HEAD_BYTES], at: usize, bytes: usize) {
    head.iter_mut().skip(at).take(bytes).for_each(|byte| *byte = 0);
}

/// Answers the transport protocol and where its header is, if it is here.
fn blank_ipv4(head: &mut [u8; HEAD_BYTES]) -> Option<(u8, usize)> {
    blank(head, 1, 1);
    blank(head, 8, 1);
    blank(head, 10, 2);
    let is_later_fragment = u16::from_be_bytes([head[6], head[7]]) & 0x1fff != 0;
    (!is_later_fragment).then_some((head[9], usize::from(head[0] & 0xf) * 4))
}

/// The same, if no extension header comes first.
fn blank_ipv6(head: &mut [u8; HEAD_BYTES]) -> (u8, usize) {
    head[0] &= 0xf0;
    blank(head, 1, 3);
    blank(head, 7, 1);
    (head[6], 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{EpbFlags, LinkType};
    use crate::time::{Stamp, StampClock};
    use crate::wire::build::{UdpFrame, udp_frame};

    fn frame(src: &str, ttl: u8, vlan: Option<u16>, mac: u8, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = (src.parse().unwrap(), src.replace('1', "2").parse().unwrap());
        let mut bytes = Vec::new();
        let head = UdpFrame { src_mac: [mac; 6], dst_mac: [2; 6], vlan, src, dst, ttl };
        udp_frame(&mut bytes, &head, payload).unwrap();
        bytes
    }

    fn packet(bytes: &[u8]) -> Packet<'_> {
        Packet {
            bytes,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            stamp: Stamp::new(0, StampClock::FILE),
            arrival_ns: 0,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        }
    }

    #[test]
    fn what_a_path_may_change_does_not_count_and_all_else_does() {
        for src in ["10.0.0.1:1000", "[fe80::1]:1000"] {
            let one = frame(src, 8, None, 1, b"the same");
            let mut other = frame(src, 7, Some(5), 9, b"the same");
            other.extend_from_slice(&[0; 12]);
            assert_eq!(of(&packet(&one)), of(&packet(&other)), "{src}");
            // The UDP checksum is the only thing between header and payload.
            let mut wrong = one.clone();
            let at = wrong.len() - 8 - 1;
            wrong[at] ^= 0x55;
            assert_eq!(of(&packet(&one)), of(&packet(&wrong)), "{src}");
            for at in one.len() - 8..one.len() {
                let mut changed = one.clone();
                changed[at] ^= 1;
                assert_ne!(of(&packet(&one)), of(&packet(&changed)), "{src} byte {at}");
            }
            assert_ne!(of(&packet(&one)), of(&packet(&frame(src, 8, None, 1, b"not same"))));
            assert_ne!(
                of(&packet(&one)),
                of(&packet(&frame(&src.replace("1000", "1001"), 8, None, 1, b"the same")))
            );
        }
    }

    #[test]
    fn what_is_not_whole_or_not_ip_has_none() {
        let bytes = frame("10.0.0.1:1000", 8, None, 1, b"payload");
        let mut snapped = packet(&bytes);
        snapped.bytes = &bytes[..bytes.len() - 1];
        assert_eq!(of(&snapped), Err(Nameless::NotWhole));
        let mut merged = packet(&bytes);
        merged.marks = Marks(Marks::GSO);
        assert_eq!(of(&merged), Err(Nameless::NotWhole));
        assert_eq!(of(&packet(&[0; 60])), Err(Nameless::NotIp));
        assert_eq!(of(&packet(&[])), Err(Nameless::NotIp));
    }
}
