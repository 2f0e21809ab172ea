//! Generated feeds through a whole capture: from a file or a network into a journal, and from the journal into events.

use super::found::Found;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wiretape::capture::af_packet::{Fanout, RingOptions};
use wiretape::capture::file::FileOptions;
use wiretape::clock::{Clock, SystemClock};
use wiretape::journal::JournalOptions;
use wiretape::lab::answers::Answers;
use wiretape::lab::r#gen::{Content, GenOptions, Output, run as generate, send_feed};
use wiretape::lab::generate::FeedGenerator;
use wiretape::lab::net::Lab;
use wiretape::lab::plan::FeedPlan;
use wiretape::lab::send::{Pace, SendOptions};
use wiretape::pipeline::ladder::Shed;
use wiretape::pipeline::placement::Layout;
use wiretape::pipeline::{CaptureConfig, Command, Hooks, Input, LiveInput, run};
use wiretape::validate::JudgeConfig;

/// Latest that a packet may leave after it was due, for the plan's faults to be what they should be.
const LATEST_NS: u64 = 150_000_000;
/// How long a capture goes on after the last packet was sent.
const AFTERWARDS: Duration = Duration::from_millis(300);

fn config(plan: &FeedPlan, input: Input, journal: &Path, queues: u16) -> CaptureConfig {
    CaptureConfig {
        input,
        journal: Some(JournalOptions { segment_bytes: 16 << 20, queues, ..JournalOptions::new(journal) }),
        events: true,
        lockdown: None,
        judge: JudgeConfig { feeds: vec![plan.feed_config("lab")], recognise: false, max_streams: 64 },
        layout: Layout::Auto,
        cpus: Vec::new(),
        fifo: None,
        dma_latency_us: None,
        lock_memory: false,
        spin: false,
        shed: Shed::Nothing,
        count: None,
        duration: None,
        stop_bytes: None,
        version: "test".to_owned(),
    }
}

/// Captures; nothing if packets were lost here.
fn found(config: CaptureConfig, hooks: &mut dyn Hooks, answers: impl FnOnce() -> Answers) -> Option<Found> {
    let report = run(config, hooks).unwrap().report;
    if report.lost_packets() > 0 {
        return None;
    }
    let rejected = report.verdicts.iter().filter(|(name, _)| **name != "accepted");
    Some(Found {
        answers: answers(),
        rejected: rejected.map(|(name, count)| ((*name).to_owned(), *count)).collect::<BTreeMap<_, _>>(),
        feeds: report.feeds,
        room: report.events.expect("events of the configured feed").room,
    })
}

struct NoHooks;

impl Hooks for NoHooks {}

/// Writes the feed as pcapng and captures the file.
pub(crate) fn read_from_file(plan: &FeedPlan) -> Found {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.pcapng");
    let options = GenOptions {
        content: Content::Feed(plan.clone()),
        output: Output::File { path: path.clone(), pace: Pace::Planned },
        answers: None,
    };
    let made = generate(&options, &AtomicBool::new(false)).unwrap();
    let input =
        Input::File(FileOptions { path: path.to_str().unwrap().to_owned(), ..FileOptions::default() });
    found(config(plan, input, &dir.path().join("journal"), 1), &mut NoHooks, || made.answers.unwrap())
        .expect("no packet of a file is lost")
}

/// Lets the feed go when the capture is ready, and ends the capture when the feed has ended.
struct WhileSending<'a> {
    ready: &'a AtomicBool,
    done: &'a AtomicBool,
    done_since: Option<Instant>,
}

impl Hooks for WhileSending<'_> {
    fn ready(&mut self, _source: &str) {
        self.ready.store(true, Ordering::Release);
    }
    fn command(&mut self) -> Option<Command> {
        if !self.done.load(Ordering::Acquire) {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
        let now = Instant::now();
        (now - *self.done_since.get_or_insert(now) > AFTERWARDS).then_some(Command::Stop)
    }
}

/// Sends the feed into the laboratory's network and captures it there; nothing if it was not sent as planned. To be called in
/// a [`Lab`].
pub(crate) fn captured_live(plan: &FeedPlan, queues: u16, fanout: Fanout) -> Option<Found> {
    let dir = tempfile::tempdir().unwrap();
    let ring = RingOptions { fanout, ..RingOptions::new(Lab::RECEIVER) };
    let input = Input::Live(vec![LiveInput { ring, queues }]);
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !ready.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let plan = plan.clone().starting_at(SystemClock.now_ns());
            let mut generator = FeedGenerator::new(plan).unwrap();
            let options = SendOptions {
                interface: Lab::SENDER.to_owned(),
                pace: Pace::Planned,
                max_frames: None,
                max_duration: None,
                qdisc_bypass: false,
            };
            let sent = send_feed(&options, &mut generator, &AtomicBool::new(false));
            done.store(true, Ordering::Release);
            let sent = sent.unwrap();
            assert_eq!(sent.unsent, 0);
            (sent.latest_ns, generator.answers().clone())
        });
        let mut hooks = WhileSending { ready: &ready, done: &done, done_since: None };
        let config = config(plan, input, &dir.path().join("journal"), queues);
        let mut latest_ns = 0;
        let found = found(config, &mut hooks, || {
            let (latest, answers) = sender.join().unwrap();
            latest_ns = latest;
            answers
        });
        eprintln!("the latest packet left {} µs after it was due", latest_ns / 1_000);
        found.filter(|_| latest_ns < LATEST_NS)
    })
}
