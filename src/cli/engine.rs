//! The engine's command line: what can be said ([`Engine`]) and what it means ([`check`]).
//!
//! tcpdump's letters keep their meanings. Checking opens nothing but the files that
//! are named (`--bpf`, `--config`); what needs the interface is done when it is open.

use super::common::{self, Retain};
use crate::config::Config;
use crate::feed::{self, FeedProtocol, Limits, LineConfig};
use crate::lab::plan::{FeedPlan, LinePlan, PlannedFault};
use crate::lab::rhythm::Rhythm;
use crate::pipeline::ladder::Shed;
use crate::pipeline::placement::{Layout, Pair};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("WIRETAPE_REVISION"),
    ", ",
    env!("WIRETAPE_TARGET"),
    ", ",
    env!("WIRETAPE_TARGET_FEATURES"),
    ")"
);

/// Version, revision and target, as `--version` and the journal header show them.
pub const fn version() -> &'static str {
    VERSION
}

/// Wiretape records a network: every packet, in order, with the best timestamp the hardware can give,
/// checked on the way in, kept in pcapng files that Wireshark, tshark and tcpdump open as they are.
#[derive(Parser, Debug)]
#[command(name = "wiretape", version = VERSION, max_term_width = 110, after_long_help = common::EXIT_CODES)]
pub struct Engine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The engine's command line as `clap` knows it: for man pages and completions.
pub fn command() -> clap::Command {
    <Engine as clap::CommandFactory>::command()
}

/// The engine's commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Capture from an interface or a capture file, judge every packet, and keep it in a journal.
    #[command(after_long_help = CAPTURE_HELP)]
    Capture(Box<CaptureArgs>),
    /// See it work: own network namespace, generated feed, capture, report, verification, replay. Needs nothing.
    #[command(after_long_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// Send a generated market-data feed, or write it to a file, with faults that an answer file lists.
    Gen(GenArgs),
    /// Look at a configuration file without running anything.
    Config(ConfigArgs),
}

const CAPTURE_HELP: &str = "\
EXAMPLES
  Everything on eth0, lowest latency:
    wiretape capture -i eth0 -w /var/tape/a
  Only what tcpdump's expression keeps:
    wiretape capture -i eth0 -w /var/tape/a udp port 26400
  Block mode, fewer wake-ups, packets up to 1 ms later:
    wiretape capture -i eth0 -w /var/tape/a --mode throughput
  Configured feeds: groups joined, filtered, judged:
    wiretape capture -i eth0 -w /var/tape/a --config feeds.toml
  A capture file through the same pipeline:
    wiretape capture -r old.pcap -w /var/tape/b
  Observe only, no journal: counts and latencies:
    wiretape capture -i eth0 -c 1000
  A day, in files of an hour, at most 500 GiB of them:
    wiretape capture -i eth0 -w DIR --duration 24h --rotate 1h --retain 500GiB

UNITS
  SIZE  4096, 64KiB, 1.5GiB, 10GB; K, M, G, T alone are KiB, MiB, GiB, TiB.
        A bare number is bytes, but KiB for -B and -a/-b filesize.
  TIME  500ms, 90s, 1h 30m, 7d; a bare number is seconds.
  In output every time is in ns and every size in bytes unless a unit stands there.

OUTPUT
  Standard output has data only: --json, -d, -D, -J. All else goes to standard
  error: at the end tcpdump's three summary lines first, then the report. While
  running at a terminal, one status line is rewritten each second.

SIGNALS
  INT, TERM  End cleanly: intake stops, what is in the ring goes to tape, the
             journal is sealed, the report is printed.
  USR1       Print counts.
  USR2       Sync the journal now.
  HUP        Begin a new segment.

PRIVILEGE
  CAP_NET_RAW opens the ring, CAP_NET_ADMIN sets the NIC's stamps, CAP_IPC_LOCK
  and CAP_SYS_NICE lock memory and set --fifo. Under sudo, or once and for all:
    sudo setcap cap_net_raw,cap_net_admin,cap_ipc_lock,cap_sys_nice+ep \\
      $(command -v wiretape)

EXIT STATUS
  0  It did what was asked. Packets may have been lost; the report says where.
  1  It could not, or not to the end (damaged file, disk full when it ended);
     the message names the thing and the mend.
  2  The command line was not understood.
  3  It ran and packets were lost, with --fail-on-loss.";

