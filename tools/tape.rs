//! The analysis program: parses, joins a tool with its input and output, and turns its answer into an exit code.
//!
//! Data goes to standard output, everything else to standard error. A reader of our output that goes away
//! (`tape read j | head`) is a quiet end.

mod feeds;
mod journal;
mod progress;
mod replay;

use clap::Parser;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wiretape::cli::common::{Exit, Terminals, complain, say};
use wiretape::cli::tape::check::{self, Usage};
use wiretape::cli::tape::{self as words, GenerateArgs, GenerateWhat, ProgramArg, TapeArgs, TapeCommand};
use wiretape::cli::{engine, generate};
use wiretape::tape::input::Input;
use wiretape::tape::outcome::{Outcome, TapeError};
use wiretape::tape::{event_export, export, hist, read};

/// Why a command ended without an outcome.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Usage(#[from] Usage),
    #[error(transparent)]
    Tape(#[from] TapeError),
    #[error(transparent)]
    Send(#[from] wiretape::replay::SendError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Stop {
    fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Tape(error) => error.is_broken_pipe(),
            Self::Io(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Usage(_) | Self::Send(_) => false,
        }
    }
    const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Tape(_) | Self::Send(_) | Self::Io(_) => Exit::Failure,
        }
    }
}

fn main() -> ExitCode {
    let args = match TapeArgs::try_parse() {
        Ok(args) => args,
        Err(told) => return tell(&told).into(),
    };
    match run(args.command, Terminals::detect()) {
        Ok(Outcome::Good) => Exit::Done.into(),
        Ok(Outcome::Bad) => Exit::BadVerdict.into(),
        Err(stop) if stop.is_broken_pipe() => Exit::Done.into(),
        Err(stop) => {
            complain("tape", &stop);
            stop.exit().into()
        }
    }
}

/// Help and version go to standard output and are no error; all else that `clap` tells is.
fn tell(told: &clap::Error) -> Exit {
    let printed = told.print();
    match (told.use_stderr(), printed) {
        (true, _) => Exit::Usage,
        (false, Ok(())) => Exit::Done,
        (false, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        (false, Err(_)) => Exit::Failure,
    }
}

fn run(command: TapeCommand, terminals: Terminals) -> Result<Outcome, Stop> {
    match command {
        TapeCommand::Read(args) => {
            let selection = check::selection(&args.select, args.count)?;
            let input = Input::open(&args.input)?;
            let mut out = output(args.write.as_deref(), &args.input)?;
            let _bar = progress::watch(&input, terminals, args.write.is_some());
            Ok(read::run(&input, &selection, check::read_as(&args), &mut *out)?)
        }
        TapeCommand::Export(args) if args.events => {
            let (outcome, done) = event_export::run(&check::event_export(&args)?)?;
            report_events(&done, args.json)?;
            Ok(outcome)
        }
        TapeCommand::Export(args) => {
            let format = check::export_format(&args)?;
            let selection = check::selection(&args.select, None)?;
            let input = Input::open(&args.input)?;
            let mut out = output(Some(&args.output), &args.input)?;
            let bar = progress::watch(&input, terminals, true);
            let (outcome, done) = export::run(&input, &selection, format, &mut *out)?;
            drop(bar);
            report_export(&done, args.json)?;
            Ok(outcome)
        }
        TapeCommand::Hist(args) => {
            let selection = check::selection(&args.select, None)?;
            let input = Input::open(&args.input)?;
            let mut log = args.hlog.as_deref().map(|path| output(Some(path), &args.input)).transpose()?;
            let _bar = progress::watch(&input, terminals, true);
            let hlog = log.as_mut().map(|log| &mut **log as &mut dyn Write);
            Ok(hist::run(&input, &selection, &check::hist(&args), &mut io::stdout().lock(), hlog)?)
        }
        TapeCommand::Info(args) => journal::info(&args),
        TapeCommand::Verify(args) => journal::verify(&args, terminals),
        TapeCommand::Loss(args) => journal::loss(&args),
        TapeCommand::Extract(args) => journal::extract(&args),
        TapeCommand::Follow(args) => journal::follow(&args),
        TapeCommand::Decode(args) => journal::decode(&args, terminals),
        TapeCommand::Feeds(args) => feeds::feeds(&args, terminals),
        TapeCommand::Latency(args) => feeds::latency(&args, terminals),
        TapeCommand::Gaps(args) => feeds::gaps(&args),
        TapeCommand::Books(args) => feeds::books(&args),
        TapeCommand::Bursts(args) => feeds::bursts(&args, terminals),
        TapeCommand::Replay(args) => replay::run(&args, terminals),
        TapeCommand::Generate(args) => generate_pages(&args),
    }
}

/// Opens what `-w`, `-o` or `--hlog` name: `-` and nothing are standard output.
fn output(path: Option<&Path>, input: &Path) -> Result<Box<dyn Write>, Stop> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        return Ok(Box::new(io::stdout().lock()));
    };
    if is_same_file(path, input) {
        return Err(Usage(format!("{} is the input: writing would destroy it", path.display())).into());
    }
    let file = File::create(path).map_err(TapeError::io(format!("cannot write {}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// SIGINT and SIGTERM end a tool in good order; a second one kills.
fn stop_on_signals() -> Result<Arc<AtomicBool>, Stop> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b || a.starts_with(b),
        _ => false,
    }
}

fn report_export(done: &export::Exported, json: bool) -> Result<(), Stop> {
    if json {
        say(&(serde_json::to_string(done).map_err(io::Error::from)? + "\n"));
        return Ok(());
    }
    say(&format!("{} packets written, {} bytes\n", done.packets, done.bytes));
    if done.without_time > 0 {
        say(&format!("{} of them have no time and were written with time 0\n", done.without_time));
    }
    Ok(())
}

fn report_events(done: &event_export::EventsExported, json: bool) -> Result<(), Stop> {
    if json {
        say(&(serde_json::to_string(done).map_err(io::Error::from)? + "\n"));
        return Ok(());
    }
    for (table, records) in &done.records {
        say(&format!("{table}: {records} records\n"));
    }
    say(&format!("{} files written\n", done.files));
    if done.unfit > 0 {
        let unfit = done.unfit;
        say(&format!(
            "{unfit} times or prices do not fit their type and are left out (--plain-integers has them)\n"
        ));
    }
    Ok(())
}

fn generate_pages(args: &GenerateArgs) -> Result<Outcome, Stop> {
    let page = match args.what {
        GenerateWhat::Man => generate::Page::Man,
        GenerateWhat::Bash => generate::Page::Bash,
        GenerateWhat::Zsh => generate::Page::Zsh,
        GenerateWhat::Fish => generate::Page::Fish,
    };
    for (program, definition) in programs() {
        if args.program.is_none_or(|only| only == program) {
            let files = generate::generate(&definition, page)?;
            generate::write(&files, args.output.as_deref(), &mut io::stdout().lock())?;
        }
    }
    Ok(Outcome::Good)
}

/// The definitions that pages are made from.
fn programs() -> Vec<(ProgramArg, clap::Command)> {
    vec![(ProgramArg::Wiretape, engine::command()), (ProgramArg::Tape, words::command())]
}
