//! Replay: pacing in virtual time, datagrams over loopback, frames over a veth pair.

mod tape_common;

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::net::UdpSocket;
use std::num::NonZeroU64;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tape_common::{Made, START_NS, frame, missing, mold_frame, tape_ok, write_journal};
use wiretape::clock::Clock;
use wiretape::packet::{LinkType, Packet};
use wiretape::replay::{
    Pace, PacingClock, Player, PlayerOptions, ReplayReport, SendError, Sender, Sent, Waiter,
};

/// A clock whose every reading takes time and whose sleeps are too long or too short, as it is told.
#[derive(Clone)]
#[expect(clippy::struct_field_names, reason = "units in names")]
struct VirtualClock {
    now_ns: Rc<Cell<u64>>,
    reading_ns: u64,
    oversleep_ns: i64,
}

impl Clock for VirtualClock {
    fn now_ns(&self) -> u64 {
        self.monotonic_ns()
    }
    fn monotonic_ns(&self) -> u64 {
        self.now_ns.set(self.now_ns.get() + self.reading_ns);
        self.now_ns.get()
    }
}

impl PacingClock for VirtualClock {
    fn sleep_until(&self, until_ns: u64) {
        let woken = until_ns.saturating_add_signed(self.oversleep_ns);
        self.now_ns.set(woken.max(self.now_ns.get()));
    }
}

/// Notes when each packet was sent; each send takes time.
struct Notes {
    clock: VirtualClock,
    send_ns: u64,
    sent: Rc<RefCell<Vec<(u64, u64)>>>,
}

impl Sender for Notes {
    fn send(&mut self, packet: &Packet<'_>) -> Result<Sent, SendError> {
        self.sent.borrow_mut().push((self.clock.now_ns.get(), packet.stamp.ns));
        self.clock.now_ns.set(self.clock.now_ns.get() + self.send_ns);
        Ok(Sent::Yes { bytes: packet.bytes.len() as u64, retries: 0 })
    }
    fn name(&self) -> &'static str {
        "notes"
    }
}

fn play(stamps: &[u64], pace: Pace, oversleep_ns: i64, send_ns: u64) -> (Vec<(u64, u64)>, ReplayReport) {
    let clock = VirtualClock { now_ns: Rc::new(Cell::new(1)), reading_ns: 30, oversleep_ns };
    let sent = Rc::default();
    let sender = Notes { clock: clock.clone(), send_ns, sent: Rc::clone(&sent) };
    let stop = AtomicBool::new(false);
    let options = PlayerOptions { pace, limit: None };
    let mut player = Player::new(sender, Waiter::new(clock, 100_000), options, &stop).expect("fixed bounds");
    let made = Made::new(vec![0; 125], 0);
    for stamp in stamps {
        let mut packet = made.packet();
        packet.stamp.ns = *stamp;
        assert!(player.play(&packet).expect("never fails").is_continue());
    }
    let report = player.finish().expect("never fails");
    (sent.take(), report)
}

proptest! {
    #[test]
    fn nothing_is_sent_early_and_error_never_adds_up(
        gaps in proptest::collection::vec(0u64..5_000_000_000, 2..200),
        oversleep_ns in -50_000i64..90_000,
    ) {
        let stamps: Vec<u64> = gaps.iter().scan(START_NS, |at, gap| { *at += gap; Some(*at) }).collect();
        let (sent, report) = play(&stamps, Pace::RECORDED, oversleep_ns, 500);
        prop_assert_eq!(sent.len(), stamps.len());
        let lateness = report.lateness.expect("timed");
        // Readings of 30 ns, sends of 500 ns: bursts of zero gaps may queue, and that is all.
        let burst = gaps.len() as u64 * 600;
        prop_assert!(lateness.max_ns <= burst + 1_000, "{:?}", lateness);
        prop_assert!(report.drift_ns.unsigned_abs() <= burst + 1_000, "{}", report.drift_ns);
        let anchor = sent[0].0;
        for (at, stamp) in &sent {
            prop_assert!(at - anchor + 60 >= stamp - stamps[0]);
        }
    }

    #[test]
    fn a_rate_is_kept_whatever_the_stamps_say(stamps in proptest::collection::vec(any::<u64>(), 2..100), pps in 1u64..100_000) {
        let rate = Pace::PacketRate { pps_millionths: NonZeroU64::new(pps * 1_000_000).expect("above 0") };
        let (_, report) = play(&stamps, rate, 1_000, 100);
        let exact = (stamps.len() as u64 - 1) * 1_000_000_000 / pps;
        prop_assert!(report.intended_duration_ns.abs_diff(exact) <= 1);
        prop_assert!(report.duration_ns.abs_diff(exact) <= 1_000);
    }
}

