//! The engine program: checked words become a capture, its report becomes output and exit code.
//!
//! Data goes to standard output (`--json`, `-d`, `-D`), everything else to standard error.

use clap::Parser;
use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wiretape::capture::af_packet::{self, Direction, Fanout, HwStamp, Mode, RingOptions};
use wiretape::capture::file::{FileFilter, FileOptions, FileSource};
use wiretape::cli::common::{Exit, Terminals, complain, say};
use wiretape::cli::engine::{
    self, CaptureArgs, Checked, Command, ConfigAction, DemoArgs, DirectionArg, Engine, FanoutArg,
    FilterWords, GenArgs, Input, ModeArg, OnFullArg, StampArg,
};
use wiretape::clock::{Clock, SystemClock};
use wiretape::config::Config;
use wiretape::demo::{self, DemoOptions};
use wiretape::feed::{FeedConfig, LineConfig};
use wiretape::filter::{GroupPort, Insn, Program, for_groups};
use wiretape::journal::manifest;
use wiretape::journal::options::JUDGE_KEY;
use wiretape::journal::reader::{ReadError, ReadOptions, Record, Tape};
use wiretape::journal::verify::{self, VerifyOptions};
use wiretape::journal::{Fingerprint, JournalOptions, OnFull};
use wiretape::lab::r#gen::{self as generator, Content, GenOptions, Output};
use wiretape::lab::send::{Pace, SendOptions};
use wiretape::packet::LinkType;
use wiretape::pipeline::control::Status;
use wiretape::pipeline::ladder::Shed;
use wiretape::pipeline::lockdown::Lockdown;
use wiretape::pipeline::placement::Layout;
use wiretape::pipeline::report::{text, write_hlog};
use wiretape::pipeline::{CaptureConfig, Finished, Hooks, LiveInput, StartError, fingerprint, run};
use wiretape::replay;
use wiretape::replay::pacing::Waiter;
use wiretape::replay::player::{Player, PlayerOptions};
use wiretape::replay::senders::InterfaceSender;
use wiretape::sys::libpcap::Libpcap;
use wiretape::sys::netdev::NetDevice;
use wiretape::validate::JudgeConfig;

const PROGRAM: &str = "wiretape";

/// Why a command could not do its work, with the exit code that says so.
#[derive(Debug)]
enum Failed {
    /// The words are wrong: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failure(String),
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        Self::Failure(error.to_string())
    }
}

fn main() -> ExitCode {
    run_words().into()
}

fn run_words() -> Exit {
    let engine = match Engine::try_parse() {
        Ok(engine) => engine,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nowhere to complain about a closed standard output.
            let _ = error.print();
            return exit;
        }
    };
    let done = match engine.command {
        Command::Capture(args) => capture(&args),
        Command::Demo(args) => demo(&args),
        Command::Gen(args) => generate(&args),
        Command::Config(args) => match args.action {
            ConfigAction::Check { file, json } => check_config(&file, json),
        },
    };
    match done {
        Ok(exit) => exit,
        Err(Failed::Usage(text)) => {
            complain(PROGRAM, &text);
            Exit::Usage
        }
        Err(Failed::Failure(text)) => {
            complain(PROGRAM, &text);
            Exit::Failure
        }
    }
}

