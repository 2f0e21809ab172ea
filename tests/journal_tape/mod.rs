//! Journals made by hand from the format's own encoder: every byte is the test's choice, and no engine runs.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use wiretape::journal::format::{self, Anchor, EndOfSegment, PacketBlock, SegmentHeader, encode};
use wiretape::journal::manifest::{Entry, ManifestFile, Sealed};
use wiretape::journal::{Event, Note};
use wiretape::packet::{EpbFlags, Findings, InterfaceDef, Judgement, LinkType, Marks, Verdict};
use wiretape::pcapng::write::InterfaceStats;
use wiretape::time::{Stamp, StampClock};

/// One capture id for everything.
pub const CAPTURE: [u8; 16] = *b"capture under te";

/// Builds one segment in memory.
#[derive(Clone, Debug)]
pub struct Segment {
    pub queue: u16,
    pub index: u32,
    pub id: u32,
    pub bytes: Vec<u8>,
    pub first_seq: u64,
    pub next_seq: u64,
    pub packets: u64,
    pub min_ns: u64,
    pub max_ns: u64,
}

impl Segment {
    /// Headers and one Ethernet interface.
    pub fn new(queue: u16, index: u32, first_seq: u64) -> Self {
        let id = 0x1000_0001 + (u32::from(queue) << 16) + index;
        let mut segment = Self {
            queue,
            index,
            id,
            bytes: Vec::new(),
            first_seq,
            next_seq: first_seq,
            packets: 0,
            min_ns: 0,
            max_ns: 0,
        };
        encode::section(&mut segment.bytes, "a machine", "linux", "test");
        let header = SegmentHeader {
            version: format::FORMAT_VERSION,
            queue,
            segment_id: id,
            capture_id: CAPTURE,
            index,
            first_seq,
            created_ns: 1,
            live_bytes: 0,
        };
        segment.block(format::SEGMENT_HEADER_BYTES, 0, |out| encode::segment_header(out, &header));
        segment.interface(&InterfaceDef::named("eth0", LinkType::ETHERNET));
        segment
    }

    fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> u32) {
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        let word = fill(&mut self.bytes[at..]);
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    /// A block of `len` bytes, behind pad and anchor where they are due.
    fn block(&mut self, len: usize, next_stamp_ns: u64, fill: impl FnOnce(&mut [u8]) -> u32) {
        let at = self.bytes.len() as u64;
        if !at.is_multiple_of(format::MIB) && !format::fits_mib(at, len as u64) {
            let room = usize::try_from(format::room_in_mib(at)).unwrap();
            let id = self.id;
            self.put(room, |out| encode::pad(out, id));
        }
        let at = self.bytes.len() as u64;
        if at != 0 && at.is_multiple_of(format::MIB) {
            let anchor = Anchor {
                segment_id: self.id,
                queue: self.queue,
                position: at,
                next_seq: self.next_seq,
                max_stamp_ns: self.max_ns,
                next_stamp_ns,
                capture_id: CAPTURE,
            };
            self.put(format::ANCHOR_BYTES, |out| encode::anchor(out, &anchor));
        }
        self.put(len, fill);
    }

    pub fn interface(&mut self, def: &InterfaceDef) {
        encode::interface(&mut self.bytes, self.id, def, "linux");
    }

    pub fn packet(&mut self, stamp_ns: u64, bytes: &[u8]) {
        self.packet_on(0, stamp_ns, bytes);
    }

    pub fn packet_on(&mut self, interface: u32, stamp_ns: u64, bytes: &[u8]) {
        let lost_before = u64::from(self.next_seq % 7 == 3);
        let block = PacketBlock {
            bytes,
            wire_len: u32::try_from(bytes.len()).unwrap() + 4,
            stamp: Stamp::new(stamp_ns, StampClock::KERNEL_SOFTWARE),
            arrival_ns: stamp_ns + 5,
            interface,
            flags: EpbFlags(EpbFlags::INBOUND),
            marks: Marks::default(),
            gso_size: 0,
            lost_before,
            judgement: Judgement { verdict: Verdict::ACCEPTED, findings: Findings::NONE },
            seq: self.next_seq,
        };
        let id = self.id;
        let len = format::packet_block_bytes(bytes.len(), lost_before);
        self.block(len, stamp_ns, |out| encode::packet(out, id, &block));
        self.min_ns = if self.packets == 0 { stamp_ns } else { self.min_ns.min(stamp_ns) };
        self.max_ns = self.max_ns.max(stamp_ns);
        self.next_seq += 1;
        self.packets += 1;
    }

    pub fn note(&mut self, note: &Note) {
        let id = self.id;
        match note {
            Note::Loss(loss) => self.block(format::LOSS_BYTES, 0, |out| encode::loss(out, id, loss)),
            Note::Clock(clock) => self.block(format::CLOCK_BYTES, 0, |out| encode::clock(out, id, clock)),
            Note::Event(event) => self.event(event),
        }
    }

    fn event(&mut self, event: &Event) {
        let (id, text) = (self.id, encode::kept_text(event));
        self.block(format::event_block_bytes(text.len()), 0, |out| encode::event(out, id, event, text));
    }

    /// Statistics and the end.
    pub fn end(&mut self, flags: u32) {
        let mut statistics = Vec::new();
        encode::statistics(&mut statistics, self.id, 0, self.max_ns, &InterfaceStats::default());
        let kind = u32::from_le_bytes(*statistics.first_chunk().unwrap());
        self.block(statistics.len(), 0, |out| {
            out.copy_from_slice(&statistics);
            kind
        });
        let end = EndOfSegment {
            flags,
            packets: self.packets,
            next_seq: self.next_seq,
            min_stamp_ns: self.min_ns,
            max_stamp_ns: self.max_ns,
        };
        let id = self.id;
        self.block(format::END_BYTES, 0, |out| encode::end_of_segment(out, id, &end));
    }

    pub fn name(&self) -> String {
        format::segment_name(self.queue, self.index)
    }

    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join(self.name());
        std::fs::write(&path, &self.bytes).unwrap();
        path
    }

    /// Writes it with its line in the manifest.
    pub fn seal(&mut self, dir: &Path) -> PathBuf {
        self.end(0);
        let path = self.write(dir);
        list(dir, self);
        path
    }

    /// Writes it as a live one: zeros up to `len`.
    pub fn write_live(&self, dir: &Path, len: usize) -> PathBuf {
        let path = dir.join(self.name());
        let mut bytes = self.bytes.clone();
        bytes.resize(len, 0);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Appends the segment's line to the manifest.
pub fn list(dir: &Path, segment: &Segment) {
    let (mut manifest, _) = ManifestFile::open(dir).unwrap();
    manifest
        .append(&Entry::Sealed(Sealed {
            name: segment.name(),
            size_bytes: segment.bytes.len() as u64,
            packets: segment.packets,
            first_ns: segment.min_ns,
            last_ns: segment.max_ns,
            blake3: *blake3::hash(&segment.bytes).as_bytes(),
        }))
        .unwrap();
}

/// One of each kind of block, in a segment of a few hundred bytes.
pub fn one_of_each(queue: u16, index: u32, first_seq: u64) -> Segment {
    use wiretape::clock::ClockReading;
    use wiretape::journal::EventKind;
    use wiretape::packet::{Loss, LossPlace};
    let mut segment = Segment::new(queue, index, first_seq);
    segment.note(&Note::Clock(ClockReading { realtime_ns: 99, phc_ns: Some(7), ..ClockReading::default() }));
    for n in 0..5 {
        segment.packet(100 + n, &[7; 61]);
    }
    segment.note(&Note::Loss(Loss { place: LossPlace::RING, packets: 3, from_ns: 104, to_ns: 105 }));
    segment.note(&Note::Event(Event {
        at_ns: 105,
        kind: EventKind::WARNING,
        value: 1,
        text: "hello".into(),
    }));
    segment.packet(106, &[8; 64]);
    segment
}
