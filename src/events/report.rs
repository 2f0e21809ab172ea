//! What the room knows of each feed when it is asked: for reports, JSON and `tape gaps`.

use super::desk::Desk;
use super::lines::LineReport;
use super::race::RaceReport;
use super::rules::Rule;
use super::timing::LatencyReport;
use crate::feed::{FeedConfig, Severity};
use serde::{Deserialize, Serialize};

/// The books of all feeds, in the order of the configuration.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct RoomReport {
    /// One a feed.
    pub feeds: Vec<FeedReport>,
}

/// The books of one feed. Messages are sequence numbers: packets, where the protocol numbers packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedReport {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// Different messages, each counted once, in order.
    pub messages: u64,
    /// Sequence spaces that began.
    pub epochs: u32,
    /// Times that messages came on no line within the hold time.
    pub gaps: u64,
    /// Messages missing in those.
    pub missing: u64,
    /// Of these, messages that came after all.
    pub late: u64,
    /// Gaps over which nothing was lost here.
    pub gaps_upstream: u64,
    /// Gaps over which packets were lost here too: whose they were is not known.
    pub gaps_maybe_local: u64,
    /// Messages of which two lines brought different bytes.
    pub differing: u64,
    /// Packets left out because nothing bore them out.
    pub strays: u64,
    /// Its lines.
    pub lines: Vec<LineReport>,
    /// Races of each two of them in which both ran.
    pub races: Vec<RaceReport>,
    /// Exchange to arrival, by clock.
    pub latencies: Vec<LatencyReport>,
    /// Rules that were broken.
    pub rules: Vec<BrokenRule>,
}

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BrokenRule {
    /// Its name.
    pub rule: String,
    /// Severity in force.
    pub severity: Severity,
    /// How often.
    pub count: u64,
}

impl FeedReport {
    pub(super) fn of(config: &FeedConfig, desk: &Desk) -> Self {
        let broken = |rule: &Rule| {
            let (count, severity) = (desk.out.rules.count(*rule), desk.out.rules.severity(*rule));
            (count > 0).then(|| BrokenRule { rule: rule.name().to_owned(), severity, count })
        };
        let races = desk.races.iter().map(|race| race.report(&desk.names));
        Self {
            name: config.name.clone(),
            protocol: config.protocol.name().to_owned(),
            messages: desk.books.delivered,
            epochs: desk.epochs,
            gaps: desk.books.gaps,
            missing: desk.books.missing,
            late: desk.books.late,
            gaps_upstream: desk.gaps.upstream,
            gaps_maybe_local: desk.gaps.maybe_local,
            differing: desk.books.differing,
            strays: desk.books.strays,
            lines: desk.lines.iter().map(|line| line.books.clone()).collect(),
            races: races.filter(|race| race.messages > 0).collect(),
            latencies: desk.out.timing.report(),
            rules: Rule::ALL.iter().filter_map(broken).collect(),
        }
    }
}
