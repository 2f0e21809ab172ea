//! Normalizing ITCH allocates nothing in the steady state: counted by an allocator that counts.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wiretape::events::normalize::Normalizer;
use wiretape::events::normalize::itch50::Itch50;
use wiretape::events::output::{Arrival, Output};
use wiretape::feed::itch50::OverMold;
use wiretape::feed::itch50::messages::{AddOrder, Common, Message, OrderDelete, OrderExecuted, OrderReplace};
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol, Protocol};
use wiretape::time::{Stamp, StampClock};

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

/// 40 messages: orders of 8 stocks are added, executed, replaced and deleted.
fn payload(packet: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut encoder = Encoder::begin(&mut payload, *b"0000000001", 1 + packet * 40);
    for n in 0..8_u16 {
        let common = Common { locate: n, tracking: 0, timestamp_ns: 34_200_000_000_000 + packet * 1000 };
        let (order, stock) = (packet * 100 + u64::from(n), *b"TAPE    ");
        let (price, other) = (10_000 + u32::from(n), order + 50);
        encoder.message_with(|out| {
            AddOrder { common, order, side: b'B', shares: 300, stock, price }.encode(out);
        });
        encoder.message_with(|out| OrderExecuted { common, order, shares: 100, match_number: 1 }.encode(out));
        let replace =
            OrderReplace { common, old_order: order, new_order: other, shares: 5, price: price + 100 };
        encoder.message_with(|out| replace.encode(out));
        encoder.message_with(|out| {
            OrderExecuted { common, order: other, shares: 1, match_number: 2 }.encode(out);
        });
        encoder.message_with(|out| OrderDelete { common, order: other }.encode(out));
    }
    encoder.finish();
    payload
}

#[test]
fn ten_thousand_packets_are_normalized_without_an_allocation() {
    let payloads: Vec<Vec<u8>> = (0..10_100).map(payload).collect();
    let feed = FeedConfig::one_line("itch", FeedProtocol::MoldUdp64Itch50, [233, 0, 0, 1].into(), 1);
    let (mut itch, mut out) = (Itch50::with_capacity(&feed, 10_000), Output::new(&feed));
    let (mut before, mut records) = (0, 0);
    for (at, payload) in payloads.iter().enumerate() {
        if at == 100 {
            before = ALLOCATIONS.with(Cell::get);
        }
        let stamp_ns = 1_795_444_200_000_000_000 + 1000 * at as u64;
        let arrival = Arrival { stamp: Stamp::new(stamp_ns + 500, StampClock::HARDWARE), line: 0 };
        let Ok(frame) = OverMold.frame(payload, payload.len()) else { panic!("sound") };
        itch.packet(&arrival, &frame, 0, &mut out);
        records += out.streams.iter_mut().map(|stream| (stream.len(), stream.clear()).0).sum::<usize>();
        out.side.clear();
    }
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    assert_eq!(allocations, 0, "{allocations} allocations over 10,000 packets");
    assert!(records > 10_000 * 40 * 56);
    assert!(itch.books().orders().is_empty());
}
