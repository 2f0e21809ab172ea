//! Arbitration of two lines allocates nothing in the steady state: an allocator counts.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use wiretape::events::room::Room;
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet};
use wiretape::time::{Stamp, StampClock};
use wiretape::wire::build::{UdpFrame, multicast_mac, udp_frame};

thread_local! {
    /// Per thread: the test harness allocates on its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches a constant-initialised
// thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s promise, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s promise; the pointer came from `System.alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Packets of 3 messages on two lines, 100 µs apart, B 250 µs behind; line A brings every tenth pair of packets the wrong way
/// round, so that packets wait.
struct Stream {
    room: Room,
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

fn groups() -> [IpAddr; 2] {
    [IpAddr::from([239, 0, 0, 1]), IpAddr::from([239, 0, 0, 2])]
}

impl Stream {
    fn new() -> Self {
        let [a, b] = groups();
        let mut config = FeedConfig::one_line("f", FeedProtocol::MoldUdp64, a, 5000);
        let line = wiretape::feed::LineConfig { name: "B".to_owned(), group: b, ..config.lines[0].clone() };
        config.lines.push(line);
        config.limits.hold_ms = 10;
        Self { room: Room::new(&[config]), bytes: Vec::new(), payload: Vec::new() }
    }

    fn packet(&mut self, line: usize, number: u64, ns: u64) {
        let Self { room, bytes, payload } = self;
        payload.clear();
        bytes.clear();
        let mut encoder = Encoder::begin(payload, *b"SESSION001", 1 + number * 3);
        for message in 0..3_u64 {
            encoder.message_with(|out| out.extend_from_slice(&(number * 3 + message).to_le_bytes()));
        }
        encoder.finish();
        let dst = SocketAddr::new(groups()[line], 5000);
        let frame = UdpFrame {
            src_mac: [2; 6],
            dst_mac: multicast_mac(dst.ip()),
            vlan: None,
            src: SocketAddr::new(IpAddr::from([10, 0, 0, 9]), 9),
            dst,
            ttl: 8,
        };
        udp_frame(bytes, &frame, payload).unwrap();
        let packet = Packet {
            bytes,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            stamp: Stamp::new(ns, StampClock::HARDWARE),
            arrival_ns: 0,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        };
        room.packet(&packet);
    }

    fn play(&mut self, from: u64, to: u64) {
        for number in from..to {
            let ns = 1_700_000_000_000_000_000 + number * 100_000;
            let swapped = match number % 20 {
                6 => number + 1,
                7 => number - 1,
                _ => number,
            };
            self.packet(0, swapped, ns);
            if let Some(behind) = number.checked_sub(2) {
                self.packet(1, behind, ns + 50_000);
            }
        }
    }
}

#[test]
fn two_lines_are_arbitrated_without_an_allocation() {
    let mut stream = Stream::new();
    stream.play(0, 1000);
    for (_, output) in stream.room.outputs() {
        // Rows of reordered packets: their buffer is the caller's to empty.
        output.side.clear();
        output.side.reserve(1 << 20);
    }
    let before = ALLOCATIONS.with(Cell::get);
    stream.play(1000, 21_000);
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    let feed = stream.room.report().feeds.remove(0);
    let reordered = feed.rules.iter().find(|broken| broken.rule == "reorder").unwrap().count;
    assert_eq!((reordered, feed.messages, feed.gaps), (1050, 63_000, 0));
    // What came late on its line, and what B had no time to bring, is not raced.
    assert_eq!(feed.races[0].messages, 63_000 - 1050 * 3 - 6);
    assert_eq!(allocations, 0, "over 40,000 packets");
}
