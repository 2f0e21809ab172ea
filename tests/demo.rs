//! The demo, with a capture made of a plain packet socket and the judge.

mod common;

use common::need_root;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;
use wiretape::clock::{Clock, SystemClock};
use wiretape::demo::{DemoError, DemoOptions, DemoSetup, Found, Outcome, Parts, run};
use wiretape::events::room::Room;
use wiretape::packet::{EpbFlags, LinkType, Marks, Packet};
use wiretape::sys::rtnetlink::Rtnetlink;
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{Judge, JudgeConfig};

/// Receives and judges for as long as asked; throws every `drop_every`th packet away.
fn capture(setup: DemoSetup<'_>, drop_every: u64) -> Result<Found, Errno> {
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
    setsockopt(&fd, sockopt::RcvBufForce, &(64 << 20))?;
    let index = Rtnetlink::open().expect("rtnetlink").link(setup.interface).expect("the interface").index;
    let mut judge =
        Judge::new(&JudgeConfig { feeds: vec![setup.feed.clone()], recognise: false, max_streams: 4 });
    let mut room = Room::new(std::slice::from_ref(setup.feed));
    let mut found = Found { text: "(report)".to_owned(), ..Found::default() };
    let mut frame = vec![0; 16384];
    let mut received = 0;
    let end_ns = SystemClock.monotonic_ns() + u64::try_from(setup.duration.as_nanos()).expect("short");
    (setup.on_ready)();
    while SystemClock.monotonic_ns() < end_ns {
        let len = match recvfrom::<LinkAddr>(fd.as_raw_fd(), &mut frame) {
            Ok((len, Some(from))) if u32::try_from(from.ifindex()) == Ok(index) => len,
            Ok(_) | Err(Errno::EAGAIN) => continue,
            Err(errno) => return Err(errno),
        };
        received += 1;
        if drop_every != 0 && received % drop_every == 0 {
            found.lost += 1;
            continue;
        }
        found.packets += 1;
        let packet = Packet {
            bytes: &frame[..len],
            wire_len: u32::try_from(len).expect("a frame"),
            stamp: Stamp::new(SystemClock.now_ns(), StampClock::USER),
            arrival_ns: 0,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        };
        let judgement = judge.judge(&packet);
        room.packet(&packet);
        *found.verdicts.entry(judgement.verdict.name().to_owned()).or_default() += 1;
    }
    room.finish();
    found.feeds = judge.feeds();
    found.room = Some(room.report());
    Ok(found)
}

/// Runs the demo in a thread of its own, since it moves into another network.
fn demo(
    duration: Duration,
    capture: impl FnOnce(DemoSetup<'_>) -> Result<Found, Errno> + Send,
) -> (Result<Outcome, DemoError>, String) {
    std::thread::scope(|scope| {
        let body = || {
            let options = DemoOptions { duration, pps: 10_000, journal: "/tmp/demo".into() };
            let mut out = Vec::new();
            let parts = Parts {
                capture,
                verify: |_: &Path| Ok("sound".to_owned()),
                replay: |_: &Path, interface: &'static str| Ok(format!("onto {interface}")),
            };
            let outcome = run(&options, parts, &mut out);
            (outcome, String::from_utf8(out).expect("text"))
        };
        scope.spawn(body).join().expect("the demo's thread")
    })
}

#[test]
fn the_demo_finds_the_gaps_and_the_corrupt_message_of_both_lines_and_says_so() {
    if !need_root() {
        return;
    }
    let (outcome, text) = demo(Duration::from_millis(1500), |setup| capture(setup, 0));
    assert_eq!(outcome.expect("it runs"), Outcome::Exact, "{text}");
    for line in [
        "gaps in lines                      5         5",
        "missing in them          45        45",
        "itch-short                         2         2",
        "line-gap                           1         1",
        "exactly what was put in",
        "  sound",
        "  onto wt0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn losses_are_told_from_faults() {
    if !need_root() {
        return;
    }
    let (outcome, text) = demo(Duration::from_millis(600), |setup| capture(setup, 1000));
    assert_eq!(outcome.expect("it runs"), Outcome::Differs);
    assert!(text.contains("5 packets were lost on this host"), "{text}");
}

#[test]
fn a_capture_that_ends_early_or_fails_ends_the_demo() {
    if !need_root() {
        return;
    }
    let early =
        |setup: DemoSetup<'_>| capture(DemoSetup { duration: Duration::from_millis(100), ..setup }, 0);
    let (outcome, text) = demo(Duration::from_mins(1), early);
    assert_eq!(outcome.expect("it runs"), Outcome::Interrupted);
    assert!(text.contains("nothing to compare"), "{text}");

    let (outcome, _) = demo(Duration::from_secs(1), |_| Err(Errno::ENOMEM));
    assert_eq!(outcome.expect_err("it fails").to_string(), "capturing: ENOMEM: Out of memory");

    let (outcome, _) = demo(Duration::from_micros(1), |setup| capture(setup, 0));
    assert!(outcome.expect_err("it fails").to_string().contains("too short"));
}
