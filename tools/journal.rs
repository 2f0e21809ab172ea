//! Joins the tools that only journals have (info, verify, loss, extract, follow, decode) with their output.

use crate::progress::{self, Draw};
use crate::{Stop, output, stop_on_signals};
use std::io::{self, Write};
use std::ops::ControlFlow;
use wiretape::cli::common::Terminals;
use wiretape::cli::tape::check;
use wiretape::cli::tape::{DecodeArgs, ExtractArgs, FollowArgs, InfoArgs, LossArgs, VerifyArgs};
use wiretape::clock::SystemClock;
use wiretape::config::Config;
use wiretape::journal::index::TimeRange;
use wiretape::journal::reader::{Tape, TapePacket};
use wiretape::packet::{InterfaceDef, LinkType};
use wiretape::tape::decode::{self, DecodeOptions};
use wiretape::tape::events::{self, EventsOptions};
use wiretape::tape::extract::{self, ExtractOptions};
use wiretape::tape::follow::{self, FollowOptions, Sink};
use wiretape::tape::info::{self, InfoOptions};
use wiretape::tape::input::{Item, OnTape, Span};
use wiretape::tape::json;
use wiretape::tape::loss::{self, LossOptions};
use wiretape::tape::outcome::{Outcome, TapeError};
use wiretape::tape::pcapng_out::PcapngOut;
use wiretape::tape::print::{Hex, Printer};
use wiretape::tape::select::Chooser;
use wiretape::tape::verify;
use wiretape::validate::JudgeConfig;

pub(crate) fn info(args: &InfoArgs) -> Result<Outcome, Stop> {
    let scan = match (args.scan, args.no_scan) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let options = InfoOptions { path: args.journal.clone(), json: args.json, scan };
    Ok(info::run(&options, &mut io::stdout().lock())?)
}

pub(crate) fn verify(args: &VerifyArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let options = verify::Options { path: args.journal.clone(), json: args.json, expected_head: args.head };
    let mut draw = Draw::new(terminals);
    let outcome = verify::run(
        &options,
        &mut |progress| draw.at(progress.done_bytes, progress.total_bytes),
        &mut io::stdout().lock(),
    )?;
    Ok(outcome)
}

pub(crate) fn loss(args: &LossArgs) -> Result<Outcome, Stop> {
    let options =
        LossOptions { path: args.journal.clone(), begin: args.begin, end: args.end, json: args.json };
    Ok(loss::run(&options, &mut io::stdout().lock())?)
}

pub(crate) fn extract(args: &ExtractArgs) -> Result<Outcome, Stop> {
    let mut selection = check::selection(&args.select, None)?;
    let (begin, end) = (selection.begin.take(), selection.end.take());
    let mut chooser = Chooser::new(&selection, Span { first_ns: 0, last_ns: 0 })?;
    // Opened before the output is created: a journal that is none must not leave an empty file behind.
    Tape::open(&args.journal).map_err(TapeError::from)?;
    let mut out = output(Some(&args.output), &args.journal)?;
    let options = ExtractOptions {
        path: args.journal.clone(),
        begin,
        end,
        margin_ns: TimeRange::DEFAULT_MARGIN_NS,
        output_name: args.output.display().to_string(),
        json: args.json,
    };
    let mut want = |packet: &TapePacket<'_>| chooser.wants(&packet.as_packet(), packet.judgement);
    let outcome = extract::run(&options, &mut want, &mut *out, &mut io::stderr().lock())?;
    chooser.finish()?;
    Ok(outcome)
}

pub(crate) fn follow(args: &FollowArgs) -> Result<Outcome, Stop> {
    let selection = check::follow_selection(args)?;
    let chooser = Chooser::new(&selection, Span { first_ns: 0, last_ns: 0 })?;
    let options = FollowOptions { from_start: args.from_start, ..FollowOptions::new(&args.journal) };
    let stop = stop_on_signals()?;
    let shown: Box<dyn Sink> = match &args.write {
        Some(path) => {
            Box::new(PcapngOut::new(output(Some(path), &args.journal)?, &path.display().to_string())?)
        }
        None => Box::new(Shown::new(args.json)),
    };
    let mut sink = Chosen { chooser, left: selection.count, sink: shown };
    Ok(follow::run(&options, &mut sink, &SystemClock, &stop)?)
}

