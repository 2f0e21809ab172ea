//! The command line of `tape`: definitions only. [`check`] turns what was typed into checked options.
//!
//! Letters mean what they mean in tcpdump, tcpreplay and dumpcap wherever one of these has them.

pub mod check;
pub mod feed_tools;
mod help;

use crate::cli::common;
use crate::tape::when::When;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use feed_tools::{BooksArgs, BurstsArgs, FeedsArgs, GapsArgs, LatencyArgs};
use std::num::NonZeroU64;
use std::path::PathBuf;

/// `--version`: what was built, and from which revision.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("WIRETAPE_REVISION"),
    ", ",
    env!("WIRETAPE_TARGET"),
    ", features: ",
    env!("WIRETAPE_TARGET_FEATURES"),
    ")"
);

/// The definition, for help, man pages and completions.
pub fn command() -> clap::Command {
    TapeArgs::command()
}

/// Reads, checks, cuts and replays what wiretape recorded
#[derive(Debug, Parser)]
#[command(
    name = "tape",
    version = VERSION,
    after_long_help = help::TAPE,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub struct TapeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TapeCommand,
}

/// The commands of `tape`.
#[derive(Debug, Subcommand)]
pub enum TapeCommand {
    /// Say what is on a journal: time span, packets, queues, interfaces, losses, verdicts
    #[command(after_long_help = help::INFO)]
    Info(InfoArgs),
    /// Print packets, one line each
    #[command(after_long_help = help::READ)]
    Read(ReadArgs),
    /// Check a journal: structure, checksums, hashes, chain; name the first bad byte
    #[command(after_long_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// List every loss: when, where, how many, why
    #[command(after_long_help = help::LOSS)]
    Loss(LossArgs),
    /// Cut a stretch of time out of a journal into a pcapng file
    #[command(after_long_help = help::EXTRACT)]
    Extract(ExtractArgs),
    /// Follow a journal while it is being written
    #[command(after_long_help = help::FOLLOW)]
    Follow(FollowArgs),
    /// Turn a journal into one pcap or pcapng file, or its events into DBN, Parquet or CSV
    #[command(after_long_help = help::EXPORT)]
    Export(ExportArgs),
    /// Print latency and inter-arrival distributions as percentile tables
    #[command(after_long_help = help::HIST)]
    Hist(HistArgs),
    /// Say what came on each feed: messages by type, heartbeats, gaps, duplicates
    #[command(after_long_help = help::FEEDS)]
    Feeds(FeedsArgs),
    /// Find the busiest moments: peak rate in windows of 1 ms, 100 µs and 10 µs, when, and of which feed
    #[command(after_long_help = help::BURSTS)]
    Bursts(BurstsArgs),
    /// List what was missing: when, on which feed and line, lost upstream or here, healed by what
    #[command(after_long_help = help::GAPS)]
    Gaps(GapsArgs),
    /// Print an instrument's order book as it was at a moment
    #[command(after_long_help = help::BOOKS)]
    Books(BooksArgs),
    /// Hold exchange times against stamps, lines against each other, and two journals against each other
    #[command(after_long_help = help::LATENCY)]
    Latency(LatencyArgs),
    /// Judge the raw bytes again and compare with the verdicts on tape
    #[command(after_long_help = help::DECODE)]
    Decode(DecodeArgs),
    /// Send recorded packets again, to an interface or to UDP sockets
    #[command(after_long_help = help::REPLAY)]
    Replay(ReplayArgs),
    /// Write man pages or shell completions for wiretape and tape
    #[command(after_long_help = help::GENERATE)]
    Generate(GenerateArgs),
}

/// Which packets: the same words for every command that selects some.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which packets")]
pub struct SelectArgs {
    /// Only packets stamped at this time or later: RFC 3339, @epoch.ns, -5m (before the end), 90s (after the start)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub begin: Option<When>,
    /// Only packets stamped before this time; a bare duration counts from --begin
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub end: Option<When>,
    /// Only packets with this verdict, by its name (`accepted`, `udp-bad-checksum`, ...); may be repeated
    #[arg(long, value_name = "NAME", value_parser = check::verdict)]
    pub verdict: Vec<crate::packet::Verdict>,
    /// Only packets that came in, or only those that this host sent
    #[arg(short = 'Q', long, value_name = "DIRECTION", default_value = "inout")]
    pub direction: DirectionArg,
    /// A compiled filter program to use in place of EXPR: a file with the output of `tcpdump -ddd EXPR`
    #[arg(long, value_name = "FILE", conflicts_with = "expr")]
    pub bpf: Option<PathBuf>,
    /// A filter in tcpdump's language: the last words of the command (see pcap-filter(7))
    #[arg(value_name = "EXPR", trailing_var_arg = true)]
    pub expr: Vec<String>,
}

