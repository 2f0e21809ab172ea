//! `TPACKET_V3`, the throughput mode: one lease a block of many packets, ready when
//! the block is full or its retire timer is over.

use super::common::Common;
use super::stats::LossNote;
use super::walk::{self, RESTORED, WalkRules};
use crate::capture::{Lease, Source, SourceCounts, SourceError, Take, Walked};
use crate::packet::{Loss, Packet};
use crate::sys::clock;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::ring_map::{RingMap, Taker, Unit};
use crate::sys::tpacket;
use std::ops::ControlFlow;
use std::time::Duration;

/// How long after the retire timer an open block may still be under way, ns.
const GRACE_NS: u64 = 5_000_000;

/// A ring of blocks: socket, mapping, and where reading stands.
#[derive(Debug)]
pub struct RingV3 {
    map: RingMap,
    rules: WalkRules,
    common: Common,
    retire_ns: u64,
}

impl RingV3 {
    /// `retire_ns` is what the timer takes at most, as it is in effect.
    pub(super) const fn new(map: RingMap, rules: WalkRules, common: Common, retire_ns: u64) -> Self {
        Self { map, rules, common, retire_ns }
    }

    pub(super) const fn socket(&self) -> &PacketSocket {
        &self.common.socket
    }

    /// The source of this ring. Its leases keep the ring borrowed, so there is one source at a time, and nothing
    /// outlives the mapping (see [`super::RingV2::source`]).
    pub fn source(&mut self) -> SourceV3<'_> {
        let units = self.map.layout().units();
        SourceV3 {
            taker: self.map.taker(),
            units,
            rules: &self.rules,
            common: &mut self.common,
            retire_ns: self.retire_ns,
        }
    }
}

/// Takes blocks. Owned by one capture thread.
#[derive(Debug)]
pub struct SourceV3<'r> {
    taker: Taker<'r>,
    units: u32,
    rules: &'r WalkRules,
    common: &'r mut Common,
    retire_ns: u64,
}

/// A block of packets, to be read until it is dropped.
#[derive(Debug)]
pub struct BlockLease<'r> {
    unit: Unit<'r>,
    taken_ns: u64,
    loss: LossNote,
    rules: &'r WalkRules,
}

const _: () = assert!(size_of::<BlockLease<'static>>() <= 48, "leases travel through a ring by value");

impl<'r> Source for SourceV3<'r> {
    type Lease = BlockLease<'r>;

    fn take(&mut self) -> Result<Take<BlockLease<'r>>, SourceError> {
        let Some(mut unit) = self.taker.try_take(self.common.next_unit) else {
            return Ok(self.idle());
        };
        self.common.next_unit += 1;
        if self.common.next_unit == self.units {
            self.common.next_unit = 0;
        }
        if unit.status() & libc::TP_STATUS_LOSING != 0 {
            self.common.counters.read(&self.common.socket);
        }
        let loss = self.common.counters.note();
        let taken_ns = clock::realtime_ns();
        let (packets, last_ns) = tpacket::read_block(unit.body()).map_or((0, 0), |block| {
            // The block's stamp may be a NIC's, so it is bounded by the one clock that is known.
            (u64::from(block.packets), walk::ns_of(block.last_sec, block.last_nsec).min(taken_ns))
        });
        self.common.counters.handed_out(packets, last_ns);
        Ok(Take::Lease(BlockLease { unit, taken_ns, loss, rules: self.rules }))
    }

    fn wait(&mut self, max: Duration) -> Result<(), SourceError> {
        self.common.wait(&self.taker, max)
    }

    fn tick(&mut self) -> Option<Loss> {
        self.common.tick()
    }

    fn stop_intake(&mut self) {
        self.common.stop_intake();
    }

    fn counts(&self) -> SourceCounts {
        self.common.counters.counts()
    }

    fn under_pressure(&self) -> bool {
        let middle = (self.common.next_unit + self.units / 2) % self.units;
        self.taker.peek(middle) & libc::TP_STATUS_USER != 0
    }

    fn can_wait(&self) -> bool {
        false
    }
}

