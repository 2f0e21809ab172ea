//! How a ring is cut: blocks and frames for a wanted size, snap length and MTU.
//!
//! Pure arithmetic.

use super::{Mode, RingOptions};
use crate::sys::ring_map::RingLayout;
use crate::sys::tpacket;

/// Free bytes before each packet, for a VLAN tag to be put back in place. 16 keeps the alignment.
pub(super) const RESERVE_BYTES: u32 = 16;
/// Most that stands before a packet in its frame: header, address, alignment, reserve, merge header. In
/// `tpacket_rcv`: `align16(52 or 68 + 16) + reserve + 10`.
const V2_OVERHEAD_BYTES: u32 = 80 + RESERVE_BYTES + 10;
const V3_OVERHEAD_BYTES: u32 = 96 + RESERVE_BYTES + 10;
/// What an MTU does not count: Ethernet header and two VLAN tags.
const LINK_BYTES: u32 = 14 + 8;
/// Frames begin on a cache line.
const FRAME_ALIGN: u32 = 64;
const PAGE_BYTES: u32 = 4096;
const USUAL_V2_BLOCK: u32 = 64 << 10;
const LARGEST_V2_BLOCK: u32 = 1 << 20;
const USUAL_V3_BLOCK: u32 = 256 << 10;
/// Below so many blocks, the open one is too large a part of the ring.
const FEW_BLOCKS: u64 = 8;
/// Limits of what may be asked for, bytes.
const LONGEST_PACKET: u32 = 262_144;
/// Largest frame or block that may be asked for, bytes.
pub(super) const LARGEST_UNIT: u32 = 4 << 20;

/// A ring of about `ring_bytes`, or `None` if what is asked for cannot be cut at all.
pub(super) fn layout(options: &RingOptions, mtu: u32, ring_bytes: u64) -> Option<RingLayout> {
    match options.mode {
        Mode::Latency => frames(options, mtu, ring_bytes),
        Mode::Throughput => blocks(options, mtu, ring_bytes),
    }
}

/// The longest packet that fits into one unit whole.
pub(super) fn longest_packet(mode: Mode, unit_bytes: u32) -> u32 {
    let overhead = match mode {
        Mode::Latency => V2_OVERHEAD_BYTES,
        Mode::Throughput => V3_OVERHEAD_BYTES + u32::try_from(tpacket::BLOCK_HEADER_BYTES).unwrap_or(0),
    };
    unit_bytes.saturating_sub(overhead)
}

fn wanted_packet(options: &RingOptions, mtu: u32) -> u32 {
    let whole = mtu.saturating_add(LINK_BYTES).min(LONGEST_PACKET);
    if options.snaplen == 0 { whole } else { whole.min(options.snaplen) }
}

fn frames(options: &RingOptions, mtu: u32, ring_bytes: u64) -> Option<RingLayout> {
    let wanted = options.frame_bytes.unwrap_or_else(|| V2_OVERHEAD_BYTES + wanted_packet(options, mtu));
    if !(V2_OVERHEAD_BYTES..=LARGEST_UNIT).contains(&wanted) {
        return None;
    }
    let frame = wanted.next_multiple_of(FRAME_ALIGN);
    let block = frame_block(frame, ring_bytes);
    let blocks = u32::try_from((ring_bytes / u64::from(block)).max(1)).ok()?;
    Some(RingLayout {
        block_bytes: block,
        blocks,
        unit_bytes: frame,
        status_offset: u32::try_from(tpacket::V2_STATUS_OFFSET).ok()?,
    })
}

/// The smallest block that wastes no more than an eighth behind its last frame; the least wasteful if none is.
fn frame_block(frame: u32, ring_bytes: u64) -> u32 {
    let smallest = frame.next_power_of_two().max(PAGE_BYTES);
    let mut best = smallest;
    let mut block = smallest;
    while block <= LARGEST_V2_BLOCK && u64::from(block) <= ring_bytes.max(u64::from(smallest)) {
        // Waste in parts of the block: compared without division.
        if u64::from(block % frame) * u64::from(best) <= u64::from(best % frame) * u64::from(block) {
            best = block;
        }
        if block >= USUAL_V2_BLOCK && block % frame <= block / 8 {
            return block;
        }
        block = block.saturating_mul(2);
    }
    best
}

fn blocks(options: &RingOptions, mtu: u32, ring_bytes: u64) -> Option<RingLayout> {
    let smallest =
        (V3_OVERHEAD_BYTES + wanted_packet(options, mtu) + 256).next_power_of_two().max(PAGE_BYTES);
    let block = match options.block_bytes {
        Some(asked) if !(PAGE_BYTES..=LARGEST_UNIT).contains(&asked) => return None,
        Some(asked) => asked.next_multiple_of(PAGE_BYTES),
        None => {
            let mut block = USUAL_V3_BLOCK.max(smallest);
            while block > smallest && ring_bytes / u64::from(block) < FEW_BLOCKS {
                block /= 2;
            }
            block
        }
    };
    let blocks = u32::try_from((ring_bytes / u64::from(block)).max(2)).ok()?;
    Some(RingLayout {
        block_bytes: block,
        blocks,
        unit_bytes: block,
        status_offset: u32::try_from(tpacket::V3_STATUS_OFFSET).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{layout, longest_packet};
    use crate::capture::af_packet::{Mode, RingOptions};
    use proptest::prelude::*;

    #[test]
    fn a_frame_holds_the_mtu_with_two_tags() {
        for mtu in [576, 1500, 9000, 65_536] {
            let cut = layout(&RingOptions::new("x"), mtu, 64 << 20).unwrap();
            assert!(longest_packet(Mode::Latency, cut.unit_bytes) >= mtu + 22, "mtu {mtu}");
            assert!(cut.ring_bytes() as u64 >= (64 << 20) * 7 / 8);
        }
    }

    #[test]
    fn a_short_snap_length_makes_many_small_frames() {
        let options = RingOptions { snaplen: 96, ..RingOptions::new("x") };
        let cut = layout(&options, 1500, 1 << 20).unwrap();
        assert_eq!(cut.unit_bytes, 256);
        assert_eq!(cut.units(), 4096);
    }

    #[test]
    fn small_rings_get_small_blocks() {
        let options = RingOptions { mode: Mode::Throughput, ..RingOptions::new("x") };
        let cut = layout(&options, 1500, 32 << 10).unwrap();
        assert_eq!((cut.block_bytes, cut.blocks), (4096, 8));
    }

    proptest! {
        #[test]
        fn every_layout_keeps_the_kernels_rules(
            v3 in any::<bool>(), mtu in 68u32..70_000, snaplen in 0u32..300_000, ring in 0u64..(1 << 32),
            frame in proptest::option::of(0u32..5_000_000), block in proptest::option::of(0u32..5_000_000),
        ) {
            let mode = if v3 { Mode::Throughput } else { Mode::Latency };
            let options = RingOptions { mode, snaplen, frame_bytes: frame, block_bytes: block, ..RingOptions::new("x") };
            if let Some(cut) = layout(&options, mtu, ring) {
                prop_assert!(cut.block_bytes.is_multiple_of(4096) && cut.block_bytes > 0);
                prop_assert!(cut.unit_bytes.is_multiple_of(16) && cut.unit_bytes <= cut.block_bytes);
                prop_assert!(cut.units() > 0);
                prop_assert!(cut.ring_bytes() as u64 <= ring.max(u64::from(cut.block_bytes) * 2));
            }
        }
    }
}
