//! A progress bar on standard error for whatever takes longer than a second at a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;
use wiretape::cli::common::Terminals;
use wiretape::clock::{Clock, SystemClock};
use wiretape::tape::input::{Input, Progress};

/// Draws while it lives; takes the bar away when it is dropped.
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Nothing is drawn that ends within this.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

/// Watches how far `input` has been read. `to_file`: what the tool writes does not go to the terminal meanwhile.
pub(crate) fn watch(input: &Input, terminals: Terminals, to_file: bool) -> Option<Watch> {
    watch_bytes(input.total_bytes(), input.progress(), terminals, to_file)
}

/// The same for a count of bytes and its total (0 = not known).
pub(crate) fn watch_bytes(
    total: u64,
    progress: Progress,
    terminals: Terminals,
    to_file: bool,
) -> Option<Watch> {
    if !terminals.stderr || (terminals.stdout && !to_file) {
        return None;
    }
    let (stop, stopped) = mpsc::channel::<()>();
    let draw = move || {
        if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let bar = bar(total, terminals.colour);
        loop {
            bar.set_position(if total > 0 { progress.bytes().min(total) } else { progress.bytes() });
            if stopped.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout) {
                bar.finish_and_clear();
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(draw).ok()?;
    Some(Watch { stop: Some(stop), thread: Some(thread) })
}

fn bar(total: u64, colour: bool) -> ProgressBar {
    let (bar, template) = if total > 0 {
        let wide = if colour { "{wide_bar:.cyan}" } else { "{wide_bar}" };
        (ProgressBar::new(total), format!("{{elapsed_precise}} {wide} {{bytes}}/{{total_bytes}} {{eta}}"))
    } else {
        (ProgressBar::new_spinner(), "{elapsed_precise} {bytes} read".to_owned())
    };
    // A template that does not parse is replaced by the library's own: nothing to fail over.
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bar for tools that report their progress themselves.
pub(crate) struct Draw {
    terminals: Terminals,
    begun_ns: u64,
    bar: Option<ProgressBar>,
}

impl Draw {
    /// Nothing is drawn yet.
    pub(crate) fn new(terminals: Terminals) -> Self {
        Self { terminals, begun_ns: SystemClock.monotonic_ns(), bar: None }
    }
    /// The tool is at `done` of `total` bytes.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        let age_ns = SystemClock.monotonic_ns().saturating_sub(self.begun_ns);
        if !self.terminals.stderr || u128::from(age_ns) < PATIENCE.as_nanos() {
            return;
        }
        self.bar.get_or_insert_with(|| bar(total, self.terminals.colour)).set_position(done);
        if done >= total
            && let Some(bar) = &self.bar
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Draw {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
