//! The built programs on real packets: what was sent is on tape, byte for byte, and every packet is
//! accounted for, however the capture is squeezed or killed.
//!
//! Needs root (own network namespaces). `WIRETAPE_LONG=1` runs the long forms: a million packets, 200 kills.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{need_tool, run_in_netns};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wiretape::clock::{Clock, SystemClock};
use wiretape::journal::reader::{ReadOptions, Record, Step, Tape};
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, Sent, send};

const WIRETAPE: &str = env!("CARGO_BIN_EXE_wiretape");
const TAPE: &str = env!("CARGO_BIN_EXE_tape");

fn long() -> bool {
    std::env::var_os("WIRETAPE_LONG").is_some()
}

/// A running capture; killed if the test ends early.
struct Capture(Child);

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Capture {
    /// Starts `wiretape capture -i wt1 --json` with `words`, and waits until it listens.
    fn start(dir: &Path, words: &[&str]) -> Self {
        let mut child = Command::new(WIRETAPE)
            .args(["capture", "-i", Lab::RECEIVER, "--json", "-w"])
            .arg(dir)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut heard = String::new();
        let stderr = child.stderr.as_mut().unwrap();
        let mut byte = [0];
        while !heard.contains("listening on") {
            assert!(stderr.read(&mut byte).unwrap() == 1, "the capture ended at once: {heard}");
            heard.push(char::from(byte[0]));
        }
        Self(child)
    }
    fn signal(&self, signal: i32) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    }
    /// Ends it cleanly; its report.
    fn stop(mut self) -> Value {
        self.signal(libc::SIGINT);
        let mut json = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut json).unwrap();
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}: {stderr}");
        serde_json::from_str(&json).unwrap()
    }
    fn kill(mut self) {
        self.signal(libc::SIGKILL);
        self.0.wait().unwrap();
    }
}

fn flood(plan: &PlainPlan, frames: u64, pace: Pace) -> Sent {
    let mut id = 0;
    let options = SendOptions {
        interface: Lab::SENDER.to_owned(),
        pace,
        max_frames: Some(frames),
        max_duration: Some(Duration::from_secs(300)),
        qdisc_bypass: true,
    };
    let make = |out: &mut Vec<u8>| {
        plan.append(id, out);
        id += 1;
        true
    };
    send(&options, make, &AtomicBool::new(false)).unwrap()
}

/// Every packet on tape, checked against the plan: how many, and whether ids rise one by one from 0.
fn check_tape(dir: &Path, plan: &PlainPlan) -> (u64, u64) {
    let tape = Tape::open(dir).unwrap();
    let (mut packets, mut lost, mut scratch) = (0, 0, Vec::new());
    for queue in tape.queues() {
        let mut reader = tape.queue(queue, ReadOptions::default());
        let mut last = None;
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(p) = record {
                let id = plan.check(p.bytes, &mut scratch).unwrap_or_else(|e| panic!("seq {}: {e}", p.seq));
                assert!(last.is_none_or(|last| id > last), "frame {id} after {last:?}");
                last = Some(id);
                assert_eq!(p.wire_len as usize, p.bytes.len());
                lost += p.lost_before;
                packets += 1;
            }
        }
    }
    (packets, lost)
}

fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// Every sum in the report holds.
fn adds_up(report: &Value) {
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["left"], check["right"], "{check}");
    }
}

fn verify(dir: &Path) {
    let out = Command::new(TAPE).arg("verify").arg(dir).output().unwrap();
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The sum of `epb_dropcount` over all segments, as tshark reads them.
fn drop_counts_by_tshark(dir: &Path) -> u64 {
    segments(dir)
        .iter()
        .map(|path| stdout_of("tshark", &["-n", "-r", path, "-T", "fields", "-e", "frame.drop_count"]))
        .flat_map(|text| text.lines().filter_map(|line| line.parse::<u64>().ok()).collect::<Vec<_>>())
        .sum()
}

/// The journal's segments, in order.
fn segments(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<_> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "pcapng"))
        .map(|p| p.to_str().unwrap().to_owned())
        .collect();
    segments.sort();
    segments
}