/// `-Q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    /// Received packets
    In,
    /// Packets that this host sent
    Out,
    /// Both
    #[default]
    Inout,
}

/// `tape info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// Read every block, however long the journal is, to count verdicts and losses
    #[arg(long, conflicts_with = "no_scan")]
    pub scan: bool,
    /// Read only heads and ends of the segments
    #[arg(long)]
    pub no_scan: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tape verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// The chain must end with this head, as an earlier `tape verify` printed it
    #[arg(long, value_name = "HEX", value_parser = crate::tape::verify::parse_head)]
    pub head: Option<[u8; 32]>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tape loss`.
#[derive(Debug, Args)]
pub struct LossArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// Only losses that reach beyond this time: RFC 3339, @epoch.ns, -5m (before the end), 90s (after the start)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub begin: Option<When>,
    /// Only losses that begin before this time; a bare duration counts from --begin
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub end: Option<When>,
    /// Print one JSON object a loss
    #[arg(long)]
    pub json: bool,
}

/// `tape extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// The file to write, as pcapng; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Print the summary as one JSON object, on standard error
    #[arg(long)]
    pub json: bool,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// `tape follow`.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// Write pcapng to this file in place of printing; - is standard output
    #[arg(short = 'w', long = "write", value_name = "FILE", conflicts_with = "json")]
    pub write: Option<PathBuf>,
    /// Stop after this many packets
    #[arg(short = 'c', long = "count", value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Begin with what is on tape already, not with the next packet
    #[arg(long)]
    pub from_start: bool,
    /// Print one JSON object a packet
    #[arg(long)]
    pub json: bool,
    /// A compiled filter program to use in place of EXPR: a file with the output of `tcpdump -ddd EXPR`
    #[arg(long, value_name = "FILE", conflicts_with = "expr")]
    pub bpf: Option<PathBuf>,
    /// A filter in tcpdump's language: the last words of the command (see pcap-filter(7))
    #[arg(value_name = "EXPR", trailing_var_arg = true)]
    pub expr: Vec<String>,
}

/// `tape read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file; - is standard input
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Stop after this many packets
    #[arg(short = 'c', long = "count", value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Print the link-layer header on each line
    #[arg(short = 'e', long = "link")]
    pub link: bool,
    /// Print the bytes in hex: -x without, -xx with the link-layer header
    #[arg(short = 'x', action = clap::ArgAction::Count, conflicts_with = "ascii")]
    pub hex: u8,
    /// Print the bytes in hex and ASCII: -X without, -XX with the link-layer header
    #[arg(short = 'X', action = clap::ArgAction::Count)]
    pub ascii: u8,
    /// Print one JSON object a packet
    #[arg(long, conflicts_with_all = ["hex", "ascii", "link"])]
    pub json: bool,
    /// Write the selected packets to this pcapng file in place of printing them; - is standard output
    #[arg(short = 'w', long = "write", value_name = "FILE", conflicts_with_all = ["hex", "ascii", "link", "json"])]
    pub write: Option<PathBuf>,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// `--format` of `tape export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Classic pcap with nanosecond stamps: one link type, no interface names, no drop counts
    Pcap,
    /// Standard pcapng: interfaces, directions, drop counts
    Pcapng,
    /// Events as DBN files, compressed with zstd
    Dbn,
    /// Events as Parquet tables, partitioned by day and host
    Parquet,
    /// Events as CSV tables, partitioned by day and host
    Csv,
}

/// `tape export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// The file to write, - is standard output; with --events a new directory
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: PathBuf,
    /// What to write; without it the output's ending decides (pcapng if that says nothing), with --events parquet
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatArg>,
    /// Export the events that were made of the packets, not the packets
    #[arg(long)]
    pub events: bool,
    /// Rows in a row group of a Parquet file
    #[arg(long, value_name = "ROWS", default_value = "262144", requires = "events")]
    pub row_group: NonZeroU64,
    /// Write times and prices as plain integers (ns, 1e-9), for readers that do not know these types of Parquet
    #[arg(long, requires = "events")]
    pub plain_integers: bool,
    /// Print the summary as one JSON object, on standard error
    #[arg(long)]
    pub json: bool,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// `--of` of `tape hist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HistOfArg {
    /// From the stamp to the arrival in user space, by stamp clock
    Delay,
    /// From one packet's stamp to the next one's, by stamp clock
    Interval,
}

