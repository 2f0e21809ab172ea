//! Running the programs, hearing them, and sending them packets.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use wiretape::clock::{Clock, SystemClock};
use wiretape::journal::reader::{ReadOptions, Record, Tape};
use wiretape::journal::{Event, EventKind, Note};
use wiretape::lab::capture_file::CaptureFile;
use wiretape::lab::frame::UdpFrame;
use wiretape::lab::net::Lab;
use wiretape::lab::send::{Pace, SendOptions, send};

pub(crate) const WIRETAPE: &str = env!("CARGO_BIN_EXE_wiretape");
pub(crate) const TAPE: &str = env!("CARGO_BIN_EXE_tape");
/// Longest wait for anything that should happen at once.
const PATIENCE_NS: u64 = 60_000_000_000;

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Asserts the exit code, and that every word stands on stderr.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
        self
    }
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) fn ran(program: &str, words: &[&str]) -> Ran {
    Command::new(program).args(words).stdin(Stdio::null()).output().unwrap().into()
}

/// `wiretape capture` with `words`.
pub(crate) fn capture(words: &[&str]) -> Ran {
    ran(WIRETAPE, &[&["capture"], words].concat())
}

/// `wiretape capture -r` with `words`; its JSON report.
#[track_caller]
pub(crate) fn report_of(words: &[&str]) -> Value {
    let ran = capture(&[&["--json"], words].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

/// A running `wiretape capture -i wt1`; killed if the test ends early.
#[derive(Debug)]
pub(crate) struct Live {
    child: Child,
    heard: Arc<Mutex<String>>,
    ear: Option<JoinHandle<()>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Live {
    /// Starts it and waits until it listens.
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut command = Command::new(WIRETAPE);
        command.args(["capture", "-i", Lab::RECEIVER]).args(words);
        if words.contains(&"-w") && !words.contains(&"--segment-size") {
            // The default's 256 MiB are reserved and made present anew for each capture: slow on a busy machine.
            command.args(["--segment-size", "16MiB"]);
        }
        Self::spawn(command)
    }
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (stderr, told) = (child.stderr.take().unwrap(), Arc::clone(&heard));
        let ear = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                told.lock().unwrap().push_str(&(line.unwrap() + "\n"));
            }
        });
        let live = Self { child, heard, ear: Some(ear) };
        live.wait_for("listening on");
        live
    }
    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        eventually(
            || self.heard().contains(words).then_some(()),
            || format!("{words:?} in {}", self.heard()),
        );
    }
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
    pub(crate) fn signal(&self, signal: i32) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    }
    /// Waits for its end; what it said.
    pub(crate) fn ended(mut self) -> Ran {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let status = self.child.wait().unwrap();
        self.ear.take().unwrap().join().unwrap();
        Ran { code: status.code().unwrap_or(-1), out, err: self.heard() }
    }
    /// Ends it with SIGINT.
    pub(crate) fn stop(self) -> Ran {
        self.signal(libc::SIGINT);
        self.ended()
    }
}

/// Polls until `look` answers.
#[track_caller]
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let until_ns = SystemClock.monotonic_ns() + PATIENCE_NS;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(SystemClock.monotonic_ns() < until_ns, "never came: {}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A UDP datagram of `payload` bytes from 10.0.0.1 to `to`:`port`.
pub(crate) fn datagram(to: &str, port: u16, payload: usize) -> Vec<u8> {
    let frame = UdpFrame {
        source_mac: [2, 0, 0, 0, 0, 1],
        tags: Vec::new(),
        source: "10.0.0.1".parse().unwrap(),
        destination: to.parse::<IpAddr>().unwrap(),
        source_port: 4000,
        port,
    };
    let mut bytes = Vec::new();
    frame.append(&mut bytes, 7, |out| out.extend(std::iter::repeat_n(0xab, payload)));
    bytes
}

/// `n` datagrams of 100 bytes to ports 5000, 5001, 5002, 5003, 5000, …
pub(crate) fn mixed(n: u16) -> Vec<Vec<u8>> {
    (0..n).map(|i| datagram("10.0.0.2", 5000 + i % 4, 100)).collect()
}

/// Sends frames out of `interface`, 5,000 a second.
pub(crate) fn send_from(interface: &str, frames: &[Vec<u8>]) {
    let options = SendOptions {
        interface: interface.to_owned(),
        pace: Pace::PerSecond(5_000),
        max_frames: None,
        max_duration: None,
        qdisc_bypass: false,
    };
    let mut next = frames.iter();
    let make = |out: &mut Vec<u8>| next.next().map(|frame| out.extend_from_slice(frame)).is_some();
    let sent = send(&options, make, &AtomicBool::new(false)).unwrap();
    assert_eq!(sent.frames, frames.len() as u64);
}

/// Sends frames towards the interface that is captured on.
pub(crate) fn send_in(frames: &[Vec<u8>]) {
    send_from(Lab::SENDER, frames);
}

/// Writes frames into a pcap file, a microsecond apart.
pub(crate) fn pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut file = CaptureFile::new(std::fs::File::create(path).unwrap(), true).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        file.write(0, 1_700_000_000_000_000_000 + 1_000 * i as u64, frame).unwrap();
    }
    file.finish().unwrap();
}

/// A packet on tape: captured bytes and length on the wire.
pub(crate) fn packets_on(journal: &Path) -> Vec<(Vec<u8>, u32)> {
    let mut found = Vec::new();
    each_record(journal, |record| {
        if let Record::Packet(p) = record {
            found.push((p.bytes.to_vec(), p.wire_len));
        }
    });
    found
}

pub(crate) fn events_on(journal: &Path) -> Vec<Event> {
    let mut found = Vec::new();
    each_record(journal, |record| {
        if let Record::Note { note: Note::Event(event), .. } = record {
            found.push(event.clone());
        }
    });
    found
}

pub(crate) fn texts(events: &[Event], kind: EventKind) -> Vec<&str> {
    events.iter().filter(|e| e.kind == kind).map(|e| e.text.as_str()).collect()
}

pub(crate) fn each_record(journal: &Path, mut see: impl FnMut(&Record<'_>)) {
    let tape = Tape::open(journal).unwrap();
    for queue in tape.queues() {
        let mut reader = tape.queue(queue, ReadOptions::default());
        while let Some(record) = reader.next_record().unwrap() {
            see(&record);
        }
    }
}

#[track_caller]
pub(crate) fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[track_caller]
pub(crate) fn adds_up(report: &Value) {
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["left"], check["right"], "{check}");
    }
}

#[track_caller]
pub(crate) fn verifies(journal: &Path) {
    ran(TAPE, &["verify", text(journal)]).says(0, &[]);
}

/// The segment files of a journal, in order.
pub(crate) fn segments(journal: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(journal).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "pcapng"));
    found.sort();
    found
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a program that must succeed.
#[track_caller]
pub(crate) fn must(program: &str, words: &[&str]) -> String {
    let ran = ran(program, words);
    assert_eq!(ran.code, 0, "{program} {words:?}: {ran:?}");
    ran.out
}

/// Mounts a small file system, seen by the calling thread's namespace alone.
pub(crate) fn small_disk(at: &Path, bytes: u64) {
    std::fs::create_dir_all(at).unwrap();
    must("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", text(at)]);
}