fn to_stdout(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failed::Failure(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn capture(args: &CaptureArgs) -> Result<Exit, Failed> {
    if args.list_interfaces {
        return list_interfaces(args.json);
    }
    if args.list_stamps {
        return list_stamps(args);
    }
    let checked = engine::check(args).map_err(Failed::Usage)?;
    if args.dump > 0 {
        return dump_filter(args, &checked);
    }
    let config = plan(args, &checked)?;
    let mut terminal = Terminal::new(args)?;
    // Opened now: that it cannot be written is not to be learned at the end of the day.
    let hlog = args.hlog.as_deref().map(HlogFile::create).transpose()?;
    let finished = run(config, &mut terminal)?;
    terminal.end_status();
    conclude(args, &finished, hlog)
}

fn list_stamps(args: &CaptureArgs) -> Result<Exit, Failed> {
    let [name] = args.interface.as_slice() else {
        return Err(Failed::Usage("-J needs one -i INTERFACE".to_owned()));
    };
    let sources = af_packet::stamp_sources(name).map_err(|e| Failed::Failure(e.to_string()))?;
    let text = if args.json {
        let row =
            |s: &af_packet::StampSource| serde_json::json!({"name": s.name, "description": s.description});
        format!("{}\n", serde_json::Value::Array(sources.iter().map(row).collect()))
    } else {
        let lines: String = sources
            .iter()
            .map(|s| format!("  {} ({})\n", s.name, s.description))
            .collect::<Vec<_>>()
            .concat();
        format!("Time stamp types for {name} (use option -j to set):\n{lines}")
    };
    to_stdout(&text).map(|()| Exit::Done)
}

/// The file of `--hlog`, and its name for messages.
struct HlogFile<'a> {
    path: &'a Path,
    file: std::fs::File,
}

impl<'a> HlogFile<'a> {
    fn create(path: &'a Path) -> Result<Self, Failed> {
        let file = std::fs::File::create(path)
            .map_err(|e| Failed::Failure(format!("--hlog {}: {e}", path.display())))?;
        Ok(Self { path, file })
    }
    fn write(mut self, finished: &Finished) -> Result<(), Failed> {
        let report = &finished.report;
        write_hlog(&mut self.file, &finished.snapshots, report.began_ns, report.ended_ns)
            .map_err(|e| Failed::Failure(format!("--hlog {}: {e}", self.path.display())))
    }
}

/// The report goes out; the exit code follows from it.
fn conclude(args: &CaptureArgs, finished: &Finished, hlog: Option<HlogFile<'_>>) -> Result<Exit, Failed> {
    let report = &finished.report;
    if args.json {
        let json = serde_json::to_string(report).map_err(|e| Failed::Failure(format!("report: {e}")))?;
        to_stdout(&(json + "\n"))?;
    } else {
        say(&text(report));
    }
    if let Some(hlog) = hlog {
        hlog.write(finished)?;
    }
    if let Some(failure) = &report.failure {
        // Whoever reads only the JSON's exit code finds the reason where errors are.
        if args.json {
            complain(PROGRAM, failure);
        }
        return Ok(Exit::Failure);
    }
    if args.fail_on_loss && !report.lossless() {
        return Ok(Exit::BadVerdict);
    }
    Ok(Exit::Done)
}

/// Checked words become a decided capture.
fn plan(args: &CaptureArgs, checked: &Checked) -> Result<CaptureConfig, Failed> {
    let feeds = feeds_here(checked, None)?;
    let judge = JudgeConfig { feeds, recognise: !args.no_recognise, max_streams: MAX_STREAMS };
    let (input, host) = match &checked.input {
        Input::Interfaces(names) => {
            let live = names.iter().map(|name| live_input(args, checked, name)).collect::<Result<_, _>>()?;
            (wiretape::pipeline::Input::Live(live), fingerprint::of_interfaces(names))
        }
        Input::File(path) => {
            let filter = file_filter(args, checked, path)?;
            let options = FileOptions { path: path.clone(), filter, snaplen: args.snaplen };
            (wiretape::pipeline::Input::File(options), fingerprint::of_host())
        }
    };
    let journal = args.journal.as_ref().map(|dir| JournalOptions {
        dir: dir.clone(),
        queues: queues(args, checked),
        segment_bytes: checked.segment_bytes,
        rotate: checked.rotate,
        retain_bytes: checked.retain.bytes,
        retain_age: checked.retain.age,
        sync_interval: args.sync_interval,
        on_full: match args.on_full {
            OnFullArg::Stop => OnFull::Stop,
            OnFullArg::DropOldest => OnFull::DropOldest,
        },
        application: format!("wiretape {}", engine::version()),
        hardware: host.get("nic").cloned().unwrap_or_default(),
        os: host.get("kernel").cloned().unwrap_or_default(),
        host: with_judge(host, &judge),
        config_hash: checked.config.as_ref().map_or([0; 32], |c| c.hash),
    });
    Ok(CaptureConfig {
        input,
        journal,
        events: !args.no_events,
        judge,
        layout: checked.layout,
        cpus: checked.cpus.clone(),
        fifo: args.fifo,
        dma_latency_us: args.dma_latency,
        lock_memory: !args.no_mlock,
        lockdown: (!args.no_lockdown).then(|| Lockdown {
            user: args.user.clone(),
            check: args.check_lockdown,
            fifo: args.fifo,
        }),
        spin: checked.spin,
        shed: args.shed,
        count: checked.count,
        duration: checked.duration,
        stop_bytes: checked.stop_bytes,
        version: format!("wiretape {}", engine::version()),
    })
}

/// Streams that one queue follows at most; more are counted, not followed.
const MAX_STREAMS: usize = 1024;
/// What tcpdump keeps of a packet when it is told 0.
const WHOLE_PACKET: u32 = 262_144;

/// Queues of all interfaces together.
fn queues(args: &CaptureArgs, checked: &Checked) -> u16 {
    match &checked.input {
        Input::Interfaces(names) => {
            args.queues.saturating_mul(u16::try_from(names.len()).unwrap_or(u16::MAX))
        }
        Input::File(_) => 1,
    }
}

/// What is opened on one interface: with the filter and the groups of the feeds that come in there.
fn live_input(args: &CaptureArgs, checked: &Checked, name: &str) -> Result<LiveInput, Failed> {
    let filter = kernel_filter(args, checked, name)?;
    let mut groups = args.join.clone();
    let feeds = feeds_here(checked, Some(name))?;
    let configured = feeds.iter().flat_map(|feed| &feed.lines).map(|line| line.group);
    groups.extend(configured.filter(std::net::IpAddr::is_multicast));
    Ok(LiveInput { ring: ring_options(args, checked, name, filter, groups), queues: args.queues })
}

/// The configured feeds that concern this input, with those of their lines that do: on interfaces, the lines that name one of
/// them (or just `only`) or none.
fn feeds_here(checked: &Checked, only: Option<&str>) -> Result<Vec<FeedConfig>, Failed> {
    let Some(config) = &checked.config else { return Ok(Vec::new()) };
    let Input::Interfaces(names) = &checked.input else { return Ok(config.feeds.clone()) };
    let is_captured = |name: &String| only.map_or(names.contains(name), |only| only == name);
    let here = |line: &LineConfig| line.interface.as_ref().is_none_or(is_captured);
    let mut feeds = config.feeds.clone();
    for feed in &mut feeds {
        feed.lines.retain(here);
    }
    feeds.retain(|feed| !feed.lines.is_empty());
    if feeds.is_empty() && !config.feeds.is_empty() {
        let name = only.map_or_else(|| names.join(", "), str::to_owned);
        let text = format!("--config: every feed names another interface than {name}; choose -i accordingly");
        return Err(Failed::Usage(text));
    }
    Ok(feeds)
}

fn group_ports(feeds: &[FeedConfig]) -> Vec<GroupPort> {
    let lines = feeds.iter().flat_map(|feed| &feed.lines);
    lines.map(|f| GroupPort { group: f.group, port: Some(f.port), source: f.source }).collect()
}

fn ring_options(
    args: &CaptureArgs,
    checked: &Checked,
    name: &str,
    filter: Option<Program>,
    groups: Vec<std::net::IpAddr>,
) -> RingOptions {
    RingOptions {
        interface: name.to_owned(),
        mode: match args.mode {
            ModeArg::Latency => Mode::Latency,
            ModeArg::Throughput => Mode::Throughput,
        },
        spin: checked.spin,
        ring_bytes: args.ring_bytes,
        block_bytes: None,
        frame_bytes: None,
        retire_ms: args.retire.unwrap_or(1),
        snaplen: args.snaplen,
        direction: match args.direction {
            DirectionArg::In => Direction::In,
            DirectionArg::Out => Direction::Out,
            DirectionArg::Inout => Direction::Both,
        },
        promiscuous: !args.no_promiscuous,
        filter: filter.map(|p| p.insns().iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect()),
        filter_text: match &checked.filter {
            FilterWords::Expression(words) => words.clone(),
            FilterWords::Bpf(path) => format!("bpf:{}", path.display()),
            FilterWords::None => String::new(),
        },
        fanout: match args.fanout.unwrap_or_default() {
            FanoutArg::Hash => Fanout::Hash,
            FanoutArg::Cpu => Fanout::Cpu,
            FanoutArg::Lb => Fanout::LoadBalance,
            FanoutArg::Qm => Fanout::QueueMapping,
        },
        groups,
        hwstamp: match (args.stamp, args.force_hwtstamp) {
            (Some(StampArg::Host), _) => HwStamp::Off,
            (_, true) => HwStamp::Force,
            // Nothing was asked for and there is nothing to ask: no warning that the NIC has no stamps.
            (None, false) if !offers_hardware_stamps(name) => HwStamp::Off,
            (_, false) => HwStamp::Auto,
        },
        hw_to_utc_ns: match args.stamp {
            Some(StampArg::AdapterUnsynced | StampArg::Host) => 0,
            Some(StampArg::Adapter) | None => af_packet::utc_shift_ns(name),
        },
    }
}

fn offers_hardware_stamps(name: &str) -> bool {
    af_packet::stamp_sources(name).is_ok_and(|sources| sources.iter().any(|s| s.hwstamp != HwStamp::Off))
}

fn read_bpf(path: &std::path::Path) -> Result<Program, Failed> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failed::Failure(format!("{}: {e}", path.display())))?;
    Program::parse_ddd(&text).map_err(|e| Failed::Usage(format!("{}: {e}", path.display())))
}

