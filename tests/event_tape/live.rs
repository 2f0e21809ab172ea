//! Live is later, over two queues of a network of our own.

use super::common::run_in_netns;
use super::made::*;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wiretape::capture::af_packet::{Fanout, RingOptions};
use wiretape::lab::net::Lab;
use wiretape::lab::send::{Pace, SendOptions, send};
use wiretape::pipeline::control::Status;
use wiretape::pipeline::{Command, Hooks, Input, LiveInput, run};

/// Sends both lines while the capture runs, and stops it when they have come.
struct Sender {
    frames: Option<Vec<Vec<u8>>>,
    sent: Option<std::thread::JoinHandle<u64>>,
    total: u64,
    stop: bool,
    /// Seconds to go on after the last packet came.
    rest: u32,
}

impl Hooks for Sender {
    fn ready(&mut self, _: &str) {
        let frames = self.frames.take().unwrap();
        self.sent = Some(std::thread::spawn(move || {
            let mut frames = frames.into_iter();
            let options = SendOptions {
                interface: Lab::SENDER.to_owned(),
                pace: Pace::PerSecond(4_000),
                max_frames: None,
                max_duration: Some(Duration::from_secs(60)),
                qdisc_bypass: false,
            };
            let make = |out: &mut Vec<u8>| frames.next().map(|frame| out.extend(frame)).is_some();
            send(&options, make, &AtomicBool::new(false)).unwrap().frames
        }));
    }
    fn status(&mut self, status: &Status) {
        if status.seen + status.lost >= self.total {
            self.stop = self.rest == 0;
            self.rest = self.rest.saturating_sub(1);
        }
    }
    fn command(&mut self) -> Option<Command> {
        std::mem::take(&mut self.stop).then_some(Command::Stop)
    }
}

#[test]
fn over_two_queues_live_is_what_decode_makes() {
    for fanout in [Fanout::LoadBalance, Fanout::Hash] {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("j");
        let ran = run_in_netns(|_| {
            let datagrams = datagrams(8, 5_000);
            let frames: Vec<Vec<u8>> = datagrams
                .iter()
                .enumerate()
                .flat_map(|(n, payload)| {
                    let lost = move |line: usize| n % (31 + 7 * line) == 5;
                    [0, 1].into_iter().filter(move |line| !lost(*line)).map(|line| frame(line, payload))
                })
                .collect();
            let total = frames.len() as u64;
            let ring = RingOptions { fanout, ..RingOptions::new(Lab::RECEIVER) };
            let input = Input::Live(vec![LiveInput { ring, queues: 2 }]);
            let mut sender = Sender { frames: Some(frames), sent: None, total, stop: false, rest: 1 };
            let mut config = config(input, &journal, 2);
            config.duration = Some(Duration::from_secs(30));
            let report = run(config, &mut sender).unwrap().report;
            assert_eq!(sender.sent.unwrap().join().unwrap(), total);
            report
        });
        let Some(report) = ran else { return };
        assert_eq!(report.failure, None);
        let events = report.events.clone().unwrap();
        assert_eq!((events.state, events.packets), ("sealed", report.packets.on_tape), "{events:?}");
        // A quiet queue has a reading each second; a busy machine adds its own.
        assert!(events.longest_lag_ns.unwrap() < 5_000_000_000, "{events:?}");
        assert!(events.feeds[0].records["mbo"] > 1000, "{events:?}");
        is_same(&journal);
    }
}
