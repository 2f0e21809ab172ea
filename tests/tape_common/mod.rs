//! What the tests of the `tape` program share: running it, captures to run it on, journals made by the writer.

#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wiretape::feed::moldudp64::Encoder;
use wiretape::journal::format::MIB;
use wiretape::journal::options::JUDGE_KEY;
use wiretape::journal::{Append, Fingerprint, Journal, JournalOptions, Keeper};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use wiretape::pcapng::write::InterfaceStats;
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{Judge, JudgeConfig};
use wiretape::wire::build::{UdpFrame, multicast_mac, udp_frame};

pub(crate) const START_NS: u64 = 1_700_000_000_123_456_789;

/// Runs the built program.
pub(crate) fn tape<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tape")).args(args).output().expect("the built program runs")
}

/// Runs it, wants exit code 0, and answers standard output.
pub(crate) fn tape_ok<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> String {
    let output = tape(args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a test needs that is not here: skips, or fails under CI.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is needed");
    eprintln!("skipped: {what} is not here");
}

/// A program's standard output; `None` if it is not installed.
pub(crate) fn other(program: &str, args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(args).output() else {
        missing(program);
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The capture files that are shared by all checkouts; empty if there are none.
pub(crate) fn captures() -> Vec<PathBuf> {
    let root = std::env::var_os("WIRETAPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut found = Vec::new();
    let mut folders = vec![root.join("captures")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng") {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        missing("../shared/captures");
    }
    found
}

/// A MoldUDP64 datagram of `count` ITCH system events in an Ethernet frame.
pub(crate) fn mold_frame(sequence: u64, count: u16, padding: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut encoder = Encoder::begin(&mut payload, *b"TAPETEST01", sequence);
    for _ in 0..count {
        let mut message = vec![b'S', 0, 1, 0, 2, 0, 0, 0, 0, 0, 1, b'O'];
        message.resize(12 + padding, b'.');
        encoder.message(&message);
    }
    encoder.finish();
    frame("239.1.2.3:26477", &payload)
}

/// A UDP frame.
pub(crate) fn frame(to: &str, payload: &[u8]) -> Vec<u8> {
    let dst: std::net::SocketAddr = to.parse().expect("an address");
    let mut bytes = Vec::new();
    let head = UdpFrame {
        src_mac: [2, 0, 0, 0, 0, 1],
        dst_mac: multicast_mac(dst.ip()),
        vlan: None,
        src: "10.0.0.1:30001".parse().expect("an address"),
        dst,
        ttl: 8,
    };
    udp_frame(&mut bytes, &head, payload).expect("fits");
    bytes
}

/// A packet for a test journal.
pub(crate) struct Made {
    pub(crate) queue: u16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) at_ns: u64,
    pub(crate) delay_ns: u64,
    pub(crate) clock: StampClock,
    /// Not judged when it was captured.
    pub(crate) shed: bool,
    /// What is put on tape in place of the judge's own word.
    pub(crate) lie: Option<Judgement>,
}

impl Made {
    pub(crate) fn new(bytes: Vec<u8>, at_ns: u64) -> Self {
        Self {
            queue: 0,
            bytes,
            at_ns,
            delay_ns: 2_000,
            clock: StampClock::KERNEL_SOFTWARE,
            shed: false,
            lie: None,
        }
    }
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet {
            bytes: &self.bytes,
            wire_len: u32::try_from(self.bytes.len()).expect("short"),
            stamp: Stamp::new(self.at_ns, self.clock),
            arrival_ns: self.at_ns + self.delay_ns,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags(EpbFlags::INBOUND | EpbFlags::MULTICAST),
            marks: Marks(0),
            gso_size: 0,
            lost_before: 0,
        }
    }
}

/// Writes a finished journal of these packets: one writer and one judge a queue, as the engine does.
pub(crate) fn write_journal(dir: &Path, queues: u16, packets: &[Made], link: impl Fn(u16) -> LinkType) {
    write_journal_of(dir, queues, packets, link, &JudgeConfig::default());
}

/// The same, captured with feeds configured.
pub(crate) fn write_journal_of(
    dir: &Path,
    queues: u16,
    packets: &[Made],
    link: impl Fn(u16) -> LinkType,
    config: &JudgeConfig,
) {
    let mut options = JournalOptions::new(dir);
    options.queues = queues;
    options.segment_bytes = 4 * MIB;
    let text = toml::to_string(config).expect("a configuration can be written");
    options.host = Fingerprint([(JUDGE_KEY.to_owned(), text)].into());
    let (journal, _) = Journal::open(options).expect("a fresh journal");
    let (mut writers, mut keeper) = journal.start();
    let mut judges: Vec<Judge> = writers.iter().map(|_| Judge::new(config)).collect();
    for (queue, writer) in (0..queues).zip(&mut writers) {
        let def = InterfaceDef::named(&format!("test{queue}"), link(queue));
        until_written(&mut keeper, || writer.add_interface(&def));
    }
    for made in packets {
        let queue = usize::from(made.queue);
        let mut packet = made.packet();
        packet.link = link(made.queue);
        let judgement = if made.shed {
            judges[queue].skip();
            Judgement::NOT_JUDGED
        } else {
            judges[queue].judge(&packet)
        };
        let judgement = made.lie.unwrap_or(judgement);
        until_written(&mut keeper, || writers[queue].append(&packet, judgement));
    }
    for writer in writers {
        writer.finish(&[InterfaceStats::default()]);
    }
    keeper.finish();
}

/// Tries until the record is on tape, driving the keeper meanwhile.
pub(crate) fn until_written(keeper: &mut Keeper, mut append: impl FnMut() -> Append) {
    for _ in 0..1000 {
        match append() {
            Append::Written => return,
            Append::NotReady => {
                keeper.step();
            }
            Append::Full => panic!("{:?}", keeper.handle().stats()),
        }
    }
    panic!("never ready: {:?}", keeper.handle().stats());
}

/// A feed over two queues, a microsecond apart, with a gap after the tenth packet of each.
pub(crate) fn feed(packets: u64) -> Vec<Made> {
    (0..packets)
        .map(|n| {
            let queue = u16::try_from(n % 2).expect("0 or 1");
            let step = n / 2;
            let sequence = 1 + step * 2 + u64::from(step >= 10) * 5;
            let mut made = Made::new(mold_frame(sequence, 2, 0), START_NS + n * 1_000);
            made.queue = queue;
            made
        })
        .collect()
}
