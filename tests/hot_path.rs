//! Per packet, the data threads neither allocate nor enter the kernel: counted, not asserted.
//!
//! Needs root (own network namespace); the system calls are counted by strace.

#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(unsafe_code, reason = "the counting allocator")]

mod common;

use common::{need_tool, run_in_netns};
use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wiretape::capture::af_packet::{Mode, RingOptions};
use wiretape::journal::JournalOptions;
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, send};
use wiretape::pipeline::control::Status;
use wiretape::pipeline::ladder::Shed;
use wiretape::pipeline::placement::Layout;
use wiretape::pipeline::{CaptureConfig, Command as Asked, Hooks, Input, LiveInput, run};
use wiretape::validate::JudgeConfig;

/// Counts what threads named `wt-capture-*`, `wt-worker-*` and `wt-fused-*` allocate.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static CALLS_LOOKED_AT: AtomicU64 = AtomicU64::new(0);

fn is_data_thread() -> bool {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, which `name` has.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    [&b"wt-capture"[..], b"wt-worker", b"wt-fused"].iter().any(|start| name.starts_with(start))
}

// SAFETY: hands everything to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        if COUNTING.load(Relaxed) {
            CALLS_LOOKED_AT.fetch_add(1, Relaxed);
            if is_data_thread() {
                ALLOCATIONS.fetch_add(1, Relaxed);
                // The first is enough to fail; where it came from helps more than how many follow.
                COUNTING.store(false, Relaxed);
                eprintln!("allocated by a data thread: {}", std::backtrace::Backtrace::force_capture());
            }
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(memory) }
    }
    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: u64 = 5_000;
const MEASURED: u64 = 100_000;

fn plan() -> PlainPlan {
    PlainPlan::new(1, &[Shape { frame_len: 256, tags: Vec::new(), ipv6: false }])
}

fn send_frames(frames: u64, per_second: u32) {
    let (plan, mut id) = (plan(), 0);
    let options = SendOptions {
        interface: Lab::SENDER.to_owned(),
        pace: Pace::PerSecond(u64::from(per_second)),
        max_frames: Some(frames),
        max_duration: Some(Duration::from_secs(120)),
        qdisc_bypass: true,
    };
    let make = |out: &mut Vec<u8>| {
        plan.append(id, out);
        id += 1;
        true
    };
    send(&options, make, &AtomicBool::new(false)).unwrap();
}

/// Sends when the capture is ready, counts while the measured packets pass, then stops it.
struct Watch {
    sender: Option<std::thread::JoinHandle<()>>,
    done: bool,
    counted: bool,
}

impl Hooks for Watch {
    fn command(&mut self) -> Option<Asked> {
        (self.done && self.sender.take().is_some_and(|s| s.join().is_ok())).then_some(Asked::Stop)
    }
    fn ready(&mut self, _: &str) {
        self.sender = Some(std::thread::spawn(|| send_frames(WARM_UP + 2 * MEASURED, 50_000)));
    }
    fn log(&mut self, line: &str) {
        if line.starts_with("capture ends") {
            COUNTING.store(false, Relaxed);
        }
    }
    fn status(&mut self, status: &Status) {
        if status.seen > WARM_UP && !self.counted {
            self.counted = true;
            COUNTING.store(true, Relaxed);
        }
        if status.seen > WARM_UP + MEASURED + 60_000 {
            COUNTING.store(false, Relaxed);
            self.done = true;
        }
    }
}

#[test]
fn nothing_is_allocated_per_packet() {
    for (mode, layout) in [(Mode::Latency, Layout::Fused), (Mode::Throughput, Layout::Split)] {
        let dir = tempfile::tempdir().unwrap();
        let journal = JournalOptions { segment_bytes: 64 << 20, ..JournalOptions::new(dir.path().join("j")) };
        ALLOCATIONS.store(0, Relaxed);
        CALLS_LOOKED_AT.store(0, Relaxed);
        let Some(report) = run_in_netns(|_| {
            let config = CaptureConfig {
                events: false,
                input: Input::Live(vec![LiveInput {
                    ring: RingOptions {
                        mode,
                        spin: mode == Mode::Latency,
                        ..RingOptions::new(Lab::RECEIVER)
                    },
                    queues: 1,
                }]),
                journal: Some(journal),
                judge: JudgeConfig::default(),
                layout,
                cpus: Vec::new(),
                fifo: None,
                dma_latency_us: None,
                lock_memory: false,
                lockdown: None,
                spin: mode == Mode::Latency,
                shed: Shed::Nothing,
                count: None,
                duration: Some(Duration::from_secs(60)),
                stop_bytes: None,
                version: "test".to_owned(),
            };
            let mut watch = Watch { sender: None, done: false, counted: false };
            run(config, &mut watch).unwrap().report
        }) else {
            return;
        };
        assert!(report.packets.on_tape >= WARM_UP + MEASURED, "{mode:?}: {report:?}");
        assert!(
            CALLS_LOOKED_AT.load(Relaxed) > 0,
            "the allocator does count: the control thread allocates each second"
        );
        assert_eq!(
            ALLOCATIONS.load(Relaxed),
            0,
            "{mode:?}: allocations of data threads over {MEASURED} packets or more"
        );
    }
}

#[test]
fn no_system_call_is_made_per_packet() {
    if !need_tool("strace") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (log, journal) = (dir.path().join("strace"), dir.path().join("j"));
    let ran = run_in_netns(|_| {
        let mut child = Command::new("strace")
            .args(["-f", "-o"])
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_wiretape"))
            .args([
                "capture",
                "-q",
                "-i",
                Lab::RECEIVER,
                "--threads",
                "fused",
                "-B",
                "256MiB",
                "--duration",
                "30s",
            ])
            .args(["-c", "100000", "-w"])
            .arg(&journal)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until the journal's first segment is there, the capture is not listening yet.
        let first = journal.join("q00-000000.pcapng");
        for _ in 0..500 {
            if first.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(1500));
        send_frames(MEASURED + 20_000, 20_000);
        assert!(child.wait().unwrap().success());
    });
    if ran.is_none() {
        return;
    }
    // Lines are "TID call(…"; a thread says its name itself.
    let text = std::fs::read_to_string(&log).unwrap();
    let mut names = BTreeMap::new();
    let mut calls: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for line in text.lines() {
        let Some((tid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(name) = rest.strip_prefix("prctl(PR_SET_NAME, \"") {
            names.insert(tid, name.split('"').next().unwrap_or(""));
        }
        let call = rest.split('(').next().unwrap_or("");
        if !call.is_empty() && call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            *calls.entry(tid).or_default().entry(call).or_default() += 1;
        }
    }
    let sums = std::fs::read(journal.join("manifest")).unwrap();
    let on_tape: u64 =
        wiretape::journal::manifest::Manifest::parse(&sums).unwrap().kept().iter().map(|s| s.packets).sum();
    assert_eq!(on_tape, MEASURED, "all that were asked for came");
    let of = |start: &str| {
        let (tid, _) = names
            .iter()
            .find(|(_, name)| name.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {names:?}"));
        let made = &calls[tid];
        (made.values().sum::<u64>(), made.clone())
    };
    let (sum, made) = of("wt-fused");
    eprintln!("wt-fused: {sum} system calls for {MEASURED} packets: {made:?}");
    // Start, end, and one look a second at the kernel's counters.
    assert!(sum < MEASURED / 500, "wt-fused made {sum} system calls: {made:?}");
}