const DEMO_HELP: &str = "\
Makes its own network namespace with a veth pair (as root, or in a user
namespace where the kernel allows it), sends a generated MoldUDP64/ITCH feed
with two deliberate gaps and one corrupt message, captures it, prints the
report, verifies and replays the journal, and says what to run next. Nothing of
the host is touched.

EXIT STATUS
  0  It found exactly what it had planted.
  1  It could not run.
  2  The command line was not understood.
  3  It ran and found something else, or was interrupted.";

/// V2 frames or V3 blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Default)]
pub enum ModeArg {
    /// TPACKET_V2: each frame is seen as the kernel delivers it.
    #[default]
    Latency,
    /// TPACKET_V3: blocks of frames, handed over when full or after --retire.
    Throughput,
}

/// How to wait for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitArg {
    /// Spin: lowest latency, all of a CPU.
    Spin,
    /// Sleep in poll(2): a few µs more, no CPU when idle.
    Poll,
}

/// Which packets, by direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Default)]
pub enum DirectionArg {
    /// What comes in.
    #[default]
    In,
    /// What this host sends.
    Out,
    /// Both.
    #[value(alias = "both")]
    Inout,
}

/// How the kernel spreads packets over queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Default)]
pub enum FanoutArg {
    /// By flow hash.
    #[default]
    Hash,
    /// By the CPU the packet came in on.
    Cpu,
    /// Round robin.
    Lb,
    /// By the NIC's receive queue.
    Qm,
}

/// Thread layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Default)]
pub enum ThreadsArg {
    /// Fused on hosts with two CPUs or fewer, else split.
    #[default]
    Auto,
    /// Capture thread and worker apart.
    Split,
    /// Both in one thread.
    Fused,
}

/// What happens when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Default)]
pub enum OnFullArg {
    /// Stop journaling, keep capturing and counting, resume when there is room.
    #[default]
    Stop,
    /// Delete the oldest sealed segments.
    DropOldest,
}

/// Time stamp types, by libpcap's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StampArg {
    /// The kernel's software stamps; the NIC is left as it is.
    Host,
    /// The NIC's, converted to UTC where its clock runs on TAI.
    Adapter,
    /// The NIC's, as its clock shows them.
    #[value(name = "adapter_unsynced")]
    AdapterUnsynced,
}

