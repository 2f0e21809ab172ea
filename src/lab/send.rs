//! Sends frames at a pace, and says exactly how many went.
//!
//! One anchor: frame `n` is due at `anchor + n / pace`, or when its maker says, so a late frame delays no other.
//! The wait sleeps until shortly before the moment and spins the rest. Frames that are due
//! together leave in one system call. `ENOBUFS` means "not now": the frame was not taken, it
//! is tried again and the refusal is counted, so `sent` is exact. Frames are made into one
//! buffer that is used again; nothing is allocated after the first batch.

use crate::clock::{Clock, SystemClock};
use crate::sys::pace::sleep_until_monotonic_ns;
use crate::sys::packet_send::{FrameSocket, MAX_BATCH};
use crate::time::NS_PER_SEC;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Spun rather than slept before a frame is due, ns: about what a timer is late here.
const SPIN_NS: u64 = 60_000;
/// How long to leave the kernel alone after `ENOBUFS`, ns.
const REFUSED_PAUSE_NS: u64 = 20_000;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the kernel takes them, [`MAX_BATCH`] at a time.
    Flood,
    /// This many frames a second, evenly spaced; 0 counts as 1.
    PerSecond(u64),
    /// When their maker says ([`send_timed`]).
    Planned,
}

/// How to send.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Interface of the calling thread's network namespace.
    pub interface: String,
    /// How fast.
    pub pace: Pace,
    /// Stop after this many frames, if the maker has not ended before.
    pub max_frames: Option<u64>,
    /// Stop after this long.
    pub max_duration: Option<Duration>,
    /// Past the queueing discipline, straight to the driver (`PACKET_QDISC_BYPASS`).
    pub qdisc_bypass: bool,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Frames that the kernel accepted.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were made but not sent, because the duration ended or a stop was asked for.
    pub unsent: u64,
    /// Times the kernel had no room (`ENOBUFS`) and was asked again.
    pub refusals: u64,
    /// From the first frame to the last, ns.
    pub elapsed_ns: u64,
    /// The latest that a frame left after it was due, ns; 0 in a flood.
    pub latest_ns: u64,
}

/// Why sending ended early. What was sent before is in it: the count stays exact.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The interface could not be opened for sending.
    #[error("cannot send on {interface}: {error}{}", hint(error))]
    Open {
        /// The interface.
        interface: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The kernel refused a frame for good.
    #[error("sending on {interface} ended after {} frames: frame of {frame_len} bytes: {error}{}", sent.frames, hint(error))]
    Send {
        /// The interface.
        interface: String,
        /// Length of the frame that was refused, bytes.
        frame_len: usize,
        /// What was sent until then.
        sent: Sent,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; raw frames need CAP_NET_RAW: run it with sudo",
        Some(libc::EMSGSIZE) => "; the interface's MTU is smaller",
        Some(libc::ENETDOWN) => "; the interface is down: `ip link set NAME up`",
        Some(libc::ENODEV) => "; there is no such interface",
        _ => "",
    }
}

/// Frames made ahead, end to end in one buffer.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// When each is due, ns after the anchor.
    due_ns: Vec<u64>,
    first: usize,
}

impl Batch {
    fn refill(&mut self, make: &mut impl FnMut(&mut Vec<u8>) -> Option<u64>, limit: usize) {
        self.bytes.clear();
        self.ends.clear();
        self.due_ns.clear();
        self.first = 0;
        while self.ends.len() < limit
            && let Some(due_ns) = make(&mut self.bytes)
        {
            self.ends.push(self.bytes.len());
            self.due_ns.push(due_ns);
        }
    }
    fn waiting(&self) -> usize {
        self.ends.len() - self.first
    }
    fn frames(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        (self.first..self.ends.len()).take(count).map(|i| &self.bytes[self.start(i)..self.ends[i]])
    }
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
    /// Takes the first `count` off; answers their bytes.
    fn advance(&mut self, count: usize) -> usize {
        let from = self.start(self.first);
        self.first += count;
        self.start(self.first) - from
    }
}