fn stdout_of(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// All sizes, tags and families; in both modes, split and fused, over one queue and two.
#[test]
fn what_was_sent_is_on_tape_byte_for_byte() {
    let frames = if long() { 1_000_000 } else { 60_000 };
    let modes: &[&[&str]] = &[
        &["--mode", "latency", "--threads", "fused"],
        &["--mode", "throughput", "--threads", "split"],
        &["--mode", "throughput", "--queues", "2", "--fanout", "hash"],
    ];
    for words in modes {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("j");
        let plan = PlainPlan::new(7, &[]);
        let Some(sent) = run_in_netns(|_| {
            let all: Vec<&str> =
                words.iter().copied().chain(["-B", "256MiB", "--segment-size", "64MiB"]).collect();
            let capture = Capture::start(&journal, &all);
            let sent = flood(&plan, frames, Pace::PerSecond(20_000));
            let report = capture.stop();
            adds_up(&report);
            assert_eq!(number(&report, "/packets/received"), sent.frames, "{words:?} {report}");
            assert_eq!(number(&report, "/lost/ring"), 0, "{words:?}");
            sent.frames
        }) else {
            return;
        };
        assert_eq!(check_tape(&journal, &plan), (sent, 0), "{words:?}");
        verify(&journal);
    }
}

/// tshark, capinfos and tcpdump open every segment without a warning and agree on what is there.
#[test]
fn other_readers_open_a_captured_journal_without_a_warning() {
    if !(need_tool("tshark") && need_tool("capinfos") && need_tool("tcpdump")) {
        return;
    }
    let frames = if long() { 1_000_000 } else { 30_000 };
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    let plan = PlainPlan::new(9, &[]);
    let ran = run_in_netns(|_| {
        let capture = Capture::start(&journal, &["-B", "256MiB", "--segment-size", "16MiB"]);
        flood(&plan, frames, Pace::PerSecond(20_000));
        adds_up(&capture.stop());
    });
    if ran.is_none() {
        return;
    }
    let segments = segments(&journal);
    assert!(segments.len() > 3, "several segments");
    let mut stamps = Vec::new();
    let tape = Tape::open(&journal).unwrap();
    let mut reader = tape.queue(0, ReadOptions::default());
    while let Some(record) = reader.next_record().unwrap() {
        if let Record::Packet(p) = record {
            stamps.push((p.stamp.ns, p.bytes.len(), p.wire_len));
        }
    }
    assert_eq!(stamps.len() as u64, frames);
    let mut seen = 0;
    for path in &segments {
        let run = |program: &str, args: &[&str]| {
            let out = Command::new(program).args(args).output().unwrap();
            let stderr: String = String::from_utf8_lossy(&out.stderr)
                .lines()
                .filter(|l| !l.starts_with("reading from file") && !l.contains("as user \"root\""))
                .collect();
            assert!(out.status.success() && stderr.is_empty(), "{program} on {path}: {stderr}");
            String::from_utf8(out.stdout).unwrap()
        };
        let fields = run(
            "tshark",
            &[
                "-n",
                "-r",
                path,
                "-T",
                "fields",
                "-e",
                "frame.time_epoch",
                "-e",
                "frame.cap_len",
                "-e",
                "frame.len",
                "-e",
                "frame.interface_name",
            ],
        );
        for line in fields.lines() {
            let (ns, cap, len) = stamps[seen];
            let expected =
                format!("{}.{:09}\t{cap}\t{len}\t{}", ns / 1_000_000_000, ns % 1_000_000_000, Lab::RECEIVER);
            assert_eq!(line, expected, "{path}");
            seen += 1;
        }
        let info = run("capinfos", &[path]);
        assert!(info.contains("nanoseconds (9)") && info.contains(Lab::RECEIVER), "{info}");
        let lines = run("tcpdump", &["-nn", "-r", path]).lines().count();
        assert_eq!(lines, fields.lines().count(), "{path}");
    }
    assert_eq!(seen as u64, frames);
}

/// The ring is kept too small and the capture stopped in the middle (SIGSTOP): what is missing is counted, exactly,
/// where it is missing.
#[test]
fn sent_is_on_tape_plus_losses_counted_when_the_ring_overflows() {
    if !need_tool("tshark") {
        return;
    }
    let frames = 150_000;
    for words in [
        &["--mode", "latency", "--threads", "fused", "-B", "512"][..],
        &["--mode", "latency", "--threads", "split", "-B", "512"],
        &["--mode", "throughput", "--threads", "split", "-B", "1024"],
        &["--mode", "throughput", "--queues", "2", "-B", "1024"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("j");
        let plan = PlainPlan::new(3, &[Shape { frame_len: 128, tags: Vec::new(), ipv6: false }]);
        let Some((sent, between, report)) = run_in_netns(|lab| {
            let capture = Capture::start(&journal, words);
            let sent = std::thread::scope(|scope| {
                let sender = scope.spawn(|| flood(&plan, frames, Pace::Flood));
                for _ in 0..3 {
                    std::thread::sleep(Duration::from_millis(20));
                    capture.signal(libc::SIGSTOP);
                    std::thread::sleep(Duration::from_millis(30));
                    capture.signal(libc::SIGCONT);
                }
                sender.join().unwrap()
            });
            (sent.frames, lab.lost_between(sent.frames).unwrap(), capture.stop())
        }) else {
            return;
        };
        adds_up(&report);
        let ring = number(&report, "/lost/ring");
        assert!(ring > 0, "the ring did overflow: {report}");
        let (on_tape, lost_on_tape) = check_tape(&journal, &plan);
        assert_eq!(on_tape + ring + between, sent, "{words:?} {report}");
        assert!(lost_on_tape <= ring, "drop counts beside packets: {lost_on_tape} of {ring}");
        assert_eq!(drop_counts_by_tshark(&journal), lost_on_tape, "tshark reads the same drop counts");
        let ledger = stdout_of(TAPE, &["loss", "--json", journal.to_str().unwrap()]);
        let noted: u64 = ledger
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok())
            .filter(|l| l["place"] == "ring")
            .filter_map(|l| l["packets"].as_u64())
            .sum();
        assert_eq!(noted, ring, "the ledger on tape: {ledger}");
        verify(&journal);
    }
}

/// After a kill at any instant: every packet that a live reader had seen is there, whole; the journal verifies
/// once the next capture has recovered it, and that capture starts.
#[test]
fn a_kill_at_any_instant_loses_no_committed_record() {
    let rounds: u64 = if long() { 200 } else { 10 };
    let plan = PlainPlan::new(5, &[]);
    run_in_netns(|_| {
        for first in (0..rounds).step_by(ROUNDS_PER_JOURNAL) {
            let dir = tempfile::tempdir().unwrap();
            let journal = dir.path().join("j");
            for round in (first..rounds).take(ROUNDS_PER_JOURNAL) {
                let pause_ms = 20 + round * 7_919 % 230;
                let committed = kill_one_capture(&journal, &plan, Duration::from_millis(pause_ms));
                // Before recovery: readable up to the kill, nothing half-written shown.
                let readable = count_proven(&journal, &plan);
                assert!(readable >= committed, "round {round}: {committed} committed, {readable} readable");
                verify(&journal);
            }
            // The next capture starts, recovers, and leaves a journal that verifies whole.
            let before = count_proven(&journal, &plan);
            adds_up(&Capture::start(&journal, &[]).stop());
            verify(&journal);
            assert_eq!(count_proven(&journal, &plan), before, "recovery keeps every committed record");
        }
    });
}

/// Kills on one journal, each recovered by the next capture; then a fresh one, so that reading stays short.
const ROUNDS_PER_JOURNAL: usize = 5;

/// Captures under load, kills the capture after `pause`; how many packets a live reader had seen by then.
fn kill_one_capture(journal: &Path, plan: &PlainPlan, pause: Duration) -> u64 {
    let capture = Capture::start(journal, &["-B", "16MiB", "--segment-size", "8MiB"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut id = 0;
            let options = SendOptions {
                interface: Lab::SENDER.to_owned(),
                pace: Pace::PerSecond(40_000),
                max_frames: None,
                max_duration: Some(Duration::from_secs(10)),
                qdisc_bypass: true,
            };
            let make = |out: &mut Vec<u8>| {
                plan.append(id, out);
                id += 1;
                true
            };
            send(&options, make, &stop).unwrap()
        });
        // A reader follows live; whatever it has seen was committed.
        let mut seen = 0;
        let until = SystemClock.monotonic_ns() + u64::try_from(pause.as_nanos()).unwrap();
        let tape = Tape::open(journal).unwrap();
        let mut reader = tape.queue(0, ReadOptions { follow: true, ..ReadOptions::default() });
        while SystemClock.monotonic_ns() < until {
            match reader.step().unwrap() {
                Step::Record => seen += u64::from(matches!(reader.record(), Some(Record::Packet(_)))),
                _ => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        capture.kill();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        seen
    })
}

/// All packets of all captures in a journal, each proven by its bytes.
fn count_proven(dir: &Path, plan: &PlainPlan) -> u64 {
    let tape = Tape::open(dir).unwrap();
    let mut reader = tape.queue(0, ReadOptions::default());
    let (mut packets, mut scratch) = (0, Vec::new());
    while let Some(record) = reader.next_record().unwrap() {
        if let Record::Packet(p) = record {
            let id = plan.check(p.bytes, &mut scratch).unwrap();
            assert!(id >= p.seq, "frame {id} stands at {}", p.seq);
            packets += 1;
        }
    }
    packets
}