/// Words of `wiretape capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// Capture from this interface. Several (repeated, or with commas) are captured together, each on queues of
    /// its own: so that lines A and B of a feed may come in on two interfaces.
    #[arg(
        short = 'i',
        long,
        value_name = "INTERFACE",
        value_delimiter = ',',
        conflicts_with = "read",
        help_heading = "Source"
    )]
    pub interface: Vec<String>,
    /// Read packets from this pcap or pcapng file ("-": standard input) through the same pipeline.
    #[arg(short = 'r', long, value_name = "FILE", help_heading = "Source")]
    pub read: Option<String>,
    /// List the interfaces and end.
    #[arg(short = 'D', long = "list-interfaces", help_heading = "Source")]
    pub list_interfaces: bool,
    /// Latency (frames as they come) or throughput (blocks).
    #[arg(long, value_enum, default_value_t, help_heading = "Source")]
    pub mode: ModeArg,
    /// Wait for packets by spinning or in poll(2). Default: spin in latency mode, poll in throughput mode.
    #[arg(long, value_enum, help_heading = "Source")]
    pub wait: Option<WaitArg>,
    /// Kernel ring memory for each queue; a bare number is KiB. Halved until the kernel grants it; what was
    /// granted is printed.
    #[arg(short = 'B', long = "ring", visible_alias = "buffer-size", value_name = "SIZE", default_value = "64MiB",
          value_parser = kib_bytes, conflicts_with = "read", help_heading = "Source")]
    pub ring_bytes: u64,
    /// Throughput mode: hand a block over after this many milliseconds even if it is not full. Default: 1.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=10_000),
          help_heading = "Source")]
    pub retire: Option<u32>,
    /// Keep at most this many bytes of each packet (0: all, up to 262144).
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=262_144), help_heading = "Source")]
    pub snaplen: u32,
    /// Do not put the interface into promiscuous mode.
    #[arg(short = 'p', long = "no-promiscuous-mode", help_heading = "Source")]
    pub no_promiscuous: bool,
    /// Which packets: what comes in, what this host sends, or both.
    #[arg(short = 'Q', long, value_enum, default_value_t, help_heading = "Source")]
    pub direction: DirectionArg,
    /// Spread each interface's packets over this many queues, each with its own threads and segments.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64),
          help_heading = "Source")]
    pub queues: u16,
    /// How packets are spread over queues. Default: hash.
    #[arg(long, value_enum, help_heading = "Source")]
    pub fanout: Option<FanoutArg>,
    /// Join this multicast group on the interface while capturing (repeat for more).
    #[arg(long = "join", value_name = "GROUP", help_heading = "Source")]
    pub join: Vec<std::net::IpAddr>,

    /// Time stamp type: host, adapter, or adapter_unsynced. Default: adapter where the NIC stamps every packet
    /// and no other program uses its stamps differently, else host.
    #[arg(short = 'j', long = "time-stamp-type", value_enum, value_name = "TYPE", help_heading = "Stamps")]
    pub stamp: Option<StampArg>,
    /// List the interface's time stamp types and end.
    #[arg(short = 'J', long = "list-time-stamp-types", help_heading = "Stamps")]
    pub list_stamps: bool,
    /// Replace a hardware stamping filter that another program (ptp4l?) has set.
    #[arg(long, help_heading = "Stamps")]
    pub force_hwtstamp: bool,

    /// Only packets that this expression keeps (pcap-filter(7)); also the last words of the command.
    #[arg(short = 'f', long = "filter", value_name = "EXPR", conflicts_with_all = ["expression", "bpf"],
          help_heading = "Filter")]
    pub filter: Option<String>,
    /// A compiled filter instead: the text of `tcpdump -ddd`. Needs no libpcap.
    #[arg(long, value_name = "FILE", conflicts_with = "expression", help_heading = "Filter")]
    pub bpf: Option<PathBuf>,
    /// Print the compiled filter and end: -d as assembly, -dd as a C fragment, -ddd as numbers.
    #[arg(short = 'd', action = clap::ArgAction::Count, help_heading = "Filter")]
    pub dump: u8,
    /// The filter expression.
    #[arg(value_name = "EXPRESSION", trailing_var_arg = true)]
    pub expression: Vec<String>,

    /// Keep the packets in this journal directory (made if it is not there; a later capture goes on in it).
    /// Default: none, packets are observed and counted only.
    #[arg(short = 'w', long = "journal", value_name = "DIR", help_heading = "Journal")]
    pub journal: Option<PathBuf>,
    /// Size of a segment file, 4MiB to 1TiB; reserved on disk in advance.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = common::bytes,
          requires = "journal", help_heading = "Journal")]
    pub segment_size: u64,
    /// Begin a new segment this often, e.g. 1h. Default: when one is full.
    #[arg(long, value_name = "TIME", value_parser = common::duration, requires = "journal", help_heading = "Journal")]
    pub rotate: Option<Duration>,
    /// Delete the oldest sealed segments beyond a size, an age, or both: 500GiB, 7d, 500GiB|7d. Default: keep
    /// all.
    #[arg(long, value_name = "KEEP", value_parser = common::retain, requires = "journal", help_heading = "Journal")]
    pub retain: Option<Retain>,
    /// Do not make events of the configured feeds while capturing: `tape decode --rebuild` makes the same ones later.
    #[arg(long, requires = "journal", help_heading = "Journal")]
    pub no_events: bool,
    /// Sync what was written this often: after a power cut, at most this much is missing.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = common::duration, requires = "journal",
          help_heading = "Journal")]
    pub sync_interval: Duration,
    /// When the disk is full.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value_t,
        requires = "journal",
        help_heading = "Journal"
    )]
    pub on_full: OnFullArg,
    /// dumpcap's ring buffer words: filesize:KiB (as --segment-size), duration:SECONDS (as --rotate), files:N (as
    /// --retain N times the segment size); repeat for more.
    #[arg(
        short = 'b',
        long = "ring-buffer",
        value_name = "KEY:VALUE",
        requires = "journal",
        help_heading = "Journal"
    )]
    pub ring_buffer: Vec<String>,

    /// End after this many packets. Without one of -c, --duration, -a it goes on until a signal or the end of the file.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "End")]
    pub count: Option<u64>,
    /// End after this long.
    #[arg(long, value_name = "TIME", value_parser = common::duration, help_heading = "End")]
    pub duration: Option<Duration>,
    /// dumpcap's autostop words: duration:SECONDS, packets:N, filesize:KiB (of captured bytes).
    #[arg(short = 'a', long = "autostop", value_name = "KEY:VALUE", help_heading = "End")]
    pub autostop: Vec<String>,

    /// Feeds to join, filter for and judge (TOML; see docs/configuration.md).
    #[arg(long, value_name = "FILE", help_heading = "Validation")]
    pub config: Option<PathBuf>,
    /// Judge configured feeds only: do not recognise others by their structure.
    #[arg(long, help_heading = "Validation")]
    pub no_recognise: bool,
    /// What may be given up under load before packets are: nothing, decoding, or payload:BYTES.
    #[arg(long, value_name = "WHAT", default_value = "decoding", value_parser = shed, conflicts_with = "read",
          help_heading = "Validation")]
    pub shed: Shed,

    /// Thread layout.
    #[arg(long, value_enum, default_value_t, help_heading = "Threads")]
    pub threads: ThreadsArg,
    /// CPUs of the capture threads, and after a colon of the workers: 2,3:4,5. Default: chosen, avoiding CPU 0 and
    /// hyperthread siblings where there is a choice.
    #[arg(long, value_name = "LIST[:LIST]", value_parser = cpu_pairs, help_heading = "Threads")]
    pub cpus: Option<CpuPairs>,
    /// Run the data threads under SCHED_FIFO at this priority.
    #[arg(long, value_name = "PRIORITY", value_parser = clap::value_parser!(u8).range(1..=99), help_heading = "Threads")]
    pub fifo: Option<u8>,
    /// Keep CPUs from sleeping deeper than this wake-up time while capturing (/dev/cpu_dma_latency), µs. Default: as the host has it.
    #[arg(long, value_name = "US", help_heading = "Threads")]
    pub dma_latency: Option<u32>,
    /// Do not lock memory. Default: locked, so that no page fault delays a packet.
    #[arg(long, help_heading = "Threads")]
    pub no_mlock: bool,

    /// Become this user before the first packet is parsed. Default, for root: the owner of the journal's directory, or
    /// nobody if that is root.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", help_heading = "Lockdown")]
    pub user: Option<String>,
    /// Keep all privileges while packets are parsed: for debugging. Report and tape say so.
    #[arg(long, conflicts_with_all = ["user", "check_lockdown"], help_heading = "Lockdown")]
    pub no_lockdown: bool,
    /// Try in every thread what must not be possible after the lockdown (foreign files, sockets, programs, …), and do
    /// not capture if anything is.
    #[arg(long, help_heading = "Lockdown")]
    pub check_lockdown: bool,

    /// Print the report as JSON on standard output.
    #[arg(long, help_heading = "Report")]
    pub json: bool,
    /// Write the latency histograms to this file in HdrHistogram's interval log format.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub hlog: Option<PathBuf>,
    /// End with exit code 3 if packets were lost at any place: NIC, ring, disk.
    #[arg(long, help_heading = "Report")]
    pub fail_on_loss: bool,
    /// Neither status line nor notices; the report still comes.
    #[arg(short = 'q', long, help_heading = "Report")]
    pub quiet: bool,
}

