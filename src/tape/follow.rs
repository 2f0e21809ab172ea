//! `tape follow`: packets as they come onto a live tape, all queues by stamp, through whatever prints them.
//!
//! The tape is looked at every [`FollowOptions::poll`]; no lock and no message to the writer. It ends by itself where the
//! capture ended in good order; after a crash the next start does that, so until then following goes on waiting.
//! What was handed over is flushed before each wait, so a reader at the other end of a pipe is never behind.

use super::outcome::{Outcome, TapeError};
use super::pcapng_out::PcapngOut;
use crate::clock::Clock;
use crate::journal::reader::{Merged, ReadOptions, Record, Step, Tape, TapePacket};
use crate::packet::InterfaceDef;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to follow, and for how long.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// A journal's directory, or a live segment.
    pub path: PathBuf,
    /// Begin with what is on tape already, not with what comes from now on.
    pub from_start: bool,
    /// How often to look for more.
    pub poll: Duration,
    /// Longest time that a packet waits for a quiet queue ([`crate::journal::reader::Merged`]).
    pub hold: Duration,
}

impl FollowOptions {
    /// From now on, looking fifty times a second, held for a fifth of a second at most.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            from_start: false,
            poll: Duration::from_millis(20),
            hold: Duration::from_millis(200),
        }
    }
}

/// What takes the packets.
pub trait Sink {
    /// A packet. `Break` ends the following (enough were seen).
    ///
    /// # Errors
    /// [`TapeError`] ends it too.
    fn packet(
        &mut self,
        packet: &TapePacket<'_>,
        interface: Option<&InterfaceDef>,
    ) -> Result<ControlFlow<()>, TapeError>;

    /// Nothing more for now: hand over what is buffered.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    fn flush(&mut self) -> Result<(), TapeError>;
}

/// `-w`: everything is written as pcapng.
impl<W: Write> Sink for PcapngOut<W> {
    fn packet(
        &mut self,
        packet: &TapePacket<'_>,
        interface: Option<&InterfaceDef>,
    ) -> Result<ControlFlow<()>, TapeError> {
        self.tape_packet(packet, interface)?;
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> Result<(), TapeError> {
        PcapngOut::flush(self)
    }
}

/// Follows until the capture ends, the sink has enough, or `stop` is set. Whoever reads our output
/// having gone is an end, too, and no error.
///
/// # Errors
/// [`TapeError`]: the tape's, or the sink's.
pub fn run(
    options: &FollowOptions,
    sink: &mut dyn Sink,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<Outcome, TapeError> {
    let tape = Tape::open(&options.path)?;
    let hold_ns = u64::try_from(options.hold.as_nanos()).unwrap_or(u64::MAX);
    let read = ReadOptions { follow: true, hold_ns, ..ReadOptions::default() };
    let mut merged = if options.from_start { tape.merged(read) } else { tape.merged_from_live_end(read)? };
    // Wireshark shows the interfaces as soon as it has the section header.
    let result = sink.flush().and_then(|()| follow(&mut merged, options.poll, sink, clock, stop));
    match result {
        Ok(()) => Ok(Outcome::Good),
        Err(error) if error.is_broken_pipe() => Ok(Outcome::Good),
        Err(error) => Err(error),
    }
}

fn follow(
    merged: &mut Merged,
    poll: Duration,
    sink: &mut dyn Sink,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<(), TapeError> {
    while !stop.load(Ordering::Relaxed) {
        match merged.step(clock.monotonic_ns())? {
            Step::Record => {
                if let Some(Record::Packet(packet)) = merged.record()
                    && sink.packet(&packet, merged.interface_of(&packet))?.is_break()
                {
                    break;
                }
            }
            Step::Wait => {
                sink.flush()?;
                std::thread::sleep(poll);
            }
            Step::End => break,
        }
    }
    sink.flush()
}
