//! Judging allocates nothing: counted over 100,000 packets by an allocator that counts.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wiretape::clock::{Clock, SystemClock};
use wiretape::feed::itch50::messages::{AddOrder, Message};
use wiretape::feed::moldudp64::{self, Encoder};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{Judge, JudgeConfig};
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

fn frame(source: u8, payload: &[u8]) -> Vec<u8> {
    let dst = "239.1.2.3:5000".parse::<std::net::SocketAddr>().unwrap();
    let src = format!("10.0.0.{source}:9").parse().unwrap();
    let mut out = Vec::new();
    let frame = UdpFrame { src_mac: [2; 6], dst_mac: multicast_mac(dst.ip()), vlan: None, src, dst, ttl: 8 };
    udp_frame(&mut out, &frame, payload).unwrap();
    out
}

/// Sound packets, gaps, duplicates, fills, restarts, new sessions and lines, noise and damage: all that a judge may meet.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..2000_u64 {
        let session = format!("S{:09}", number / 100).into_bytes().try_into().unwrap();
        let sequence = (number * 7) % 1500 + 1;
        let mut payload = Vec::new();
        let mut encoder = Encoder::begin(&mut payload, session, sequence);
        for _ in 0..number % 5 {
            encoder.message_with(|out| AddOrder::default().encode(out));
        }
        encoder.finish();
        let source = u8::try_from(number % 20).unwrap();
        frames.push(frame(source, &payload));
        payload.pop();
        frames.push(frame(source, &payload));
        let mut control = Vec::new();
        moldudp64::end_of_session(&mut control, session, sequence + 9);
        frames.push(frame(source, &control));
    }
    frames
}

#[test]
fn a_hundred_thousand_packets_are_judged_without_an_allocation() {
    let frames = frames();
    let mut judge = Judge::new(&JudgeConfig { max_streams: 64, ..JudgeConfig::default() });
    let mut judged = 0_u64;
    let mut accepted = 0_u64;
    let before = ALLOCATIONS.with(Cell::get);
    while judged < 100_000 {
        for bytes in &frames {
            accepted += u64::from(judge.judge(&packet(bytes)).verdict == Verdict::ACCEPTED);
            judged += 1;
        }
        judge.skip();
    }
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    assert_eq!(allocations, 0, "{allocations} allocations over {judged} packets");
    assert!(accepted > judged / 3 && accepted < judged);
    assert!(judge.untracked() > 0, "the tables were filled");
    assert_eq!(judge.feeds().len(), 64);
}

/// Run by hand: `cargo test --release --test validate_alloc -- --ignored --nocapture`.
#[test]
#[ignore = "measures time; needs a release build and a quiet machine"]
fn how_long_a_packet_of_256_bytes_takes() {
    let mut payload = Vec::new();
    let frames: Vec<Vec<u8>> = (0..1000)
        .map(|number| {
            payload.clear();
            let mut encoder = Encoder::begin(&mut payload, *b"S000000001", 1 + number * 5);
            for _ in 0..5 {
                encoder.message_with(|out| AddOrder::default().encode(out));
            }
            encoder.finish();
            frame(1, &payload)
        })
        .collect();
    let clock = SystemClock;
    let judge_all = |frames: &[Vec<u8>]| {
        let mut judge = Judge::new(&JudgeConfig::default());
        let begin = clock.monotonic_ns();
        for bytes in frames {
            assert_eq!(std::hint::black_box(judge.judge(&packet(bytes))).verdict, Verdict::ACCEPTED);
        }
        (clock.monotonic_ns() - begin) / 1000
    };
    let mut runs: Vec<u64> = (0..200).map(|_| judge_all(&frames)).collect();
    runs.sort_unstable();
    eprintln!("{} bytes: median {} ns a packet, best {}", frames[0].len(), runs[100], runs[0]);
}