/// Words of `wiretape demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// How long to capture.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = common::duration)]
    pub duration: Duration,
    /// Packets a second that are sent.
    #[arg(long, value_name = "PPS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    pub rate: u32,
    /// Keep the journal here instead of in a temporary directory.
    #[arg(short = 'w', long = "journal", value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// Words of `wiretape gen`.
#[derive(Args, Debug)]
pub struct GenArgs {
    /// Send on this interface.
    #[arg(
        short = 'i',
        long,
        value_name = "INTERFACE",
        conflicts_with = "write",
        required_unless_present = "write"
    )]
    pub interface: Option<String>,
    /// Write a file with nanosecond stamps instead: pcap if it is called so, else pcapng with an interface a line.
    #[arg(short = 'w', long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// What the feed speaks: moldudp64-itch50, moldudp64, iex-tp, cme-mdp3, cboe-pitch or sequenced.
    #[arg(long, value_name = "NAME", default_value = "moldudp64-itch50", value_parser = protocol)]
    pub protocol: FeedProtocol,
    /// Seed: the same seed gives the same packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Data packets to publish; a few more if faults are still to be shown.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Data packets a second outside bursts; 0 = as fast as it goes, and one a microsecond in a file.
    #[arg(short = 'p', long, value_name = "PPS", default_value_t = 10_000)]
    pub pps: u32,
    /// Data packets a second in a burst.
    #[arg(long, value_name = "PPS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub burst_pps: u32,
    /// Data packets of a burst; 0 = no bursts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub burst_packets: u64,
    /// From burst to burst, data packets.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub burst_every: u64,
    /// Most messages of a data packet.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    pub max_messages: u16,
    /// Stocks, or instruments.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub symbols: u16,
    /// A heartbeat after so many data packets; 0 = one at the end.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub heartbeat_every: u64,
    /// Lines: 1, or 2 that bring the same messages to two groups.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub lines: u8,
    /// How much longer the way of line B is.
    #[arg(long, value_name = "TIME", default_value = "0us", value_parser = common::duration)]
    pub skew: Duration,
    /// By how much the way of each line varies from packet to packet.
    #[arg(long, value_name = "TIME", default_value = "0us", value_parser = common::duration)]
    pub jitter: Duration,
    /// Line B cuts the same messages into other packets.
    #[arg(long)]
    pub recut: bool,
    /// Put faults in: so many rounds of every kind that this feed can have.
    #[arg(long, value_name = "ROUNDS", num_args = 0..=1, default_missing_value = "1", default_value_t = 0)]
    pub faults: u32,
    /// Where the answers go: what was sent, and every fault, as JSON.
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Where the feed's configuration goes, for `capture --config`.
    #[arg(long, value_name = "FILE")]
    pub feed_config: Option<PathBuf>,
}