/// `tape hist`.
#[derive(Debug, Args)]
pub struct HistArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Only this distribution
    #[arg(long, value_name = "WHAT")]
    pub of: Option<HistOfArg>,
    /// Only packets stamped by this clock: hw, sw, kernel, user or file
    #[arg(long, value_name = "CLOCK", value_parser = check::stamp_clock)]
    pub clock: Option<crate::time::StampClock>,
    /// Also write the histograms to this HdrHistogram interval log
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// `tape decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// List every differing verdict, not the first ten; and the first ten differing events of each file, not the first
    #[arg(long)]
    pub diff: bool,
    /// Write the events to this directory, in place of comparing them: one directory a capture
    #[arg(long, value_name = "DIR", conflicts_with = "rebuild")]
    pub events: Option<PathBuf>,
    /// Put event tapes that are missing, or that a crash has cut, into the journal
    #[arg(long)]
    pub rebuild: bool,
    /// Judge by the feeds of this configuration in place of the one that the journal recorded
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tape replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Where to.
    #[command(flatten)]
    pub to: ReplayTo,
    /// Hops that multicast datagrams may take (--udp)
    #[arg(long, value_name = "HOPS", default_value_t = 1, requires = "udp", value_parser = clap::value_parser!(u8))]
    pub ttl: u8,
    /// Local address to send from (--udp); for multicast it chooses the interface
    #[arg(long, value_name = "ADDRESS", requires = "udp")]
    pub from: Option<std::net::IpAddr>,
    /// How fast.
    #[command(flatten)]
    pub pace: ReplayPace,
    /// Play everything this many times over
    #[arg(short = 'l', long = "loop", value_name = "N", default_value = "1")]
    pub rounds: NonZeroU64,
    /// Stop after this many packets
    #[arg(short = 'L', long = "limit", value_name = "N")]
    pub limit: Option<NonZeroU64>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// Destination of a replay.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ReplayTo {
    /// Send whole frames on this interface (needs CAP_NET_RAW)
    #[arg(short, long, value_name = "INTERFACE")]
    pub interface: Option<String>,
    /// Send the payloads of UDP packets to HOST:PORT, or to the addresses they were sent to: `original`
    #[arg(long, value_name = "HOST:PORT|original")]
    pub udp: Option<String>,
}

/// Speed of a replay.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub struct ReplayPace {
    /// Play this many times as fast as recorded (0.5 is half the speed)
    #[arg(short = 'x', long = "multiplier", value_name = "MULT", value_parser = common::positive_millionths)]
    pub multiplier: Option<NonZeroU64>,
    /// Play this many packets a second
    #[arg(short = 'p', long = "pps", value_name = "PPS", value_parser = common::positive_millionths)]
    pub pps: Option<NonZeroU64>,
    /// Play this many megabits a second, counted over the bytes of the frames
    #[arg(short = 'M', long = "mbps", value_name = "MBPS", value_parser = common::positive_millionths)]
    pub mbps: Option<NonZeroU64>,
    /// Play as fast as possible
    #[arg(short = 't', long = "topspeed")]
    pub topspeed: bool,
    /// Play one packet for each Enter on standard input
    #[arg(short = 'o', long = "oneatatime")]
    pub oneatatime: bool,
}

/// What `tape generate` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GenerateWhat {
    /// Manual pages, one a command, in section 1
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// Whose pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgramArg {
    /// The engine
    Wiretape,
    /// The analysis program
    Tape,
}

/// `tape generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to write
    #[arg(value_name = "WHAT")]
    pub what: GenerateWhat,
    /// Of which program only; without it, of both
    #[arg(long, value_name = "PROGRAM")]
    pub program: Option<ProgramArg>,
    /// Write files with the usual names into this directory, in place of standard output
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn filter_words_come_last_and_need_no_quotes() {
        let args =
            TapeArgs::try_parse_from(["tape", "read", "j", "-c", "5", "udp", "and", "not", "port", "53"])
                .expect("as tcpdump takes it");
        let TapeCommand::Read(read) = args.command else { panic!("read") };
        assert_eq!(read.select.expr, ["udp", "and", "not", "port", "53"]);
        assert_eq!(read.count, NonZeroU64::new(5));
    }

    #[test]
    fn times_before_the_end_may_begin_with_a_minus() {
        let args =
            TapeArgs::try_parse_from(["tape", "extract", "j", "-o", "x", "--begin", "-5m", "--end", "-1m"])
                .expect("-5m is a time");
        let TapeCommand::Extract(extract) = args.command else { panic!("extract") };
        assert!(extract.select.begin.is_some() && extract.select.end.is_some());
    }

    #[test]
    fn two_speeds_or_two_destinations_are_a_usage_error() {
        for wrong in [
            &["tape", "replay", "j", "-i", "e", "-t", "-p", "5"][..],
            &["tape", "replay", "j", "-i", "e", "--udp", "original"],
            &["tape", "replay", "j"],
            &["tape", "replay", "j", "-i", "e", "-x", "0"],
        ] {
            assert!(TapeArgs::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