impl<'r> SourceV3<'r> {
    fn idle(&mut self) -> Take<BlockLease<'r>> {
        if !self.common.drain.has_begun() {
            return Take::Idle;
        }
        // The open block comes out by the timer; twice, for one that had just been refreshed.
        let grace_ns = self.retire_ns.saturating_mul(2).saturating_add(GRACE_NS);
        if self.common.drain_is_over(grace_ns) { Take::End } else { Take::Idle }
    }
}

impl Lease for BlockLease<'_> {
    fn taken_ns(&self) -> u64 {
        self.taken_ns
    }

    fn loss(&self) -> Option<Loss> {
        self.loss.at(self.taken_ns)
    }

    fn walk(&mut self, each: impl FnMut(Packet<'_>) -> ControlFlow<()>) -> Walked {
        let skipped = self.unit.body_offset();
        walk_block(self.unit.body(), skipped, self.rules, self.taken_ns, self.loss.packets(), each)
    }
}

/// Walks a block whose first `skipped` bytes (up to its status word) are not in `body`.
fn walk_block(
    body: &mut [u8],
    skipped: usize,
    rules: &WalkRules,
    taken_ns: u64,
    lost_before: u64,
    mut each: impl FnMut(Packet<'_>) -> ControlFlow<()>,
) -> Walked {
    let mut walked = Walked::default();
    let Some(block) = tpacket::read_block(body) else { return Walked { packets: 0, unreadable: 1 } };
    let mut lost_before = lost_before;
    let mut at = usize::try_from(block.first_offset).ok().and_then(|at| at.checked_sub(skipped));
    for left in (0..block.packets).rev() {
        // A lost thread: the rest of the block cannot be found any more.
        let unreadable = Walked { unreadable: u64::from(left) + 1, ..walked };
        let Some((begin, header)) = at.and_then(|at| Some((at, tpacket::read_v3(body.get(at..)?)?))) else {
            return unreadable;
        };
        let next = usize::try_from(header.next_offset).unwrap_or(usize::MAX);
        // The packet ends before the next header; the last one, whose next is 0, may use the rest of the block.
        let is_last = left == 0 || next == 0;
        let end = if is_last { Some(body.len()) } else { begin.checked_add(next) };
        let Some(room) = end.and_then(|end| body.get_mut(begin..end)) else { return unreadable };
        at = if is_last { None } else { end };
        match walk::find(room, 0, &header, rules) {
            None => walked.unreadable += 1,
            Some(found) => {
                if found.restored_now {
                    tpacket::write_v3_status(room, header.status | RESTORED);
                }
                let Some(packet) = found.packet(room, rules, taken_ns, lost_before) else {
                    walked.unreadable += 1;
                    continue;
                };
                lost_before = 0;
                walked.packets += 1;
                if each(packet).is_break() {
                    return walked;
                }
            }
        }
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::walk_block;
    use crate::capture::Walked;
    use crate::capture::af_packet::walk::WalkRules;
    use crate::packet::{LinkType, Marks};
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    const RULES: WalkRules =
        WalkRules { link: LinkType::ETHERNET, snaplen: u32::MAX, vnet_header: true, hw_to_utc_ns: 0 };
    const SKIPPED: usize = 12;
    const MAC: usize = 112;

    #[expect(clippy::host_endian_bytes, reason = "the kernel's structures, in host order")]
    fn put(block: &mut [u8], at: usize, value: u32) {
        block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// A block as the kernel lays it out, with packets of these lengths, every other one with a tag taken out.
    fn block(lengths: &[u32]) -> Vec<u8> {
        let mut block = vec![0u8; 64 << 10];
        put(&mut block, 12, u32::try_from(lengths.len()).unwrap());
        put(&mut block, 16, 48);
        let mut at = 48;
        for (n, len) in lengths.iter().enumerate() {
            let size = (MAC + *len as usize).next_multiple_of(16);
            put(&mut block, at, if n + 1 == lengths.len() { 0 } else { u32::try_from(size).unwrap() });
            put(&mut block, at + 4, 1_700_000_000);
            put(&mut block, at + 8, u32::try_from(n).unwrap());
            put(&mut block, at + 12, *len);
            put(&mut block, at + 16, *len);
            put(&mut block, at + 24, u32::try_from(MAC).unwrap());
            if n % 2 == 1 {
                put(&mut block, at + 20, libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID);
                put(&mut block, at + 32, 0xe005);
                put(&mut block, at + 36, 0x88a8);
            }
            block[at + MAC..at + MAC + *len as usize].fill(u8::try_from(n).unwrap());
            at += size;
        }
        block
    }

    fn walk(block: &mut [u8]) -> (Walked, Vec<(Vec<u8>, u32, Marks)>) {
        let mut got = Vec::new();
        let walked = walk_block(&mut block[SKIPPED..], SKIPPED, &RULES, 1, 0, |p| {
            got.push((p.bytes.to_vec(), p.wire_len, p.marks));
            ControlFlow::Continue(())
        });
        (walked, got)
    }

    #[test]
    fn a_block_is_walked_whole_and_tags_are_put_back_once_however_often_it_is_walked() {
        let mut block = block(&[60, 100, 1514, 20]);
        let (walked, got) = walk(&mut block);
        assert_eq!(walked, Walked { packets: 4, unreadable: 0 });
        assert_eq!(got[0].0, [0; 60]);
        assert_eq!(got[1].0.len(), 104);
        assert_eq!(got[1].0[12..16], [0x88, 0xa8, 0xe0, 0x05]);
        assert_eq!((got[1].1, got[1].2), (104, Marks(Marks::VLAN_RESTORED)));
        assert_eq!(walk(&mut block), (walked, got), "a second walk reads the same");
    }

    #[test]
    fn a_count_beyond_the_packets_there_are_ends_the_walk() {
        let mut block = block(&[60, 100]);
        put(&mut block, 12, 1000);
        let (walked, _) = walk(&mut block);
        assert_eq!((walked.packets, walked.unreadable), (2, 998), "an offset of 0 leads nowhere");
    }

    #[test]
    fn offsets_outside_the_block_are_counted_and_never_followed() {
        for (field, value) in [(16, 0), (16, u32::MAX), (16, 65_530), (48, u32::MAX), (48, 3)] {
            let mut block = block(&[60, 100]);
            put(&mut block, field, value);
            let (walked, _) = walk(&mut block);
            assert_eq!(walked.packets + walked.unreadable, 2, "field {field} = {value}");
            assert!(walked.unreadable >= 1);
        }
        for (field, value) in [(48 + 12, 1 << 20), (48 + 12, u32::MAX), (48 + 24, 0xffff), (48 + 24, 5)] {
            let mut block = block(&[60, 100]);
            put(&mut block, field, value);
            let (walked, got) = walk(&mut block);
            assert_eq!(walked, Walked { packets: 1, unreadable: 1 }, "the next one is still found");
            assert_eq!(got[0].0.len(), 104);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            packets in 0u32..50, first in 0u32..200,
        ) {
            if bytes.len() >= 48 {
                put(&mut bytes, 12, packets);
                put(&mut bytes, 16, first);
            }
            let skipped = SKIPPED.min(bytes.len());
            let walked = walk_block(&mut bytes[skipped..], SKIPPED, &RULES, 1, 0, |_| ControlFlow::Continue(()));
            prop_assert!(walked.packets + walked.unreadable <= u64::from(packets).max(1));
        }

        #[test]
        fn one_wrong_number_costs_no_byte_outside_its_packet(
            lengths in proptest::collection::vec(0u32..2000, 1..20), at in 12usize..1000, value in any::<u32>(),
        ) {
            let mut block = block(&lengths);
            put(&mut block, at, value);
            let (walked, got) = walk(&mut block);
            prop_assert_eq!(usize::try_from(walked.packets), Ok(got.len()));
            prop_assert!(got.iter().all(|(bytes, wire_len, _)| bytes.len() <= *wire_len as usize));
        }
    }
}