fn protocol(name: &str) -> Result<FeedProtocol, String> {
    let found = FeedProtocol::ALL.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, protocol)| protocol).ok_or_else(|| {
        let names: Vec<&str> = FeedProtocol::ALL.into_iter().map(|(known, _)| known).collect();
        format!("no such protocol; there are {}", names.join(", "))
    })
}

/// What `wiretape gen` is to make. On an interface times begin at `now_ns` (ns since the Unix epoch), in a file on a
/// Monday's opening.
pub fn feed_plan(args: &GenArgs, now_ns: u64) -> FeedPlan {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let calm_pps = if args.pps == 0 { 1_000_000 } else { u64::from(args.pps) };
    let line = |number: usize| {
        let usual = LinePlan::usual(number);
        let second = number > 0;
        let later_ns = if second { ns(args.skew) } else { 0 };
        LinePlan {
            delay_ns: usual.delay_ns + later_ns,
            jitter_ns: ns(args.jitter),
            recut: second && args.recut,
            ..usual
        }
    };
    let mut plan = FeedPlan {
        seed: args.seed,
        protocol: args.protocol,
        data_packets: args.count,
        max_messages: args.max_messages,
        symbols: args.symbols,
        rhythm: Rhythm {
            calm_pps,
            burst_pps: u64::from(args.burst_pps),
            burst_packets: args.burst_packets,
            burst_every: args.burst_every,
        },
        heartbeat_every: args.heartbeat_every,
        lines: (0..usize::from(args.lines)).map(line).collect(),
        ..FeedPlan::default()
    };
    if args.interface.is_some() {
        plan = plan.starting_at(now_ns);
    }
    plan.faults = PlannedFault::of_every_kind(&plan, args.faults, args.interface.is_some());
    plan
}

/// The feed's configuration as `wiretape.toml` has it.
///
/// # Errors
/// What the TOML writer says.
pub fn feed_config_text(plan: &FeedPlan) -> Result<String, toml::ser::Error> {
    #[derive(Serialize)]
    struct File {
        feed: [Feed; 1],
    }
    #[derive(Serialize)]
    struct Feed {
        name: String,
        protocol: FeedProtocol,
        limits: Limits,
        layout: Option<feed::sequenced::Layout>,
        line: Vec<LineConfig>,
    }
    let config = plan.feed_config("generated");
    let layout = (config.protocol == FeedProtocol::Sequenced).then_some(config.layout);
    let (name, protocol, limits) = (config.name, config.protocol, config.limits);
    toml::to_string(&File { feed: [Feed { name, protocol, limits, layout, line: config.lines }] })
}

