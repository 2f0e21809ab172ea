//! Builds sound UDP frames, for generators and tests. The way back of [`super::dissect`].

use super::checksum::Sum;
use super::{ethernet, udp, vlan};
use std::net::{IpAddr, SocketAddr};

/// A UDP frame to be built.
#[derive(Clone, Copy, Debug)]
pub struct UdpFrame {
    /// Ethernet source address.
    pub src_mac: [u8; 6],
    /// Ethernet destination address; [`multicast_mac`] gives that of a group.
    pub dst_mac: [u8; 6],
    /// Tag control information of an 802.1Q tag, if there is to be one.
    pub vlan: Option<u16>,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port; of the same family as `src`.
    pub dst: SocketAddr,
    /// Time to live or hop limit.
    pub ttl: u8,
}

/// The payload does not fit into one UDP datagram, or the two addresses are of different families.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "no UDP frame of {payload} payload bytes from {src} to {dst}: at most 65,507, both addresses of one family"
)]
pub struct CannotBuild {
    /// Payload length, bytes.
    pub payload: usize,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
}

/// The Ethernet address of an IP multicast group (RFC 1112, section 6.4; RFC 2464, section 7).
pub const fn multicast_mac(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., c, d, e, f] = group.octets();
            [0x33, 0x33, c, d, e, f]
        }
    }
}

/// Appends the whole frame, without padding or frame check sequence.
///
/// # Errors
/// [`CannotBuild`]; `out` is as before.
pub fn udp_frame(out: &mut Vec<u8>, frame: &UdpFrame, payload: &[u8]) -> Result<(), CannotBuild> {
    /// Longest payload that both IPv4 and IPv6 can carry.
    const MAX_PAYLOAD: usize = 65_507;
    let error = CannotBuild { payload: payload.len(), src: frame.src.ip(), dst: frame.dst.ip() };
    let fits = payload.len() <= MAX_PAYLOAD;
    let udp_len = u16::try_from(payload.len() + udp::HEADER_LEN).ok().filter(|_| fits).ok_or(error)?;
    let pseudo = match (frame.src.ip(), frame.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            link_header(out, frame, ethernet::TYPE_IPV4);
            ipv4_header(out, frame.ttl, udp_len, src.octets(), dst.octets());
            Sum::ZERO.bytes(&src.octets()).bytes(&dst.octets())
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            link_header(out, frame, ethernet::TYPE_IPV6);
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&udp_len.to_be_bytes());
            out.extend_from_slice(&[udp::PROTOCOL, frame.ttl]);
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
            Sum::ZERO.bytes(&src.octets()).bytes(&dst.octets())
        }
        _ => return Err(error),
    };
    udp_header(out, frame, udp_len, pseudo, payload);
    out.extend_from_slice(payload);
    Ok(())
}

fn link_header(out: &mut Vec<u8>, frame: &UdpFrame, ethertype: u16) {
    out.extend_from_slice(&frame.dst_mac);
    out.extend_from_slice(&frame.src_mac);
    if let Some(tci) = frame.vlan {
        out.extend_from_slice(&vlan::TPID_CTAG.to_be_bytes());
        out.extend_from_slice(&tci.to_be_bytes());
    }
    out.extend_from_slice(&ethertype.to_be_bytes());
}

fn ipv4_header(out: &mut Vec<u8>, ttl: u8, udp_len: u16, src: [u8; 4], dst: [u8; 4]) {
    let total = udp_len.saturating_add(20).to_be_bytes();
    let mut header = [0x45, 0, total[0], total[1], 0, 0, 0x40, 0, ttl, udp::PROTOCOL, 0, 0];
    let sum = Sum::ZERO.bytes(&header).bytes(&src).bytes(&dst).checksum().to_be_bytes();
    (header[10], header[11]) = (sum[0], sum[1]);
    out.extend_from_slice(&header);
    out.extend_from_slice(&src);
    out.extend_from_slice(&dst);
}

fn udp_header(out: &mut Vec<u8>, frame: &UdpFrame, udp_len: u16, pseudo: Sum, payload: &[u8]) {
    let words = [frame.src.port(), frame.dst.port(), udp_len];
    let pseudo = pseudo.word(u16::from(udp::PROTOCOL)).word(udp_len);
    let sum = words.iter().fold(pseudo, |sum, word| sum.word(*word)).bytes(payload).checksum();
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
    // 0 means "none was computed": its other name is sent instead (RFC 768).
    out.extend_from_slice(&if sum == 0 { u16::MAX } else { sum }.to_be_bytes());
}
