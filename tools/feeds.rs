//! Joins the tools that know feeds with their input and output.

use crate::{Stop, output, progress};
use std::io::{self, Write};
use wiretape::cli::common::Terminals;
use wiretape::cli::tape::check;
use wiretape::cli::tape::feed_tools::{
    self, BooksArgs, BurstsArgs, FeedsArgs, FeedsFrom, GapsArgs, LatencyArgs,
};
use wiretape::feed::FeedConfig;
use wiretape::journal::reader::Tape;
use wiretape::tape::input::Input;
use wiretape::tape::latency::{exchange, taps};
use wiretape::tape::outcome::Outcome;
use wiretape::tape::outcome::TapeError;
use wiretape::tape::{books, bursts, feeds, gaps, streams};

pub(crate) fn feeds(args: &FeedsArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let selection = check::selection(&args.select, None)?;
    let input = Input::open(&args.input)?;
    let options = args.options(configured(&args.from, &input)?);
    let _bar = progress::watch(&input, terminals, true);
    Ok(feeds::run(&input, &selection, &options, &mut io::stdout().lock())?)
}

pub(crate) fn bursts(args: &BurstsArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let selection = check::selection(&args.select, None)?;
    let input = Input::open(&args.input)?;
    let options = args.options(configured(&args.from, &input)?);
    let _bar = progress::watch(&input, terminals, true);
    Ok(bursts::run(&input, &selection, &options, &mut io::stdout().lock())?)
}

pub(crate) fn latency(args: &LatencyArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let selection = check::selection(&args.select, None)?;
    let input = Input::open(&args.input)?;
    let feeds = configured(&args.from, &input)?;
    let second = args.to.as_deref().map(Input::open).transpose()?;
    let mut log = args.hlog.as_deref().map(|path| output(Some(path), &args.input)).transpose()?;
    let hlog = log.as_mut().map(|log| &mut **log as &mut dyn Write);
    let _bar = progress::watch(&input, terminals, true);
    let mut out = io::stdout().lock();
    Ok(match &second {
        Some(second) => taps::run((&input, second), &selection, &args.taps(), &mut out, hlog)?,
        None => exchange::run(&input, &selection, &args.options(feeds), &mut out, hlog)?,
    })
}

pub(crate) fn gaps(args: &GapsArgs) -> Result<Outcome, Stop> {
    let options = args.options(feed_tools::configured(&args.from)?);
    let tape = Tape::open(&args.journal).map_err(TapeError::from)?;
    Ok(gaps::run(&tape, &options, &mut io::stdout().lock())?)
}

pub(crate) fn books(args: &BooksArgs) -> Result<Outcome, Stop> {
    let options = args.options(feed_tools::configured(&args.from)?);
    Ok(books::run(&options, &mut io::stdout().lock())?)
}

/// The feeds of the given configuration, else those that the journal recorded.
fn configured(from: &FeedsFrom, input: &Input) -> Result<Vec<FeedConfig>, Stop> {
    if let Some(feeds) = feed_tools::configured(from)? {
        return Ok(feeds);
    }
    Ok(input.tape().map(streams::recorded_feeds).transpose()?.unwrap_or_default())
}