/// Words of `wiretape config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// Actions of `wiretape config`.
#[derive(Subcommand, Debug)]
pub enum ConfigAction {
    /// Read the file and say what it means, or which line is wrong and the mend.
    Check {
        /// The configuration file.
        file: PathBuf,
        /// Print what it means as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The CPUs of capture threads and workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPairs(pub Vec<Pair>);

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Interfaces; at least one, each once.
    Interfaces(Vec<String>),
    /// A capture file.
    File(String),
}

/// Which filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterWords {
    /// None, or the configured groups' own.
    None,
    /// An expression for libpcap.
    Expression(String),
    /// `tcpdump -ddd` text in this file.
    Bpf(PathBuf),
}

/// What `wiretape capture` was asked for, checked.
#[derive(Debug)]
pub struct Checked {
    /// Where packets come from.
    pub input: Input,
    /// Which of them.
    pub filter: FilterWords,
    /// The configuration file, read.
    pub config: Option<Config>,
    /// Thread layout.
    pub layout: Layout,
    /// CPUs the user named.
    pub cpus: Vec<Pair>,
    /// Segment size, `-b filesize` considered, bytes.
    pub segment_bytes: u64,
    /// Rotation, `-b duration` considered.
    pub rotate: Option<Duration>,
    /// Retention, `-b files` considered.
    pub retain: Retain,
    /// `-c`, `-a packets` considered.
    pub count: Option<u64>,
    /// `--duration`, `-a duration` considered.
    pub duration: Option<Duration>,
    /// `-a filesize`: end after so many captured bytes.
    pub stop_bytes: Option<u64>,
    /// Spin rather than sleep.
    pub spin: bool,
}

/// Turns the words of `wiretape capture` into what they mean.
///
/// # Errors
/// A sentence that names the word and the mend; exit code 2.
pub fn check(args: &CaptureArgs) -> Result<Checked, String> {
    let input = match (args.interface.as_slice(), &args.read) {
        ([_, ..], None) => Input::Interfaces(interfaces(args)?),
        ([], Some(file)) => Input::File(file.clone()),
        _ => {
            return Err(
                "say where packets come from: -i INTERFACE or -r FILE (-D lists interfaces)".to_owned()
            );
        }
    };
    if matches!(input, Input::File(_)) {
        refuse_live_only(args)?;
    }
    refuse_without_effect(args)?;
    let filter = match (&args.filter, &args.bpf, args.expression.is_empty()) {
        (Some(text), ..) => FilterWords::Expression(text.clone()),
        (None, Some(path), _) => FilterWords::Bpf(path.clone()),
        (None, None, false) => FilterWords::Expression(args.expression.join(" ")),
        (None, None, true) => FilterWords::None,
    };
    let config = args.config.as_deref().map(Config::load).transpose().map_err(|e| e.to_string())?;
    let spin = match args.wait {
        Some(wait) => wait == WaitArg::Spin,
        None => args.mode == ModeArg::Latency,
    };
    let mut checked = Checked {
        input,
        filter,
        config,
        layout: match args.threads {
            ThreadsArg::Auto => Layout::Auto,
            ThreadsArg::Split => Layout::Split,
            ThreadsArg::Fused => Layout::Fused,
        },
        cpus: args.cpus.as_ref().map(|c| c.0.clone()).unwrap_or_default(),
        segment_bytes: args.segment_size,
        rotate: args.rotate,
        retain: args.retain.unwrap_or_default(),
        count: args.count,
        duration: args.duration,
        stop_bytes: None,
        spin,
    };
    ring_buffer_words(&mut checked, &args.ring_buffer)?;
    autostop_words(&mut checked, &args.autostop)?;
    Ok(checked)
}

/// The interfaces, each once.
fn interfaces(args: &CaptureArgs) -> Result<Vec<String>, String> {
    let names = &args.interface;
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(*name)) {
        return Err(format!("-i {twice} stands twice; each interface is captured once"));
    }
    if names.len() * usize::from(args.queues) > MAX_QUEUES {
        return Err(format!("more than {MAX_QUEUES} queues over all interfaces; lower --queues"));
    }
    Ok(names.clone())
}

/// Most queues of a capture: each has a ring, threads and segments of its own.
const MAX_QUEUES: usize = 64;

