//! The command lines of the tools that know feeds: `tape feeds`, `tape bursts`, `tape latency`, `tape gaps`, `tape books`.

use super::{SelectArgs, check};
use crate::cli::common;
use crate::feed::FeedConfig;
use crate::tape::books::BooksOptions;
use crate::tape::bursts::{self, BurstsOptions, By};
use crate::tape::feeds::FeedsOptions;
use crate::tape::gaps::GapsOptions;
use crate::tape::latency::exchange::LatencyOptions;
use crate::tape::latency::taps::TapsOptions;
use crate::tape::when::When;
use clap::{Args, ValueEnum};
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Which feeds.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which feeds")]
pub struct FeedsFrom {
    /// The feeds of this configuration in place of those that the journal recorded
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tape feeds`.
#[derive(Debug, Args)]
pub struct FeedsArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file; - is standard input
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Take datagrams with a wrong UDP checksum too (captures whose addresses were rewritten)
    #[arg(short = 'K', long)]
    pub dont_verify_checksums: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Which feeds.
    #[command(flatten)]
    pub from: FeedsFrom,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

impl FeedsArgs {
    /// How to answer.
    pub fn options(&self, feeds: Vec<FeedConfig>) -> FeedsOptions {
        FeedsOptions { feeds, verify_checksums: !self.dont_verify_checksums, json: self.json }
    }
}

/// `--by` of `tape bursts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ByArg {
    /// The windows with the most bytes
    #[default]
    Bytes,
    /// The windows with the most packets
    Packets,
}

/// `tape bursts`.
#[derive(Debug, Args)]
pub struct BurstsArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file; - is standard input
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Length of the windows, such as 1ms or 500us; may be repeated; without it 1 ms, 100 µs and 10 µs
    #[arg(long, value_name = "DURATION", value_parser = window)]
    pub window: Vec<NonZeroU64>,
    /// List this many windows of each length and feed
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
    /// What makes a window high
    #[arg(long, value_name = "WHAT", default_value = "bytes")]
    pub by: ByArg,
    /// Count what a frame takes on an Ethernet wire: padding, check sequence, preamble and gap too
    #[arg(long)]
    pub line_rate: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Which feeds.
    #[command(flatten)]
    pub from: FeedsFrom,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

impl BurstsArgs {
    /// What to look for.
    pub fn options(&self, feeds: Vec<FeedConfig>) -> BurstsOptions {
        let asked: Vec<u64> = self.window.iter().map(|window| window.get()).collect();
        BurstsOptions {
            feeds,
            windows_ns: if asked.is_empty() { bursts::WINDOWS_NS.to_vec() } else { asked },
            by: match self.by {
                ByArg::Bytes => By::Bytes,
                ByArg::Packets => By::Packets,
            },
            line_rate: self.line_rate,
            top: usize::from(self.top),
            json: self.json,
        }
    }
}

/// `tape latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// A journal's directory, one of its segments, or any pcap or pcapng file
    #[arg(value_name = "JOURNAL|FILE")]
    pub input: PathBuf,
    /// Compare with the packets of this journal or file, taken at another place: delay and loss between the two
    #[arg(long, value_name = "JOURNAL|FILE")]
    pub to: Option<PathBuf>,
    /// Longest delay between the two (--to), in either direction
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = window, requires = "to")]
    pub max_delay: NonZeroU64,
    /// Most packets that wait for their like (--to); each takes about 150 bytes
    #[arg(long, value_name = "PACKETS", default_value = "4194304", requires = "to")]
    pub max_pending: NonZeroU64,
    /// Take datagrams with a wrong UDP checksum too (captures whose addresses were rewritten)
    #[arg(short = 'K', long, conflicts_with = "to")]
    pub dont_verify_checksums: bool,
    /// Also write the histograms to this HdrHistogram interval log
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Which feeds.
    #[command(flatten)]
    pub from: FeedsFrom,
    /// Which packets.
    #[command(flatten)]
    pub select: SelectArgs,
}

impl LatencyArgs {
    /// How to measure against the exchange's time.
    pub fn options(&self, feeds: Vec<FeedConfig>) -> LatencyOptions {
        LatencyOptions { feeds, verify_checksums: !self.dont_verify_checksums, json: self.json }
    }

    /// How to match two taps.
    pub fn taps(&self) -> TapsOptions {
        TapsOptions {
            max_delay_ns: self.max_delay.get(),
            max_pending: usize::try_from(self.max_pending.get()).unwrap_or(usize::MAX),
            json: self.json,
        }
    }
}

/// `tape gaps`.
#[derive(Debug, Args)]
pub struct GapsArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// Print only what is missing still, one range a line: feed, session, first number, how many
    #[arg(long)]
    pub requests: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Which feeds.
    #[command(flatten)]
    pub from: FeedsFrom,
}

impl GapsArgs {
    /// What to list.
    pub fn options(&self, feeds: Option<Vec<FeedConfig>>) -> GapsOptions {
        GapsOptions { feeds, requests: self.requests, json: self.json }
    }
}

/// `tape books`.
#[derive(Debug, Args)]
pub struct BooksArgs {
    /// A journal's directory, or a DBN file of order events (mbo)
    #[arg(value_name = "JOURNAL|FILE.dbn")]
    pub input: PathBuf,
    /// The instrument, as the feed writes its symbol; or its id
    #[arg(value_name = "SYMBOL")]
    pub symbol: String,
    /// After the last event stamped at this time or before: RFC 3339, @epoch.ns, -5m (before the end), 90s (after the
    /// start); without it after the last of all
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<When>,
    /// Show this many levels of each side
    #[arg(long, value_name = "N", default_value = "10")]
    pub levels: u16,
    /// Only of this feed
    #[arg(long, value_name = "NAME")]
    pub feed: Option<String>,
    /// Print one JSON object a book
    #[arg(long)]
    pub json: bool,
    /// Which feeds.
    #[command(flatten)]
    pub from: FeedsFrom,
}

impl BooksArgs {
    /// Which book.
    pub fn options(&self, feeds: Option<Vec<FeedConfig>>) -> BooksOptions {
        BooksOptions {
            path: self.input.clone(),
            feeds,
            at: self.at,
            symbol: self.symbol.clone(),
            feed: self.feed.clone(),
            levels: usize::from(self.levels),
            json: self.json,
        }
    }
}

/// A duration of at least a nanosecond, in ns.
fn window(word: &str) -> Result<NonZeroU64, String> {
    let ns = u64::try_from(common::duration(word)?.as_nanos()).ok().and_then(NonZeroU64::new);
    ns.ok_or_else(|| format!("{word:?} is no duration above 0, such as 1ms, 100us or 500ns"))
}

/// The feeds of a configuration file, if one is given.
///
/// # Errors
/// [`check::Usage`] with what is wrong in it.
pub fn configured(from: &FeedsFrom) -> Result<Option<Vec<FeedConfig>>, check::Usage> {
    let Some(path) = &from.config else { return Ok(None) };
    let config = crate::config::Config::load(path).map_err(|error| check::Usage(error.to_string()))?;
    Ok(Some(config.feeds))
}