fn program(insns: Vec<(u16, u8, u8, u32)>) -> Result<Program, Failed> {
    let insns = insns.into_iter().map(|(code, jt, jf, k)| Insn { code, jt, jf, k }).collect();
    Program::new(insns).map_err(|e| Failed::Failure(format!("libpcap's program: {e}")))
}

/// The configured groups' own filter, if the user gave none.
fn groups_filter(checked: &Checked, interface: Option<&str>) -> Result<Option<Program>, Failed> {
    let feeds = feeds_here(checked, interface)?;
    if feeds.is_empty() {
        return Ok(None);
    }
    for_groups(&group_ports(&feeds)).map(Some).map_err(|e| Failed::Usage(e.to_string()))
}

fn kernel_filter(args: &CaptureArgs, checked: &Checked, interface: &str) -> Result<Option<Program>, Failed> {
    match &checked.filter {
        FilterWords::None => groups_filter(checked, Some(interface)),
        FilterWords::Bpf(path) => read_bpf(path).map(Some),
        FilterWords::Expression(words) => {
            // A wrong interface or missing privilege is the likelier mistake, and our message the better one.
            af_packet::probe(&RingOptions::new(interface)).map_err(|e| Failed::Failure(e.to_string()))?;
            let pcap = Libpcap::load().map_err(|e| Failed::Failure(e.to_string()))?;
            let compiled = pcap.compile_live(interface, snaplen(args), words);
            program(compiled.map_err(|e| Failed::Usage(format!("filter: {e}")))?).map(Some)
        }
    }
}