/// An option that could have no effect beside the others is a mistake too.
fn refuse_without_effect(args: &CaptureArgs) -> Result<(), String> {
    let idle = [
        (args.fanout.is_some() && args.queues == 1, "--fanout spreads packets over queues: say --queues N"),
        (
            args.retire.is_some() && args.mode == ModeArg::Latency,
            "--retire concerns blocks: say --mode throughput",
        ),
        (
            args.force_hwtstamp && args.stamp == Some(StampArg::Host),
            "--force-hwtstamp asks for the NIC's stamps and -j host for the kernel's: choose one",
        ),
        (
            args.journal.as_ref().is_some_and(|dir| dir.as_os_str() == "-"),
            "-w takes a journal's directory, not standard output: `tape follow DIR -w -` streams it as pcapng \
             (./- is a directory of that name)",
        ),
    ];
    match idle.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, text)) => Err(text.to_owned()),
        None => Ok(()),
    }
}

/// With `-r`, an option that only an interface has is a mistake, not something to ignore.
fn refuse_live_only(args: &CaptureArgs) -> Result<(), String> {
    let live_only = [
        (args.queues > 1, "--queues"),
        (!args.join.is_empty(), "--join"),
        (args.stamp.is_some(), "-j"),
        (args.force_hwtstamp, "--force-hwtstamp"),
        (args.no_promiscuous, "-p"),
        (args.direction != DirectionArg::In, "-Q"),
        (args.mode != ModeArg::Latency, "--mode"),
        (args.wait.is_some(), "--wait"),
        (args.retire.is_some(), "--retire"),
        (args.fanout.is_some(), "--fanout"),
    ];
    match live_only.into_iter().find(|(given, _)| *given) {
        Some((_, word)) => Err(format!("{word} concerns an interface (-i), not a capture file (-r)")),
        None => Ok(()),
    }
}

fn key_value(word: &str) -> Result<(&str, u64), String> {
    let (key, value) =
        word.split_once(':').ok_or_else(|| format!("{word:?}: say KEY:VALUE, e.g. duration:60"))?;
    let number = value.parse().ok().filter(|n| *n > 0);
    Ok((key, number.ok_or_else(|| format!("{word:?}: {value:?} is no whole number above 0"))?))
}

fn ring_buffer_words(checked: &mut Checked, words: &[String]) -> Result<(), String> {
    let mut files = None;
    for word in words {
        match key_value(word)? {
            ("filesize", kib) => checked.segment_bytes = kib.saturating_mul(1024),
            ("duration", seconds) => checked.rotate = Some(Duration::from_secs(seconds)),
            ("files", n) => files = Some(n),
            (key, _) => return Err(format!("-b {key}: not one of filesize, duration, files")),
        }
    }
    if let Some(n) = files {
        checked.retain.bytes = Some(n.saturating_mul(checked.segment_bytes));
    }
    Ok(())
}

fn autostop_words(checked: &mut Checked, words: &[String]) -> Result<(), String> {
    for word in words {
        match key_value(word)? {
            ("duration", seconds) => checked.duration = Some(Duration::from_secs(seconds)),
            ("packets", n) => checked.count = Some(n),
            ("filesize", kib) => checked.stop_bytes = Some(kib.saturating_mul(1024)),
            (key, _) => return Err(format!("-a {key}: not one of duration, packets, filesize")),
        }
    }
    Ok(())
}

fn kib_bytes(word: &str) -> Result<u64, String> {
    common::parse_bytes(word, 1024)
}

fn shed(word: &str) -> Result<Shed, String> {
    match word {
        "nothing" => Ok(Shed::Nothing),
        "decoding" => Ok(Shed::Decoding),
        _ => {
            let bytes = word.strip_prefix("payload:").and_then(|n| n.parse().ok()).filter(|n| *n >= 64);
            let keep_bytes = bytes.ok_or_else(|| {
                format!("{word:?}: say nothing, decoding, or payload:BYTES with at least 64")
            })?;
            Ok(Shed::Payload { keep_bytes })
        }
    }
}