#[test]
fn a_bit_rate_counts_the_bytes_of_the_frames() {
    let (_, report) =
        play(&[0; 11], Pace::BitRate { bits_per_second: NonZeroU64::new(1_000_000).expect("above 0") }, 0, 0);
    assert_eq!(report.intended_duration_ns, 10_000_000);
    assert_eq!((report.sent, report.bytes), (11, 1_375));
}

#[test]
fn top_speed_waits_for_nothing() {
    let (_, report) = play(&[0, u64::MAX], Pace::TopSpeed, 0, 10);
    assert!(report.lateness.is_none() && report.duration_ns < 1_000);
}

#[test]
fn a_stop_request_ends_the_replay_and_is_told() {
    let clock = VirtualClock { now_ns: Rc::new(Cell::new(1)), reading_ns: 30, oversleep_ns: 0 };
    let sender = Notes { clock: clock.clone(), send_ns: 1, sent: Rc::default() };
    let stop = AtomicBool::new(true);
    let options = PlayerOptions { pace: Pace::RECORDED, limit: None };
    let mut player = Player::new(sender, Waiter::new(clock, 0), options, &stop).expect("fixed bounds");
    assert!(player.play(&Made::new(vec![0; 60], 5).packet()).expect("never fails").is_break());
    assert!(player.finish().expect("never fails").interrupted);
}

#[test]
fn datagrams_arrive_whole_and_in_order_and_other_packets_are_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    let mut packets: Vec<Made> = (0..20u8)
        .map(|n| Made::new(frame("239.1.2.3:26477", &[n; 33]), START_NS + u64::from(n) * 1_000_000))
        .collect();
    packets.push(Made::new(vec![0xff; 60], START_NS + 30_000_000));
    write_journal(&journal, 1, &packets, |_| LinkType::ETHERNET);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let to = socket.local_addr().expect("bound").to_string();
    let report =
        tape_ok(&["replay", journal.to_str().expect("plain"), "--udp", &to, "-x", "10", "-l", "2", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((report["sent"].as_u64(), report["skipped"]["not_udp"].as_u64()), (Some(40), Some(2)));
    let mut bytes = [0; 100];
    for round in 0..40u8 {
        let length = socket.recv(&mut bytes).expect("it was sent");
        assert_eq!(bytes[..length], [round % 20; 33]);
    }
}

/// A namespace of its own with a veth pair in it; goes away with the last process in it.
#[test]
fn frames_on_a_veth_pair_are_byte_for_byte_those_on_tape_at_about_their_times() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let packets: Vec<Made> =
        (0..200u64).map(|n| Made::new(mold_frame(1 + n, 1, 20), START_NS + n * 2_000_000)).collect();
    write_journal(&dir.path().join("j"), 1, &packets, |_| LinkType::ETHERNET);
    let script = format!(
        "set -e; ip link add ta type veth peer name tb; ip link set ta up; ip link set tb up; \
         tcpdump -i tb --immediate-mode -U --time-stamp-precision=nano -Q in -w {out} udp port 26477 2>{log} & \
         for i in $(seq 100); do grep -q listening {log} 2>/dev/null && break; sleep 0.1; done; \
         {tape} replay {journal} -i ta --json; sleep 0.5; kill %1; wait %1 || true",
        out = path("out.pcap"),
        log = path("log"),
        tape = env!("CARGO_BIN_EXE_tape"),
        journal = path("j"),
    );
    let Ok(output) = Command::new("unshare").args(["-n", "bash", "-c", &script]).output() else {
        return missing("unshare");
    };
    if !output.status.success() {
        return missing(&format!("a network namespace ({})", String::from_utf8_lossy(&output.stderr)));
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["sent"], 200);
    assert!(report["drift_ns"].as_i64().expect("a number").abs() < 100_000_000, "{report}");
    // tcpdump's file, read by tape itself; the bytes stand in the hex.
    let ours = tape_ok(&["read", "-xx", &path("j")]);
    let theirs = tape_ok(&["read", "-xx", &path("out.pcap")]);
    let hex = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.starts_with('\t')).map(str::to_owned).collect()
    };
    assert_eq!(hex(&ours), hex(&theirs));
    let times: Vec<u64> = tape_ok(&["read", "--json", &path("out.pcap")])
        .lines()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l).expect("JSON")["stamp_ns"].as_u64().expect("a stamp")
        })
        .collect();
    let mut ratios: Vec<u64> = times.windows(2).map(|w| (w[1] - w[0]) * 1_000 / 2_000_000).collect();
    ratios.sort_unstable();
    assert!((800..1_200).contains(&ratios[ratios.len() / 2]), "the median gap is as recorded: {ratios:?}");
}
