//! The writer's promises about the heap, in a process of their own: nothing else counts here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wiretape::clock::ClockReading;
use wiretape::journal::format::MIB;
use wiretape::journal::{Append, Journal, JournalOptions, Note};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use wiretape::time::{Stamp, StampClock};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts can only be written so")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[test]
fn a_hundred_thousand_appends_over_several_segments_touch_the_heap_not_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = JournalOptions::new(dir.path().join("j"));
    options.segment_bytes = 4 * MIB;
    let (journal, _) = Journal::open(options).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    let def = InterfaceDef::named("eth0", LinkType::ETHERNET);
    let bytes = [3; 200];
    let packet = Packet {
        bytes: &bytes,
        wire_len: 200,
        stamp: Stamp::new(5, StampClock::USER),
        arrival_ns: 6,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks(0),
        gso_size: 0,
        lost_before: 1,
    };
    let note = Note::Clock(ClockReading::default());
    let mut counted = 0;
    let mut written = 0;
    let mut measured = |work: &mut dyn FnMut() -> Append| {
        let before = CALLS.with(Cell::get);
        let answer = work();
        counted += CALLS.with(Cell::get) - before;
        answer
    };
    assert_eq!(measured(&mut || writer.add_interface(&def)), Append::Written);
    while written < 100_000 {
        match measured(&mut || writer.append(&packet, Judgement::NOT_JUDGED)) {
            Append::Written => written += 1,
            _ => drop(keeper.step()),
        }
        if written % 100 == 0 {
            let _ = measured(&mut || {
                writer.idle();
                writer.note(&note)
            });
        }
    }
    assert_eq!(counted, 0);
    writer.finish(&[]);
    assert!(keeper.finish().stats.sealed > 5);
}
