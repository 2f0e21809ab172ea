//! Joins `tape replay`'s parts: packets from an input, a player, a destination, Ctrl-C, the report.

use crate::{Stop, stop_on_signals};
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use wiretape::cli::common::Terminals;
use wiretape::cli::common::say;
use wiretape::cli::tape::ReplayArgs;
use wiretape::cli::tape::check::{self, Destination};
use wiretape::clock::SystemClock;
use wiretape::replay::{
    InterfaceSender, Pace, PacingClock, Player, ReplayReport, SendError, Sender, UdpSender, Waiter,
};
use wiretape::tape::input::{Input, Item};
use wiretape::tape::outcome::{Outcome, TapeError};
use wiretape::tape::select::Selection;

/// Replays.
pub(crate) fn run(args: &ReplayArgs, terminals: Terminals) -> Result<Outcome, Stop> {
    let replay = check::replay(args)?;
    let selection = check::selection(&args.select, None)?;
    let input = Input::open(&args.input)?;
    if replay.rounds > 1 && input.is_stream() {
        return Err(check::Usage("-l: standard input can be read only once; replay a file".to_owned()).into());
    }
    if replay.player.pace == Pace::Stepped && input.is_stream() {
        return Err(check::Usage(
            "-o: standard input gives the packets and cannot give Enter, too".to_owned(),
        )
        .into());
    }
    let stop = stop_on_signals()?;
    let sender = open(&replay.to, replay.player.pace)?;
    let waiter = if replay.player.pace.is_timed() {
        Waiter::calibrated(SystemClock)
    } else {
        Waiter::new(SystemClock, 0)
    };
    let mut player = Player::new(sender, waiter, replay.player, &stop)?;
    for _ in 0..replay.rounds {
        let stepped = replay.player.pace == Pace::Stepped;
        play(&input, &selection, &mut player, stepped, terminals)?;
        if player.is_over() {
            break;
        }
        player.next_round();
    }
    print(&player.finish()?, args.json)?;
    Ok(Outcome::Good)
}

fn open(to: &Destination, pace: Pace) -> Result<Box<dyn Sender>, SendError> {
    Ok(match to {
        Destination::Interface(name) => Box::new(InterfaceSender::open(name, pace == Pace::TopSpeed)?),
        Destination::Udp { to, from, ttl } => Box::new(UdpSender::open(*to, *from, *ttl)?),
    })
}

fn play<S: Sender, C: PacingClock>(
    input: &Input,
    selection: &Selection,
    player: &mut Player<'_, S, C>,
    stepped: bool,
    terminals: Terminals,
) -> Result<(), Stop> {
    let mut failed = None;
    let mut each = |item: &Item<'_>| -> Result<ControlFlow<()>, TapeError> {
        if stepped
            && wait_for_enter(player.packets(), terminals)
                .map_err(TapeError::io("standard input"))?
                .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        Ok(player.play(&item.packet).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        }))
    };
    input.for_each(selection, &mut each)?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Waits for Enter; the end of standard input ends the replay.
fn wait_for_enter(sent: u64, terminals: Terminals) -> io::Result<ControlFlow<()>> {
    if terminals.stderr {
        say(&format!("packet {}: Enter to send it, Ctrl-D to end ", sent + 1));
    }
    let mut line = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok(if read == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

fn print(report: &ReplayReport, json: bool) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(report.text().as_bytes())?;
    }
    Ok(out.flush()?)
}