fn cpu_pairs(word: &str) -> Result<CpuPairs, String> {
    let list = |part: &str| -> Result<Vec<usize>, String> {
        part.split(',').map(|n| n.trim().parse().map_err(|_| format!("{n:?} is no CPU number"))).collect()
    };
    let (captures, workers) = match word.split_once(':') {
        Some((captures, workers)) => (list(captures)?, Some(list(workers)?)),
        None => (list(word)?, None),
    };
    if workers.as_ref().is_some_and(|w| w.len() != captures.len()) {
        return Err(format!("{word:?}: as many workers' CPUs after the colon as capture threads' before it"));
    }
    let pair = |(i, capture)| Pair { capture: Some(capture), worker: workers.as_ref().map(|w| w[i]) };
    Ok(CpuPairs(captures.into_iter().enumerate().map(pair).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn capture(words: &[&str]) -> CaptureArgs {
        let all = ["wiretape", "capture"].iter().chain(words).copied();
        match Engine::try_parse_from(all).unwrap().command {
            Command::Capture(args) => *args,
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Engine::command().debug_assert();
    }

    #[test]
    fn tcpdumps_words_mean_what_they_mean_there() {
        let args = capture(&[
            "-i", "eth0", "-s", "96", "-c", "7", "-p", "-Q", "inout", "-B", "2048", "udp", "port", "53",
        ]);
        assert_eq!(
            (args.snaplen, args.count, args.no_promiscuous, args.ring_bytes),
            (96, Some(7), true, 2 << 20)
        );
        let checked = check(&args).unwrap();
        assert_eq!(checked.filter, FilterWords::Expression("udp port 53".to_owned()));
        assert!(checked.spin);
    }

    #[test]
    fn dumpcaps_words_shape_the_journal_and_the_end() {
        let args = capture(&[
            "-i",
            "x",
            "-w",
            "d",
            "-b",
            "filesize:8192",
            "-b",
            "files:4",
            "-b",
            "duration:60",
            "-a",
            "duration:5",
            "-a",
            "packets:9",
            "-a",
            "filesize:10",
        ]);
        let c = check(&args).unwrap();
        assert_eq!(
            (c.segment_bytes, c.retain.bytes, c.rotate),
            (8 << 20, Some(32 << 20), Some(Duration::from_secs(60)))
        );
        assert_eq!((c.duration, c.count, c.stop_bytes), (Some(Duration::from_secs(5)), Some(9), Some(10240)));
        assert!(check(&capture(&["-i", "x", "-a", "moons:3"])).unwrap_err().contains("moons"));
        let refused =
            Engine::try_parse_from(["wiretape", "capture", "-i", "x", "-b", "files:3"]).unwrap_err();
        assert!(refused.to_string().contains("--journal <DIR>"), "{refused}");
    }

    #[test]
    fn an_interfaces_options_are_refused_for_a_file() {
        assert!(check(&capture(&["-r", "f", "-Q", "out"])).unwrap_err().starts_with("-Q"));
        assert!(check(&capture(&["-r", "f", "--queues", "2"])).unwrap_err().starts_with("--queues"));
        assert!(check(&capture(&["-c", "1"])).unwrap_err().contains("-i INTERFACE or -r FILE"));
    }

    #[test]
    fn an_option_that_could_have_no_effect_is_refused() {
        let refusal = |words: &[&str]| check(&capture(words)).unwrap_err();
        assert!(refusal(&["-i", "x", "--fanout", "lb"]).contains("--queues N"));
        assert!(refusal(&["-i", "x", "--retire", "5"]).contains("--mode throughput"));
        assert!(refusal(&["-i", "x", "--force-hwtstamp", "-j", "host"]).contains("choose one"));
        assert!(refusal(&["-i", "x", "-w", "-"]).contains("tape follow"));
        for words in
            [["--segment-size", "8MiB"], ["--rotate", "1h"], ["--retain", "7d"], ["--on-full", "stop"]]
        {
            let all = ["wiretape", "capture", "-i", "x"].into_iter().chain(words);
            assert!(Engine::try_parse_from(all).is_err(), "{words:?} without -w");
        }
        for words in [["-B", "64"], ["--shed", "nothing"]] {
            let all = ["wiretape", "capture", "-r", "f"].into_iter().chain(words);
            assert!(Engine::try_parse_from(all).is_err(), "{words:?} with -r");
        }
    }

    #[test]
    fn cpus_are_given_in_pairs() {
        let pairs = cpu_pairs("2,3:4,5").unwrap().0;
        assert_eq!(pairs[1], Pair { capture: Some(3), worker: Some(5) });
        assert_eq!(cpu_pairs("1").unwrap().0, [Pair { capture: Some(1), worker: None }]);
        assert!(cpu_pairs("1,2:3").is_err() && cpu_pairs("x").is_err());
    }
}