/// What libpcap is told for "all of it".
fn snaplen(args: &CaptureArgs) -> u32 {
    if args.snaplen == 0 { WHOLE_PACKET } else { args.snaplen }
}

/// The program for a file's packets: that of its first link type.
fn file_program(
    args: &CaptureArgs,
    checked: &Checked,
    path: &str,
) -> Result<Option<(LinkType, Program)>, Failed> {
    let plain = |found: Option<Program>| found.map(|program| (LinkType::ETHERNET, program));
    match &checked.filter {
        FilterWords::None => groups_filter(checked, None).map(plain),
        FilterWords::Bpf(path) => read_bpf(path).map(Some).map(plain),
        FilterWords::Expression(words) => {
            let pcap = Libpcap::load().map_err(|e| Failed::Failure(e.to_string()))?;
            let link = first_link(path)?;
            let compiled = pcap.compile_dead(link.0, snaplen(args), words);
            let program = program(compiled.map_err(|e| Failed::Usage(format!("filter: {e}")))?)?;
            Ok(Some((link, program)))
        }
    }
}

/// The filter of a file source. An expression is compiled again for each further link type that the file has;
/// packets of a link type that the expression makes no sense for are not wanted.
fn file_filter(args: &CaptureArgs, checked: &Checked, path: &str) -> Result<Option<FileFilter>, Failed> {
    let Some((first, program)) = file_program(args, checked, path)? else { return Ok(None) };
    let FilterWords::Expression(words) = &checked.filter else {
        return Ok(Some(Box::new(move |packet| program.accepts(packet))));
    };
    let (words, snaplen) = (words.clone(), snaplen(args));
    let mut programs = vec![(first, Some(program))];
    Ok(Some(Box::new(move |packet| {
        if !programs.iter().any(|(link, _)| *link == packet.link) {
            programs.push((packet.link, compile_for(packet.link, snaplen, &words)));
        }
        let found = programs.iter().find(|(link, _)| *link == packet.link);
        found.and_then(|(_, program)| program.as_ref()).is_some_and(|program| program.accepts(packet))
    })))
}

