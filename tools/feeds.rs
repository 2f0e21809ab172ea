//! Joins the tools that know feeds with their input and output.

use crate::{Stop, progress};
use std::io;
use wiretape::cli::common::Terminals;
use wiretape::cli::tape::check;
use wiretape::cli::tape::feed_tools::{self, BurstsArgs, FeedsArgs, FeedsFrom};
use wiretape::feed::FeedConfig;
use wiretape::tape::input::Input;
use wiretape::tape::outcome::Outcome;
use wiretape::tape::{bursts, feeds, streams};

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

/// The feeds of the given configuration, else those that the journal recorded.
fn configured(from: &FeedsFrom, input: &Input) -> Result<Vec<FeedConfig>, Stop> {
    if let Some(feeds) = feed_tools::configured(from)? {
        return Ok(feeds);
    }
    Ok(input.tape().map(streams::recorded_feeds).transpose()?.unwrap_or_default())
}
