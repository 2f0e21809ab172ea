//! How many ITCH messages a second one core decodes, validates and makes into DBN, from packets in memory.
//!
//! `cargo bench --bench decode -- [ROUNDS [MESSAGES]]` (default 7 rounds of 2,000,000 messages) makes an order flow (see
//! `bench/decode/flow.rs`) twice: in packets of a few messages, as on a quiet feed, and in full ones, as in a burst. Each round
//! walks over the same bytes with every contender in turn, so that the machine's moods meet all of them:
//!
//! - `walk`: adds up the bytes, eight at a time: what reading the memory costs;
//! - `itch5`: an ITCH crate of the registry steps over the messages and hands them out, nothing else (others were not timed);
//! - `decode`: our framing and structure checks, every message read into its fields, nothing else;
//! - `normalize`: framing, structure, books, rules, DBN records, side rows;
//! - `room`: the same from the packet's Ethernet header on, checksums and arbitration of lines included.
//!
//! Medians of the rounds in time on the core (so that what others do on the machine counts only by what it does to the caches);
//! ratios to `normalize`. Outputs are emptied every 64 packets, as a writer would. Allocations are counted.

#![expect(clippy::print_stdout, reason = "its output is its result")]
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[path = "decode/flow.rs"]
mod flow;

use flow::Image;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use wiretape::events::normalize::Normalizer;
use wiretape::events::normalize::itch50::Itch50;
use wiretape::events::output::{Arrival, Output};
use wiretape::events::room::Room;
use wiretape::feed::itch50::messages::{
    AddOrder, Message, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice, OrderReplace, Trade,
};
use wiretape::feed::itch50::{OverMold, check};
use wiretape::feed::{FeedConfig, FeedProtocol, Protocol};
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet};
use wiretape::time::{Stamp, StampClock};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system allocator unchanged; counting touches an atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s promise, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc_zeroed`'s promise, which is the system allocator's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s promise; the pointer came from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Packets after which outputs are emptied.
const DRAIN: usize = 64;

fn feed() -> FeedConfig {
    FeedConfig::one_line("bench", FeedProtocol::MoldUdp64Itch50, flow::GROUP.into(), flow::PORT)
}

fn drain(out: &mut Output) {
    for stream in &mut out.streams {
        black_box(&stream);
        stream.clear();
    }
    out.side.clear();
}

fn walk(image: &Image) -> u64 {
    let mut sum = 0_u64;
    for (_, frame) in image.packets() {
        let (words, tail) = frame.as_chunks::<8>();
        for word in words {
            sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
        sum = tail.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    }
    sum
}

/// Takes one field of each message, so that reading it is not optimised away.
#[derive(Default)]
struct Fold(u64);

macro_rules! fold {
    ($($method:ident: $message:ident, $field:ident;)*) => {
        impl itch5::MessageHandler for Fold {
            $(fn $method(&mut self, message: &itch5::messages::$message) -> ControlFlow<()> {
                self.0 = self.0.wrapping_add(u64::from(message.$field()));
                ControlFlow::Continue(())
            })*
        }
    };
}
fold! {
    on_add_order_no_mpid_attribution: AddOrderNoMPIDAttribution, order_reference_number;
    on_add_order_with_mpid_attribution: AddOrderWithMPIDAttribution, order_reference_number;
    on_order_delete: OrderDelete, order_reference_number;
    on_order_executed: OrderExecuted, order_reference_number;
    on_order_executed_with_price: OrderExecutedWithPrice, order_reference_number;
    on_order_cancel: OrderCancel, order_reference_number;
}

fn itch5(image: &Image) -> u64 {
    let mut fold = Fold::default();
    for (_, frame) in image.packets() {
        // Behind the headers, where its own framing begins.
        let blocks = frame.get(flow::HEADERS + 20..).unwrap_or_default();
        assert!(itch5::Parser::new(blocks).parse_stream(&mut fold).is_ok());
    }
    fold.0
}

fn decode(image: &Image) -> u64 {
    let mut sum = 0_u64;
    for (_, frame) in image.packets() {
        let payload = frame.get(flow::HEADERS..).unwrap_or_default();
        let Ok(frame) = OverMold.frame(payload, payload.len()) else { continue };
        for message in frame.messages() {
            if check(message).is_err() {
                continue;
            }
            match message.first() {
                Some(b'A' | b'F') => read::<AddOrder>(message),
                Some(b'D') => read::<OrderDelete>(message),
                Some(b'U') => read::<OrderReplace>(message),
                Some(b'E') => read::<OrderExecuted>(message),
                Some(b'C') => read::<OrderExecutedPrice>(message),
                Some(b'X') => read::<OrderCancel>(message),
                Some(b'P') => read::<Trade>(message),
                _ => sum += 1,
            }
        }
    }
    sum
}

#[inline]
fn read<M: Message>(message: &[u8]) {
    black_box(M::decode(message));
}

/// Packets through framing, checks and the normalizer; how many messages.
fn normalize(image: &Image, normalizer: &mut Itch50, out: &mut Output) -> u64 {
    let mut messages = 0;
    for (at, (stamp_ns, frame)) in image.packets().enumerate() {
        let payload = frame.get(flow::HEADERS..).unwrap_or_default();
        let arrival = Arrival { stamp: Stamp::new(stamp_ns, StampClock::HARDWARE), line: 0 };
        let Ok(frame) = OverMold.frame(payload, payload.len()) else { continue };
        messages += u64::from(frame.header.messages);
        normalizer.packet(&arrival, &frame, 0, out);
        if at % DRAIN == 0 {
            drain(out);
        }
    }
    messages
}

fn room(image: &Image, room: &mut Room) {
    for (at, (stamp_ns, bytes)) in image.packets().enumerate() {
        room.packet(&Packet {
            bytes,
            wire_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            stamp: Stamp::new(stamp_ns, StampClock::HARDWARE),
            arrival_ns: stamp_ns,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        });
        if at % DRAIN == 0 {
            room.outputs().for_each(|(_, out)| drain(out));
        }
    }
}

struct Contender {
    name: &'static str,
    ns: Vec<u64>,
}

/// Time that this thread has had of its core: others on the machine take none of it.
fn cpu_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every kernel has this clock");
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

fn timed<T>(contender: &mut Contender, work: impl FnOnce() -> T) -> T {
    let begin = cpu_ns();
    let done = black_box(work());
    contender.ns.push(cpu_ns() - begin);
    done
}

fn bench(title: &str, rounds: usize, warm: &Image, image: &Image) {
    let messages = image.messages;
    let mut contenders =
        ["walk", "itch5", "decode", "normalize", "room"].map(|name| Contender { name, ns: Vec::new() });
    let (mut allocations, mut room_allocations, mut broken) = (0, 0, 0);
    let mut normalizer = Itch50::new(&feed());
    let mut out = Output::new(&feed());
    for _ in 0..rounds {
        let [walked, by_crate, decoded, normalized, by_room] = &mut contenders;
        timed(walked, || walk(image));
        timed(by_crate, || itch5(image));
        timed(decoded, || decode(image));
        let begin = Arrival { stamp: Stamp::new(0, StampClock::NONE), line: 0 };
        normalizer.reset(&begin, &mut out);
        normalize(warm, &mut normalizer, &mut out);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(timed(normalized, || normalize(image, &mut normalizer, &mut out)), messages);
        allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        broken = wiretape::events::rules::Rule::ALL.iter().map(|rule| out.rules.count(*rule)).sum();
        let mut whole = Room::new(&[feed()]);
        room(warm, &mut whole);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        timed(by_room, || room(image, &mut whole));
        room_allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    let packets = image.packets().count();
    println!(
        "\n{title}: {messages} messages in {packets} packets, {} MB, {} live orders before",
        image.bytes.len() / 1_000_000,
        warm.live
    );
    println!(
        "{:<10} {:>10} {:>14} {:>12} {:>12}",
        "", "ns/message", "M messages/s", "x normalize", "best M/s"
    );
    let median = |contender: &Contender| {
        let mut sorted = contender.ns.clone();
        sorted.sort_unstable();
        (sorted[sorted.len() / 2], sorted[0])
    };
    let (reference, _) = median(&contenders[3]);
    for contender in &contenders {
        let (ns, best) = median(contender);
        println!(
            "{:<10} {:>10} {:>14} {:>12} {:>12}",
            contender.name,
            tenths(ns * 10, messages),
            tenths(messages * 10_000, ns),
            tenths(reference * 10, ns),
            tenths(messages * 10_000, best),
        );
    }
    println!(
        "allocations in the last round: normalize {allocations}, room {room_allocations}; rules broken {broken}"
    );
}

/// `tenths / by` as a decimal with one digit.
fn tenths(tenths: u64, by: u64) -> String {
    let value = tenths / by.max(1);
    format!("{}.{}", value / 10, value % 10)
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let rounds = numbers.next().unwrap_or(7);
    let messages = numbers.next().unwrap_or(2_000_000);
    for (title, packing) in [("quiet", flow::Packing::Few), ("burst", flow::Packing::Full)] {
        let mut flow = flow::Flow::new(packing);
        let warm = flow.fill(1_000_000);
        let image = flow.day(messages);
        bench(title, rounds, &warm, &image);
    }
}