fn compile_for(link: LinkType, snaplen: u32, words: &str) -> Option<Program> {
    program(Libpcap::load().ok()?.compile_dead(link.0, snaplen, words).ok()?).ok()
}

/// The link type of a file's first interface. Standard input cannot be looked at twice: there it is Ethernet.
fn first_link(path: &str) -> Result<LinkType, Failed> {
    if path == "-" {
        return Ok(LinkType::ETHERNET);
    }
    let options = FileOptions { path: path.to_owned(), ..FileOptions::default() };
    let found = FileSource::open(options).and_then(|mut source| source.first_link());
    Ok(found.map_err(|e| Failed::Failure(e.to_string()))?.unwrap_or(LinkType::ETHERNET))
}

fn dump_filter(args: &CaptureArgs, checked: &Checked) -> Result<Exit, Failed> {
    let found = match &checked.input {
        Input::Interfaces(names) => {
            let programs: Result<Vec<_>, _> =
                names.iter().map(|name| kernel_filter(args, checked, name)).collect();
            let programs = programs?;
            if programs.windows(2).any(|pair| pair[0] != pair[1]) {
                let text = "-d: the interfaces have different filters; name one interface".to_owned();
                return Err(Failed::Usage(text));
            }
            programs.into_iter().next().flatten()
        }
        Input::File(path) => file_program(args, checked, path)?.map(|(_, program)| program),
    };
    let program = found.ok_or_else(|| Failed::Usage("-d prints a filter; give an expression".to_owned()))?;
    let text = match args.dump {
        1 => program.disassemble(),
        2 => program.to_c(),
        _ => program.to_ddd(),
    };
    to_stdout(&text).map(|()| Exit::Done)
}