/// Lets the selected packets through to another sink.
struct Chosen<'s> {
    chooser: Chooser<'s>,
    left: Option<u64>,
    sink: Box<dyn Sink>,
}

impl Sink for Chosen<'_> {
    fn packet(
        &mut self,
        packet: &TapePacket<'_>,
        interface: Option<&InterfaceDef>,
    ) -> Result<ControlFlow<()>, TapeError> {
        if !self.chooser.wants(&packet.as_packet(), packet.judgement)? {
            return Ok(ControlFlow::Continue(()));
        }
        let flow = self.sink.packet(packet, interface)?;
        self.left = self.left.map(|n| n.saturating_sub(1));
        Ok(if self.left == Some(0) { ControlFlow::Break(()) } else { flow })
    }
    fn flush(&mut self) -> Result<(), TapeError> {
        self.sink.flush()
    }
}

/// Prints lines or objects to standard output.
struct Shown {
    json: bool,
    printer: Printer,
    nameless: InterfaceDef,
    text: String,
    bytes: Vec<u8>,
}

impl Shown {
    /// Printed at the latest when so much has gathered, bytes.
    const BATCH_BYTES: usize = 64 << 10;

    fn new(json: bool) -> Self {
        let nameless = InterfaceDef::named("", LinkType::ETHERNET);
        Self {
            json,
            printer: Printer::new(false, Hex::None),
            nameless,
            text: String::new(),
            bytes: Vec::new(),
        }
    }
}

impl Sink for Shown {
    fn packet(
        &mut self,
        packet: &TapePacket<'_>,
        interface: Option<&InterfaceDef>,
    ) -> Result<ControlFlow<()>, TapeError> {
        let item = Item {
            packet: packet.as_packet(),
            judgement: packet.judgement,
            interface: interface.unwrap_or(&self.nameless),
            interface_id: packet.interface,
            place: Some(OnTape { seq: packet.seq, place: packet.place() }),
        };
        if self.json {
            json::packet(&mut self.bytes, &item).map_err(|error| TapeError::Refused(error.to_string()))?;
        } else {
            self.printer.print(&mut self.text, &item);
            self.bytes.extend_from_slice(self.text.as_bytes());
            self.text.clear();
        }
        if self.bytes.len() >= Self::BATCH_BYTES {
            self.flush()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> Result<(), TapeError> {
        let mut out = io::stdout().lock();
        out.write_all(&self.bytes).and_then(|()| out.flush()).map_err(TapeError::io("standard output"))?;
        self.bytes.clear();
        Ok(())
    }
}

/// One reading of a tape, which tells each packet that passes.
type Pass<'p> = dyn FnMut(&mut dyn FnMut(&TapePacket<'_>)) -> Result<Outcome, TapeError> + 'p;

pub(crate) fn decode(args: &DecodeArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let judge =
        args.config.as_deref().map(|path| Config::load(path).map(|config| judge_of(&config))).transpose();
    let judge = judge.map_err(|error| check::Usage(error.to_string()))?;
    let events = EventsOptions {
        feeds: judge.as_ref().map(|judge| judge.feeds.clone()),
        all: args.diff,
        json: args.json,
        to: args.events.clone(),
        rebuild: args.rebuild,
    };
    let options = DecodeOptions { judge, all: args.diff, json: args.json };
    let tape = Tape::open(&args.journal).map_err(TapeError::from)?;
    let (mut out, mut remarks) = (io::stdout().lock(), io::stderr().lock());
    // Two passes over the tape, and a bar for each.
    let total = tape.segments().iter().filter_map(|s| s.path.metadata().ok()).map(|m| m.len()).sum();
    let watched = |run: &mut Pass<'_>| {
        let progress = wiretape::tape::input::Progress::default();
        let _bar = progress::watch_bytes(total, progress.clone(), terminals, true);
        run(&mut |packet| progress.pass(&packet.as_packet()))
    };
    let events = watched(&mut |each| events::run(&tape, &events, &mut out, &mut remarks, each))?;
    let verdicts = watched(&mut |each| decode::run(&tape, &options, &mut out, &mut remarks, each))?;
    Ok(if events == Outcome::Good { verdicts } else { events })
}

/// What a configuration makes the judge look for.
fn judge_of(config: &Config) -> JudgeConfig {
    JudgeConfig { feeds: config.feeds.clone(), ..JudgeConfig::default() }
}
