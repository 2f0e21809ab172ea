//! Frames that prove themselves: each carries a 64-bit id from which every one of its bytes can be made again.
//!
//! For tests of byte identity over millions of packets: a checker needs the plan, not the packets.
//! The id stands at the start of the UDP payload; the rest is pseudo-random from id and seed.

use super::frame::{TPID_QINQ, TPID_VLAN, Tag, UdpFrame};
use super::random::SplitMix64;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a frame looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Length of the frame without its check sequence, bytes; at least header and id, which is what it becomes if less.
    pub frame_len: usize,
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// IPv6 rather than IPv4.
    pub ipv6: bool,
}

/// A series of frames: frame `id` has shape `id % shapes`.
#[derive(Clone, Debug)]
pub struct PlainPlan {
    seed: u64,
    shapes: Vec<(usize, UdpFrame)>,
}

/// Why a frame is not the one that was made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// No UDP payload where one of these frames has it.
    #[error("not a frame of this kind: {len} bytes, no id found")]
    NoId {
        /// Its length.
        len: usize,
    },
    /// The id is there, but not these bytes.
    #[error("frame {id}: {len} bytes where {expected_len} were sent, first difference at byte {at}")]
    Differs {
        /// The id it carries.
        id: u64,
        /// Its length.
        len: usize,
        /// Length of the frame that was made.
        expected_len: usize,
        /// First byte that differs.
        at: usize,
    },
}

impl PlainPlan {
    /// The port that the frames go to.
    pub const PORT: u16 = 31_337;

    /// Frames of these shapes in turn. Without shapes, of [`PlainPlan::all_shapes`].
    pub fn new(seed: u64, shapes: &[Shape]) -> Self {
        let shapes = if shapes.is_empty() { &Self::all_shapes() } else { shapes };
        Self { seed, shapes: shapes.iter().map(|shape| (shape.frame_len, header(shape))).collect() }
    }

    /// Sizes from the smallest to jumbo, untagged, tagged and doubly tagged, IPv4 and IPv6.
    pub fn all_shapes() -> Vec<Shape> {
        let vlan = Tag { tpid: TPID_VLAN, tci: 0xb064 };
        let qinq = vec![Tag { tpid: TPID_QINQ, tci: 0x0fa1 }, vlan];
        let mut shapes = Vec::new();
        for frame_len in [60, 64, 65, 128, 257, 512, 1024, 1514, 4000, 9000] {
            for tags in [Vec::new(), vec![vlan], qinq.clone()] {
                for ipv6 in [false, true] {
                    shapes.push(Shape { frame_len, tags: tags.clone(), ipv6 });
                }
            }
        }
        shapes
    }

    /// Appends frame `id`.
    pub fn append(&self, id: u64, out: &mut Vec<u8>) {
        let (frame_len, header) = self.shape_of(id);
        let payload_len = frame_len.saturating_sub(header.header_len()).max(8);
        header.append(out, u16::from_be_bytes([id.to_be_bytes()[6], id.to_be_bytes()[7]]), |out| {
            out.extend_from_slice(&id.to_be_bytes());
            SplitMix64::new(self.seed ^ id.rotate_left(32)).fill(out, payload_len - 8);
        });
    }

    /// The id of a frame, if every byte of it is as it was made. `scratch` is overwritten.
    ///
    /// # Errors
    /// [`PlainError`], naming the first byte that differs.
    pub fn check(&self, bytes: &[u8], scratch: &mut Vec<u8>) -> Result<u64, PlainError> {
        let id = id_of(bytes).ok_or(PlainError::NoId { len: bytes.len() })?;
        scratch.clear();
        self.append(id, scratch);
        if scratch == bytes {
            return Ok(id);
        }
        let same = scratch.iter().zip(bytes).take_while(|(made, read)| made == read).count();
        Err(PlainError::Differs { id, len: bytes.len(), expected_len: scratch.len(), at: same })
    }

    fn shape_of(&self, id: u64) -> &(usize, UdpFrame) {
        let index = id % self.shapes.len() as u64;
        &self.shapes[usize::try_from(index).unwrap_or(0)]
    }
}

fn header(shape: &Shape) -> UdpFrame {
    let (source, destination) = if shape.ipv6 {
        (
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x77).into(),
        )
    } else {
        (Ipv4Addr::new(10, 77, 0, 1).into(), Ipv4Addr::new(239, 77, 0, 1).into())
    };
    UdpFrame {
        source_mac: [2, 0, 0, 0, 0, 0x77],
        tags: shape.tags.clone(),
        source,
        destination,
        source_port: PlainPlan::PORT,
        port: PlainPlan::PORT,
    }
}

/// Finds the id behind tags and headers.
fn id_of(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut at = 12;
    while matches!(word(at)?, TPID_VLAN | TPID_QINQ) {
        at += 4;
    }
    let payload = at + 2 + if word(at)? == 0x0800 { 20 } else { 40 } + 8;
    Some(u64::from_be_bytes(bytes.get(payload..payload + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_checks_out_and_has_its_length() {
        let plan = PlainPlan::new(9, &[]);
        let mut scratch = Vec::new();
        for (id, shape) in PlainPlan::all_shapes().iter().enumerate() {
            for id in [id as u64, id as u64 + (60 << 40)] {
                let mut frame = Vec::new();
                plan.append(id, &mut frame);
                assert_eq!(plan.check(&frame, &mut scratch), Ok(id));
                // The smallest size has no room for tags, IPv6 and an id: such a frame is longer.
                assert!(frame.len() == shape.frame_len || shape.frame_len < 80, "{shape:?}");
            }
        }
    }

    #[test]
    fn no_byte_can_change_unseen() {
        let plan = PlainPlan::new(9, &PlainPlan::all_shapes()[..6]);
        let mut scratch = Vec::new();
        for id in 0..6 {
            let mut frame = Vec::new();
            plan.append(id, &mut frame);
            for at in 0..frame.len() {
                frame[at] ^= 0x10;
                assert!(plan.check(&frame, &mut scratch).is_err(), "id {id}, byte {at}");
                frame[at] ^= 0x10;
            }
            assert!(plan.check(&frame[..frame.len() - 1], &mut scratch).is_err());
            assert_eq!(plan.check(&frame[..20], &mut scratch), Err(PlainError::NoId { len: 20 }));
        }
    }
}