fn list_interfaces(json: bool) -> Result<Exit, Failed> {
    let all = af_packet::list_interfaces().map_err(|e| Failed::Failure(e.to_string()))?;
    let text = if json {
        let rows: Vec<_> = all.iter().map(|i| serde_json::json!({"name": i.name, "index": i.ifindex, "up": i.is_up(), "running": i.is_running(), "mtu_bytes": i.mtu})).collect();
        format!("{}\n", serde_json::Value::Array(rows))
    } else {
        let state = |i: &NetDevice| match (i.is_up(), i.is_running()) {
            (true, true) => "Up, Running",
            (true, false) => "Up",
            (false, _) => "Down",
        };
        let line = |(n, i): (u32, &NetDevice)| format!("{n}.{} [{}, MTU {}]", i.name, state(i), i.mtu);
        (1..).zip(&all).map(line).collect::<Vec<_>>().join("\n") + "\n"
    };
    to_stdout(&text).map(|()| Exit::Done)
}

fn check_config(file: &std::path::Path, json: bool) -> Result<Exit, Failed> {
    let config = Config::load(file).map_err(|e| Failed::Failure(e.to_string()))?;
    let filter = if config.feeds.is_empty() {
        None
    } else {
        Some(for_groups(&group_ports(&config.feeds)).map_err(|e| Failed::Failure(e.to_string()))?)
    };
    let size = filter.map_or(0, |f| f.insns().len());
    let text = if json {
        format!("{}\n", serde_json::json!({"feeds": config.feeds, "filter_instructions": size}))
    } else {
        let feeds: String = config.feeds.iter().map(|feed| feed.to_string() + "\n").collect();
        let count = config.feeds.len();
        format!("{feeds}{}: ok, {count} feeds, filter of {size} instructions\n", file.display())
    };
    to_stdout(&text).map(|()| Exit::Done)
}

/// The user's terminal: signals become commands, the status stays on one line.
struct Terminal {
    stop: Arc<AtomicBool>,
    counts: Arc<AtomicBool>,
    sync: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
    /// Rewrite one line a second.
    live_line: bool,
    quiet: bool,
    /// Columns of the status line that is on the screen; 0 = none.
    shown: usize,
}

impl Terminal {
    fn new(args: &CaptureArgs) -> Result<Self, Failed> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        let flag = |signals: &[i32]| -> Result<Arc<AtomicBool>, Failed> {
            let flag = Arc::new(AtomicBool::new(false));
            for signal in signals {
                signal_hook::flag::register(*signal, Arc::clone(&flag))
                    .map_err(|e| Failed::Failure(format!("signal {signal}: {e}")))?;
            }
            Ok(flag)
        };
        // A second request to stop ends at once, however the first one fares; what is committed stays committed.
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .map_err(|e| Failed::Failure(format!("signal {signal}: {e}")))?;
        }
        Ok(Self {
            stop: flag(&[SIGINT, SIGTERM])?,
            counts: flag(&[SIGUSR1])?,
            sync: flag(&[SIGUSR2])?,
            rotate: flag(&[SIGHUP])?,
            live_line: Terminals::detect().stderr && !args.quiet,
            quiet: args.quiet,
            shown: 0,
        })
    }

    /// Leaves the status line standing and goes to the next.
    fn end_status(&mut self) {
        if self.shown > 0 {
            say("\n");
            self.shown = 0;
        }
    }

    fn line(status: &Status) -> String {
        let latency = status
            .stamp_to_journal_ns
            .map(|(p50, p99)| format!("  stamp→journal p50 {p50} ns p99 {p99} ns"))
            .unwrap_or_default();
        let ladder =
            if status.ladder > 0 { format!("  SHEDDING level {}", status.ladder) } else { String::new() };
        format!(
            "{}.{} s  {} packets  {}/s  {} bytes  rejected {}  lost {}{latency}{ladder}",
            status.running_ns / 1_000_000_000,
            status.running_ns / 100_000_000 % 10,
            status.seen,
            status.packets_per_s,
            status.bytes,
            status.rejected,
            status.lost
        )
    }
}

