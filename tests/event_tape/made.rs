//! Feeds of two lines, captures of them, and what `tape decode` says.

use std::io::{BufWriter, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use wiretape::capture::file::FileOptions;
use wiretape::feed::{FeedConfig, FeedProtocol, LineConfig};
use wiretape::journal::options::JUDGE_KEY;
use wiretape::journal::reader::Tape;
use wiretape::journal::{Fingerprint, JournalOptions};
use wiretape::lab::generate::FeedGenerator;
use wiretape::lab::plan::FeedPlan;
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet};
use wiretape::pipeline::ladder::Shed;
use wiretape::pipeline::placement::Layout;
use wiretape::pipeline::report::Report;
use wiretape::pipeline::{CaptureConfig, Hooks, Input, run};
use wiretape::tape::events::{self, EventsOptions};
use wiretape::tape::outcome::Outcome;
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::JudgeConfig;
use wiretape::wire::build::{UdpFrame, multicast_mac, udp_frame};
use wiretape::wire::dissect;

pub(crate) const START_NS: u64 = 1_767_623_400_000_000_000;
const PORT: u16 = 26477;

pub(crate) fn groups() -> [IpAddr; 2] {
    [[239, 1, 2, 3], [239, 1, 2, 4]].map(IpAddr::from)
}

pub(crate) fn feeds() -> Vec<FeedConfig> {
    let [a, b] = groups();
    let mut feed = FeedConfig::one_line("itch", FeedProtocol::MoldUdp64Itch50, a, PORT);
    feed.lines.push(LineConfig { name: "B".to_owned(), group: b, ..feed.lines[0].clone() });
    "XNAS.ITCH".clone_into(&mut feed.dataset);
    feed.publisher_id = 2;
    vec![feed]
}

/// The datagrams of an order flow, in order.
pub(crate) fn datagrams(seed: u64, packets: u64) -> Vec<Vec<u8>> {
    let plan = FeedPlan { seed, data_packets: packets, ..FeedPlan::default() };
    let mut generator = FeedGenerator::new(plan).unwrap();
    let (mut frame, mut found) = (Vec::new(), Vec::new());
    while generator.next_frame(&mut frame).is_some() {
        found.push(dissect(&packet(&frame, 0)).payload.to_vec());
        frame.clear();
    }
    found
}

fn packet(bytes: &[u8], at_ns: u64) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(at_ns, StampClock::FILE),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags(0),
        marks: Marks::default(),
        gso_size: 0,
        lost_before: 0,
    }
}

/// A datagram in a frame to line A (0) or B (1).
pub(crate) fn frame(line: usize, payload: &[u8]) -> Vec<u8> {
    let group = groups()[line];
    let mut bytes = Vec::new();
    let head = UdpFrame {
        src_mac: [2, 0, 0, 0, 0, 1],
        dst_mac: multicast_mac(group),
        vlan: None,
        src: "10.0.0.1:30001".parse().unwrap(),
        dst: SocketAddr::new(group, PORT),
        ttl: 8,
    };
    udp_frame(&mut bytes, &head, payload).unwrap();
    bytes
}

/// What happens to a datagram on its two lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// Lost on A, on B.
    pub(crate) lost: [bool; 2],
    /// On its way so much longer than the fastest, µs.
    pub(crate) late_us: [u16; 2],
}

/// Writes both lines in order of arrival.
pub(crate) fn pcap(path: &Path, datagrams: &[Vec<u8>], fates: &[Fate]) {
    let mut frames = Vec::new();
    let fates = fates.iter().chain(std::iter::repeat(&Fate { lost: [false; 2], late_us: [0, 30] }));
    for ((n, payload), fate) in (0_u64..).zip(datagrams).zip(fates) {
        for line in [0, 1] {
            if !fate.lost[line] {
                let at_ns = START_NS + n * 50_000 + u64::from(fate.late_us[line]) * 1000;
                frames.push((at_ns, frame(line, payload)));
            }
        }
    }
    frames.sort_by_key(|(at_ns, _)| *at_ns);
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    // Classic pcap with nanoseconds: magic, version 2.4, UTC, snap length, Ethernet.
    file.write_all(&0xa1b2_3c4d_u32.to_le_bytes()).unwrap();
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    file.write_all(&[0, 0, 4, 0, 1, 0, 0, 0]).unwrap();
    for (at_ns, frame) in &frames {
        let length = frame.len() as u64;
        for word in [at_ns / 1_000_000_000, at_ns % 1_000_000_000, length, length] {
            file.write_all(&u32::try_from(word).unwrap().to_le_bytes()).unwrap();
        }
        file.write_all(frame).unwrap();
    }
    file.flush().unwrap();
}

pub(crate) struct Quiet;
impl Hooks for Quiet {}

pub(crate) fn from_file(path: &Path) -> Input {
    Input::File(FileOptions { path: path.to_str().unwrap().to_owned(), ..FileOptions::default() })
}

/// A capture into `journal`, its feeds recorded there as the engine records them.
pub(crate) fn config(input: Input, journal: &Path, queues: u16) -> CaptureConfig {
    let judge = JudgeConfig { feeds: feeds(), ..JudgeConfig::default() };
    let mut host = Fingerprint::default();
    host.0.insert(JUDGE_KEY.to_owned(), toml::to_string(&judge).unwrap());
    CaptureConfig {
        input,
        journal: Some(JournalOptions {
            segment_bytes: 4 << 20,
            queues,
            host,
            ..JournalOptions::new(journal)
        }),
        events: true,
        judge,
        layout: Layout::Auto,
        cpus: Vec::new(),
        fifo: None,
        dma_latency_us: None,
        lock_memory: false,
        lockdown: None,
        spin: false,
        shed: Shed::Nothing,
        count: None,
        duration: None,
        stop_bytes: None,
        version: "test".to_owned(),
    }
}

pub(crate) fn capture(input: Input, journal: &Path, queues: u16) -> Report {
    let report = run(config(input, journal, queues), &mut Quiet).unwrap().report;
    assert_eq!(report.failure, None);
    report
}

/// What `tape decode` says of the event tapes: whether it is good, and its lines.
pub(crate) fn decode(journal: &Path, options: &EventsOptions) -> (Outcome, String) {
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let tape = Tape::open(journal).unwrap();
    let outcome = events::run(&tape, options, &mut out, &mut remarks, &mut |_| ()).unwrap();
    assert!(remarks.is_empty(), "{}", String::from_utf8_lossy(&remarks));
    (outcome, String::from_utf8(out).unwrap())
}

#[track_caller]
pub(crate) fn is_same(journal: &Path) -> String {
    let (outcome, said) = decode(journal, &EventsOptions { all: true, ..EventsOptions::default() });
    assert_eq!(outcome, Outcome::Good, "{said}");
    assert!(said.lines().all(|line| line.contains("the same to the last byte")), "{said}");
    said
}

/// The directories of event tapes in a journal.
pub(crate) fn event_tapes(journal: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(journal.join("events")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Every file of an event tape but its description: name and bytes.
pub(crate) fn files(tape: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(tape.join("itch")).unwrap() {
        let entry = entry.unwrap();
        found.push((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    }
    found.push(("manifest".to_owned(), std::fs::read(tape.join("manifest")).unwrap()));
    found.sort();
    found
}
