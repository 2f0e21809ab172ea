//! The UDP datagrams in a packet, for replay through sockets.

use crate::packet::{Findings, Marks, Packet, Verdict};
use crate::wire::{self, Transport};
use std::net::SocketAddr;

/// A whole UDP payload and where it was sent to.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Destination when it was recorded.
    pub to: SocketAddr,
    payload: &'a [u8],
    /// Payload bytes of each datagram if several were merged; else the whole length.
    piece: usize,
}

impl<'a> Datagram<'a> {
    /// The payloads as they were on the wire: datagrams merged by GRO are cut apart again. At least one, perhaps empty.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let empty: Option<&'a [u8]> = self.payload.is_empty().then_some(&[]);
        self.payload.chunks(self.piece).chain(empty)
    }
}

/// The datagram in `packet`: `None` if it is no UDP, a fragment, damaged, or not wholly captured.
///
/// A wrong checksum is no damage: the bytes are here, and the new socket computes its own.
pub fn of<'a>(packet: &Packet<'a>) -> Option<Datagram<'a>> {
    let d = wire::dissect(packet);
    let Transport::Udp { dst_port, .. } = d.transport else { return None };
    let in_part = d.findings.has(Findings::FRAGMENT) || d.payload.len() < d.payload_on_wire;
    let sound =
        matches!(d.verdict, Verdict::ACCEPTED | Verdict::UDP_BAD_CHECKSUM | Verdict::IPV4_BAD_CHECKSUM);
    if in_part || !sound {
        return None;
    }
    let merged = packet.marks.has(Marks::GSO) && packet.gso_size > 0;
    let piece = if merged { usize::from(packet.gso_size) } else { d.payload.len().max(1) };
    Some(Datagram { to: SocketAddr::new(d.network.dst()?, dst_port), payload: d.payload, piece })
}