impl Hooks for Terminal {
    fn command(&mut self) -> Option<wiretape::pipeline::Command> {
        use wiretape::pipeline::Command as Asked;
        let flags = [
            (&self.stop, Asked::Stop),
            (&self.counts, Asked::Counts),
            (&self.sync, Asked::Sync),
            (&self.rotate, Asked::Rotate),
        ];
        flags.into_iter().find(|(flag, _)| flag.swap(false, Relaxed)).map(|(_, command)| command)
    }
    fn ready(&mut self, source: &str) {
        if !self.quiet {
            complain(PROGRAM, &format!("listening on {source}"));
        }
    }
    fn status(&mut self, status: &Status) {
        if self.live_line {
            // Cut to the terminal, since a line that wraps scrolls; blanks instead of escape codes wipe the last one.
            let columns = wiretape::sys::terminal::columns(std::io::stderr()).unwrap_or(80);
            let line: String = Self::line(status).chars().take(columns.saturating_sub(1).max(1)).collect();
            let width = line.chars().count();
            say(&format!("\r{line}{:1$}", "", self.shown.saturating_sub(width)));
            self.shown = width;
        }
    }
    fn counts(&mut self, status: &Status) {
        self.end_status();
        complain(PROGRAM, &Self::line(status));
    }
    fn log(&mut self, line: &str) {
        if !self.quiet {
            self.end_status();
            complain(PROGRAM, &line);
        }
    }
}

/// The demo's capture: the same pipeline, told when the feed may start.
struct DemoHooks<'a> {
    on_ready: &'a dyn Fn(),
}

impl Hooks for DemoHooks<'_> {
    fn ready(&mut self, _source: &str) {
        (self.on_ready)();
    }
}

fn demo(args: &DemoArgs) -> Result<Exit, Failed> {
    let temporary;
    let journal = if let Some(dir) = &args.journal {
        dir.clone()
    } else {
        temporary = std::env::temp_dir().join(format!("wiretape-demo-{}", std::process::id()));
        temporary
    };
    let options = DemoOptions { duration: args.duration, pps: u64::from(args.rate), journal };
    let parts = demo::Parts { capture: demo_capture, verify: demo_verify, replay: demo_replay };
    match demo::run(&options, parts, &mut std::io::stdout().lock()) {
        Ok(demo::Outcome::Exact) => Ok(Exit::Done),
        Ok(demo::Outcome::Differs | demo::Outcome::Interrupted) => Ok(Exit::BadVerdict),
        Err(error) => Err(Failed::Failure(error.to_string())),
    }
}

fn demo_capture(setup: demo::DemoSetup<'_>) -> Result<demo::Found, ShowError> {
    let judge = JudgeConfig { feeds: vec![setup.feed.clone()], recognise: true, max_streams: MAX_STREAMS };
    let host = fingerprint::of_interface(setup.interface);
    let config = CaptureConfig {
        input: wiretape::pipeline::Input::Live(vec![LiveInput {
            ring: RingOptions::new(setup.interface),
            queues: 1,
        }]),
        journal: Some(JournalOptions {
            segment_bytes: 64 << 20,
            application: format!("wiretape {}", engine::version()),
            host: with_judge(host, &judge),
            ..JournalOptions::new(setup.journal)
        }),
        events: true,
        judge,
        layout: Layout::Auto,
        cpus: Vec::new(),
        fifo: None,
        dma_latency_us: None,
        // In a user namespace memory may not be locked; a demo does not warn of that.
        lock_memory: false,
        // The demo goes on in this process: it verifies and replays what it captured.
        lockdown: None,
        spin: true,
        shed: Shed::Nothing,
        count: None,
        duration: Some(setup.duration),
        stop_bytes: None,
        version: format!("wiretape {}", engine::version()),
    };
    let report = run(config, &mut DemoHooks { on_ready: setup.on_ready })?.report;
    Ok(demo::Found {
        packets: report.packets.seen,
        lost: report.lost_packets(),
        verdicts: report.verdicts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        text: text(&report),
        feeds: report.feeds,
        room: report.events.map(|events| events.room),
    })
}

