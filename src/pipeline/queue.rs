//! The loops of a queue's threads: capture and worker apart, or fused into one.
//!
//! Both layouts run the same worker over the same leases, so they give the same
//! tape. A capture thread only takes, stamps and hands over; in the spinning mode it
//! makes no system call while packets come.

use super::counters::CaptureCounters;
use super::worker::Worker;
use crate::capture::{Lease, Source, SourceError, Take};
use crate::clock::Clock;
use crate::packet::Loss;
use crate::ring::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

/// What a capture thread hands to its worker.
#[derive(Debug)]
pub enum Handed<L> {
    /// Packets.
    Lease(L),
    /// A loss that no lease could carry (found at a tick, or at the very end).
    Loss(Loss),
}

/// What all threads of a capture look at.
#[derive(Debug, Default)]
pub struct Signals {
    /// Let nothing more in, drain, end.
    pub stop: Arc<AtomicBool>,
    /// Wait for packets by spinning (latency mode) rather than by sleeping.
    pub spin: bool,
}

/// Leases between two looks at the notes and the ladder.
const LEASES_PER_LOOK: u32 = 64;
/// Longest wait for packets, so that a stop is seen soon.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// How long a waiting worker sleeps when it does not spin.
const WORKER_NAP: Duration = Duration::from_micros(50);
const TICK_NS: u64 = 1_000_000_000;
/// Leases or idle turns between two looks at the monotonic clock.
const TURNS_PER_CLOCK_LOOK: u32 = 1024;

/// Decides when the kernel's counters are read, and when intake stops.
struct Pulse<C> {
    clock: C,
    turns: u32,
    next_tick_ns: u64,
    stopping: bool,
}

impl<C: Clock> Pulse<C> {
    fn new(clock: C) -> Self {
        let next_tick_ns = clock.monotonic_ns() + TICK_NS;
        Self { clock, turns: 0, next_tick_ns, stopping: false }
    }

    /// One turn of the loop; answers a loss found by the once-a-second look at the counters.
    fn turn<S: Source>(
        &mut self,
        source: &mut S,
        signals: &Signals,
        counters: &CaptureCounters,
    ) -> Option<Loss> {
        if !self.stopping && signals.stop.load(Relaxed) {
            self.stopping = true;
            source.stop_intake();
        }
        self.turns += 1;
        if self.turns < TURNS_PER_CLOCK_LOOK {
            return None;
        }
        self.turns = 0;
        let now_ns = self.clock.monotonic_ns();
        if now_ns < self.next_tick_ns {
            return None;
        }
        self.next_tick_ns = now_ns + TICK_NS;
        let loss = source.tick();
        counters.publish(source.counts());
        loss
    }

    /// A long wait counts as many turns.
    fn waited(&mut self, spin: bool) {
        if !spin {
            self.turns = TURNS_PER_CLOCK_LOOK;
        }
    }
}

/// The capture thread: takes leases and hands them over until the source ends.
///
/// # Errors
/// What ended the source other than its regular end; what was taken before is handed over all the same.
pub fn capture_loop<S: Source, C: Clock>(
    source: &mut S,
    out: &mut Producer<Handed<S::Lease>>,
    signals: &Signals,
    counters: &CaptureCounters,
    clock: C,
) -> Result<(), SourceError> {
    let mut pulse = Pulse::new(clock);
    let result = loop {
        if let Some(loss) = pulse.turn(source, signals, counters) {
            hand(out, Handed::Loss(loss));
        }
        match source.take() {
            Ok(Take::Lease(lease)) => {
                counters.leases.add(1);
                hand(out, Handed::Lease(lease));
            }
            Ok(Take::Idle) => {
                if let Err(error) = source.wait(LONGEST_WAIT) {
                    break Err(error);
                }
                pulse.waited(signals.spin);
            }
            Ok(Take::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Some(loss) = source.tick() {
        hand(out, Handed::Loss(loss));
    }
    counters.publish(source.counts());
    result
}

/// Hands over. The ring holds every lease a kernel ring has, so only a file source can find it full, and waits.
fn hand<T>(out: &mut Producer<T>, mut item: T) {
    while let Err(rtrb::PushError::Full(back)) = out.push(item) {
        item = back;
        std::thread::sleep(WORKER_NAP);
    }
}

/// The worker thread: works on what is handed over until the capture thread is done and the ring is empty.
pub fn worker_loop<L: Lease, C: Clock>(
    worker: &mut Worker<C>,
    input: &mut Consumer<Handed<L>>,
    signals: &Signals,
    capture_done: &AtomicBool,
) {
    let half = input.buffer().capacity() / 2;
    let mut leases = 0;
    loop {
        match input.pop() {
            Ok(Handed::Lease(lease)) => {
                worker.lease(lease);
                leases += 1;
                if leases == LEASES_PER_LOOK {
                    leases = 0;
                    worker.take_notes();
                    worker.pressure(input.slots() >= half);
                }
            }
            Ok(Handed::Loss(loss)) => worker.loss(loss),
            Err(rtrb::PopError::Empty) => {
                // The flag is stored after the last push, so an empty ring seen after it is empty for good.
                if capture_done.load(Acquire) && input.is_empty() {
                    return;
                }
                worker.idle();
                worker.pressure(false);
                if signals.spin { std::hint::spin_loop() } else { std::thread::sleep(WORKER_NAP) }
            }
        }
    }
}

/// Says that the capture thread has pushed its last.
pub fn capture_is_done(flag: &AtomicBool) {
    flag.store(true, Release);
}

/// Capture and worker in one thread: for hosts with one or two CPUs, and for files.
///
/// # Errors
/// As [`capture_loop`].
pub fn fused_loop<S: Source, C: Clock>(
    source: &mut S,
    worker: &mut Worker<C>,
    signals: &Signals,
    counters: &CaptureCounters,
    clock: C,
) -> Result<(), SourceError> {
    let mut pulse = Pulse::new(clock);
    let mut leases = 0;
    let result = loop {
        if let Some(loss) = pulse.turn(source, signals, counters) {
            worker.loss(loss);
        }
        match source.take() {
            Ok(Take::Lease(lease)) => {
                counters.leases.add(1);
                worker.lease(lease);
                leases += 1;
                if leases == LEASES_PER_LOOK {
                    leases = 0;
                    worker.take_notes();
                    worker.pressure(!source.can_wait() && source.under_pressure());
                }
            }
            Ok(Take::Idle) => {
                worker.idle();
                worker.pressure(false);
                if let Err(error) = source.wait(LONGEST_WAIT) {
                    break Err(error);
                }
                pulse.waited(signals.spin);
            }
            Ok(Take::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Some(loss) = source.tick() {
        worker.loss(loss);
    }
    counters.publish(source.counts());
    result
}