/// Sends what `make` appends to the buffer (one frame a call, `false` = no more) until it ends, a bound
/// of the options is reached, or `stop` is set. Without times from the maker, [`Pace::Planned`] is a flood.
///
/// # Errors
/// [`SendError`], with what was sent before.
pub fn send(
    options: &SendOptions,
    mut make: impl FnMut(&mut Vec<u8>) -> bool,
    stop: &AtomicBool,
) -> Result<Sent, SendError> {
    send_timed(options, |out| make(out).then_some(0), stop)
}

/// As [`send`], where `make` also says when the frame is due, ns after the first call; it counts if the pace is
/// [`Pace::Planned`].
///
/// # Errors
/// [`SendError`], with what was sent before.
pub fn send_timed(
    options: &SendOptions,
    mut make: impl FnMut(&mut Vec<u8>) -> Option<u64>,
    stop: &AtomicBool,
) -> Result<Sent, SendError> {
    let interface = || options.interface.clone();
    let socket = FrameSocket::open(&options.interface, options.qdisc_bypass)
        .map_err(|error| SendError::Open { interface: interface(), error })?;
    let mut left = options.max_frames.unwrap_or(u64::MAX);
    let mut batch = Batch::default();
    let mut sent = Sent::default();
    let anchor_ns = SystemClock.monotonic_ns();
    let end_ns = options
        .max_duration
        .map_or(u64::MAX, |d| anchor_ns.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)));
    loop {
        if batch.waiting() == 0 {
            batch.refill(&mut make, usize::try_from(left).unwrap_or(MAX_BATCH).min(MAX_BATCH));
            left -= batch.waiting() as u64;
        }
        let waiting = batch.waiting();
        let over = stop.load(Ordering::Relaxed) || SystemClock.monotonic_ns() >= end_ns;
        if waiting == 0 || over {
            sent.unsent = waiting as u64;
            return Ok(sent);
        }
        let due_ns = |n: usize| match options.pace {
            Pace::Flood => 0,
            Pace::PerSecond(pps) => due_at(anchor_ns, sent.frames + n as u64, pps),
            Pace::Planned => anchor_ns.saturating_add(batch.due_ns[batch.first + n]),
        };
        let due = if options.pace == Pace::Flood {
            waiting
        } else {
            let first_ns = due_ns(0);
            if first_ns >= end_ns {
                sleep_until_monotonic_ns(end_ns);
                continue;
            }
            let now_ns = wait_until(first_ns);
            let due = 1 + (1..waiting).take_while(|n| due_ns(*n) <= now_ns).count();
            sent.latest_ns = sent.latest_ns.max(now_ns - first_ns);
            due
        };
        match socket.send_batch(batch.frames(due)) {
            Ok(taken) => {
                sent.frames += taken as u64;
                sent.bytes += batch.advance(taken) as u64;
                sent.elapsed_ns = SystemClock.monotonic_ns() - anchor_ns;
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                sent.refusals += 1;
                sleep_until_monotonic_ns(SystemClock.monotonic_ns() + REFUSED_PAUSE_NS);
            }
            Err(error) => {
                let frame_len = batch.frames(1).map(<[u8]>::len).sum();
                return Err(SendError::Send { interface: interface(), frame_len, sent, error });
            }
        }
    }
}

/// When frame `n` is due. In 128 bits, so that no product overflows and nothing is rounded twice.
fn due_at(anchor_ns: u64, n: u64, pps: u64) -> u64 {
    let offset = u128::from(n) * u128::from(NS_PER_SEC) / u128::from(pps.max(1));
    anchor_ns.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
}

/// Sleeps, then spins; answers the moment that ended it, at or after `due_ns`.
fn wait_until(due_ns: u64) -> u64 {
    let mut now_ns = SystemClock.monotonic_ns();
    if now_ns + SPIN_NS < due_ns {
        sleep_until_monotonic_ns(due_ns - SPIN_NS);
        now_ns = SystemClock.monotonic_ns();
    }
    while now_ns < due_ns {
        std::hint::spin_loop();
        now_ns = SystemClock.monotonic_ns();
    }
    now_ns
}