/// Why the demo's journal could not be shown.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Send(#[from] replay::senders::SendError),
    #[error("the journal does not verify: {0}")]
    Unsound(String),
}

/// Verifies the demo's journal as `tape verify` does.
fn demo_verify(journal: &Path) -> Result<String, ShowError> {
    let report = verify::verify(journal, &VerifyOptions::default(), &mut |_| ())?;
    if let Some(problem) = report.problems.first() {
        return Err(ShowError::Unsound(format!("{problem:?}")));
    }
    let head = report.head.map(|h| manifest::hex(&h)).unwrap_or_default();
    Ok(format!(
        "{} packets in {} sealed segment(s), chain head {head}",
        report.packets,
        report.segments.len()
    ))
}

/// Replays the demo's journal as `tape replay -x 5` does.
fn demo_replay(journal: &Path, interface: &str) -> Result<String, ShowError> {
    let stop = AtomicBool::new(false);
    let pace = replay::schedule::Pace::Recorded { speed_millionths: DEMO_SPEED };
    let mut player = Player::new(
        InterfaceSender::open(interface, false)?,
        Waiter::calibrated(SystemClock),
        PlayerOptions { pace, limit: None },
        &stop,
    )?;
    let mut records = Tape::open(journal)?.merged(ReadOptions::default());
    while let Some(record) = records.next_record()? {
        if let Record::Packet(packet) = record
            && player.play(&packet.as_packet())?.is_break()
        {
            break;
        }
    }
    Ok(player.finish()?.text())
}

/// Five times as fast as recorded, in millionths.
const DEMO_SPEED: NonZeroU64 = NonZeroU64::new(5_000_000).expect("not zero");

/// The host's facts and, beside them, what `tape decode` needs to judge by again.
fn with_judge(mut host: BTreeMap<String, String>, judge: &JudgeConfig) -> Fingerprint {
    match toml::to_string(judge) {
        Ok(text) => {
            host.insert(JUDGE_KEY.to_owned(), text);
        }
        Err(error) => complain(PROGRAM, &format!("the feeds cannot be written into the journal: {error}")),
    }
    Fingerprint(host)
}

fn generate(args: &GenArgs) -> Result<Exit, Failed> {
    let plan = engine::feed_plan(args, SystemClock.now_ns());
    if let Some(path) = &args.feed_config {
        let text = engine::feed_config_text(&plan).map_err(|e| Failed::Failure(e.to_string()))?;
        std::fs::write(path, text)
            .map_err(|e| Failed::Failure(format!("--feed-config {}: {e}", path.display())))?;
    }
    let pace = if args.pps == 0 { Pace::Flood } else { Pace::Planned };
    let output = match (&args.interface, &args.write) {
        (Some(interface), _) => Output::Interface(SendOptions {
            interface: interface.clone(),
            pace,
            max_frames: None,
            max_duration: None,
            qdisc_bypass: false,
        }),
        (None, Some(path)) => Output::File { path: path.clone(), pace },
        (None, None) => return Err(Failed::Usage("say where to: -i INTERFACE or -w FILE".to_owned())),
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| Failed::Failure(format!("signal {signal}: {e}")))?;
    }
    let options = GenOptions { content: Content::Feed(plan), output, answers: args.answers.clone() };
    let report = generator::run(&options, &stop).map_err(|e| Failed::Failure(e.to_string()))?;
    let json = serde_json::to_string(&report.sent).map_err(|e| Failed::Failure(e.to_string()))?;
    to_stdout(&(json + "\n")).map(|()| Exit::Done)
}
