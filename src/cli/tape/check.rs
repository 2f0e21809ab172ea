//! From the words of `tape`'s command line to checked options. What is wrong is a [`Usage`] that names the word.

use super::{
    DirectionArg, ExportArgs, FollowArgs, FormatArg, HistArgs, HistOfArg, ReadArgs, ReplayArgs, ReplayPace,
    ReplayTo, SelectArgs,
};
use crate::filter::Program;
use crate::packet::Verdict;
use crate::replay::{Pace, PlayerOptions, UdpDestination};
#[cfg(feature = "tape")]
use crate::tape::event_export::{EventExportOptions, EventFormat};
use crate::tape::export::Format;
use crate::tape::hist::{HistOptions, Measure};
use crate::tape::print::Hex;
use crate::tape::read::ReadAs;
use crate::tape::select::{Direction, FilterSpec, Selection};
use crate::time::StampClock;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU64;
use std::path::Path;

/// A command line that cannot be followed: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A verdict by its name.
///
/// # Errors
/// A sentence that lists the names.
pub fn verdict(name: &str) -> Result<Verdict, String> {
    let found = Verdict::ALL.iter().find(|(_, known, _)| *known == name);
    found.map(|(verdict, ..)| *verdict).ok_or_else(|| {
        let names: Vec<&str> = Verdict::ALL.iter().map(|(_, name, _)| *name).collect();
        format!("no verdict has this name; there are: {}", names.join(", "))
    })
}

/// A stamp clock by its name.
///
/// # Errors
/// A sentence that lists the names.
pub fn stamp_clock(name: &str) -> Result<StampClock, String> {
    const CLOCKS: [StampClock; 5] = [
        StampClock::HARDWARE,
        StampClock::KERNEL_SOFTWARE,
        StampClock::KERNEL_DELIVERY,
        StampClock::USER,
        StampClock::FILE,
    ];
    CLOCKS
        .into_iter()
        .find(|clock| clock.name() == name)
        .ok_or_else(|| "no clock has this name; there are: hw, sw, kernel, user, file".to_owned())
}

/// The filter of `--bpf FILE` or of the last words.
///
/// # Errors
/// [`Usage`] if the file cannot be read or holds no filter program.
pub fn filter(bpf: Option<&Path>, expr: &[String]) -> Result<FilterSpec, Usage> {
    if let Some(path) = bpf {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| Usage(format!("--bpf {name}: {e}")))?;
        let program = Program::parse_ddd(&text)
            .map_err(|e| Usage(format!("--bpf {name}: {e} (write it with `tcpdump -ddd EXPR > {name}`)")))?;
        return Ok(FilterSpec::Program(program));
    }
    let words = expr.join(" ");
    if let Some(word) = expr.iter().find(|word| word.starts_with("--")) {
        return Err(Usage(format!("{word} stands among the filter's words: options come before the filter")));
    }
    Ok(if words.trim().is_empty() { FilterSpec::None } else { FilterSpec::Expression(words) })
}

/// Which packets.
///
/// # Errors
/// [`Usage`] if the filter program cannot be used.
pub fn selection(args: &SelectArgs, count: Option<NonZeroU64>) -> Result<Selection, Usage> {
    Ok(Selection {
        begin: args.begin,
        end: args.end,
        verdicts: args.verdict.clone(),
        direction: match args.direction {
            DirectionArg::In => Direction::In,
            DirectionArg::Out => Direction::Out,
            DirectionArg::Inout => Direction::Both,
        },
        filter: filter(args.bpf.as_deref(), &args.expr)?,
        count: count.map(NonZeroU64::get),
    })
}

/// Which packets `tape follow` shows.
///
/// # Errors
/// [`Usage`] if the filter program cannot be used.
pub fn follow_selection(args: &FollowArgs) -> Result<Selection, Usage> {
    let filter = filter(args.bpf.as_deref(), &args.expr)?;
    Ok(Selection { filter, count: args.count.map(NonZeroU64::get), ..Selection::default() })
}

/// How `tape read` shows packets.
pub fn read_as(args: &ReadArgs) -> ReadAs {
    if args.write.is_some() {
        return ReadAs::Pcapng;
    }
    if args.json {
        return ReadAs::Json;
    }
    let hex = match (args.hex, args.ascii) {
        (0, 0) => Hex::None,
        (1, _) => Hex::Network { ascii: false },
        (0, 1) => Hex::Network { ascii: true },
        (0, _) => Hex::Link { ascii: true },
        _ => Hex::Link { ascii: false },
    };
    ReadAs::Lines { link: args.link, hex }
}

/// What `tape export` writes of packets.
///
/// # Errors
/// [`Usage`] for a format of events.
pub fn export_format(args: &ExportArgs) -> Result<Format, Usage> {
    let by_name = args.output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pcap"));
    let by_name = if by_name { FormatArg::Pcap } else { FormatArg::Pcapng };
    match args.format.unwrap_or(by_name) {
        FormatArg::Pcap => Ok(Format::Pcap),
        FormatArg::Pcapng => Ok(Format::Pcapng),
        FormatArg::Dbn | FormatArg::Parquet | FormatArg::Csv => {
            Err(Usage("--format dbn, parquet and csv are of events: add --events".to_owned()))
        }
    }
}

/// What `tape export --events` writes.
///
/// # Errors
/// [`Usage`] for a format of packets, or a selection of packets.
#[cfg(feature = "tape")]
pub fn event_export(args: &ExportArgs) -> Result<EventExportOptions, Usage> {
    let format = match args.format {
        None | Some(FormatArg::Parquet) => EventFormat::Parquet,
        Some(FormatArg::Dbn) => EventFormat::Dbn,
        Some(FormatArg::Csv) => EventFormat::Csv,
        Some(FormatArg::Pcap | FormatArg::Pcapng) => {
            return Err(Usage("--format pcap and pcapng are of packets: leave --events out".to_owned()));
        }
    };
    let s = &args.select;
    let selects = s.begin.is_some()
        || s.end.is_some()
        || !s.verdict.is_empty()
        || s.direction != DirectionArg::Inout
        || s.bpf.is_some()
        || !s.expr.is_empty();
    if selects {
        return Err(Usage("--events exports whole event tapes: it takes no selection of packets".to_owned()));
    }
    Ok(EventExportOptions {
        journal: args.input.clone(),
        output: args.output.clone(),
        format,
        group_rows: usize::try_from(args.row_group.get()).unwrap_or(usize::MAX),
        plain_integers: args.plain_integers,
    })
}

/// What `tape hist` shows.
pub fn hist(args: &HistArgs) -> HistOptions {
    let of = args.of.map(|of| match of {
        HistOfArg::Delay => Measure::Delay,
        HistOfArg::Interval => Measure::Interval,
    });
    HistOptions { of, clock: args.clock, json: args.json }
}

/// Where a replay goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Frames, to an interface.
    Interface(String),
    /// Payloads, to UDP sockets.
    Udp {
        /// To where.
        to: UdpDestination,
        /// From which local address.
        from: Option<IpAddr>,
        /// Hops for multicast.
        ttl: u32,
    },
}

/// A replay, checked.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Where to.
    pub to: Destination,
    /// How fast, and how many at most.
    pub player: PlayerOptions,
    /// How often.
    pub rounds: u64,
}

/// How to replay.
///
/// # Errors
/// [`Usage`] for a destination that is no address.
pub fn replay(args: &ReplayArgs) -> Result<Replay, Usage> {
    let to = destination(&args.to, args.from, args.ttl)?;
    let player = PlayerOptions { pace: pace(&args.pace), limit: args.limit.map(NonZeroU64::get) };
    Ok(Replay { to, player, rounds: args.rounds.get() })
}

fn destination(to: &ReplayTo, from: Option<IpAddr>, ttl: u8) -> Result<Destination, Usage> {
    match (&to.interface, &to.udp) {
        (Some(interface), _) => Ok(Destination::Interface(interface.clone())),
        (None, Some(words)) => {
            let to = udp_destination(words, from)?;
            Ok(Destination::Udp { to, from, ttl: u32::from(ttl) })
        }
        (None, None) => Err(Usage("say where to: -i INTERFACE or --udp HOST:PORT".to_owned())),
    }
}

fn udp_destination(words: &str, from: Option<IpAddr>) -> Result<UdpDestination, Usage> {
    if words == "original" {
        return Ok(UdpDestination::Original);
    }
    let wrong =
        |why: String| Usage(format!("--udp {words}: {why}; say HOST:PORT, [IPV6]:PORT or `original`"));
    let mut addresses = words.to_socket_addrs().map_err(|e| wrong(e.to_string()))?;
    let suits = |to: &SocketAddr| from.is_none_or(|from| from.is_ipv4() == to.is_ipv4());
    let to = addresses.find(suits).ok_or_else(|| wrong("no address of the family of --from".to_owned()))?;
    Ok(UdpDestination::Fixed(to))
}

fn pace(args: &ReplayPace) -> Pace {
    if args.topspeed {
        return Pace::TopSpeed;
    }
    if args.oneatatime {
        return Pace::Stepped;
    }
    if let Some(pps_millionths) = args.pps {
        return Pace::PacketRate { pps_millionths };
    }
    if let Some(megabits_millionths) = args.mbps {
        // Millionths of a megabit are bits.
        return Pace::BitRate { bits_per_second: megabits_millionths };
    }
    args.multiplier.map_or(Pace::RECORDED, |speed_millionths| Pace::Recorded { speed_millionths })
}

#[cfg(test)]
mod tests {
    use super::super::{TapeArgs, TapeCommand};
    use super::*;
    use clap::Parser;

    fn replay_of(words: &[&str]) -> Replay {
        let args = TapeArgs::try_parse_from([&["tape", "replay", "j"], words].concat()).unwrap();
        let TapeCommand::Replay(args) = args.command else { panic!("replay") };
        replay(&args).unwrap()
    }

    #[test]
    fn tcpreplays_letters_mean_what_they_mean_there() {
        let n = |n| NonZeroU64::new(n).unwrap();
        let cases: &[(&[&str], Pace)] = &[
            (&[], Pace::RECORDED),
            (&["-x", "0.5"], Pace::Recorded { speed_millionths: n(500_000) }),
            (&["-p", "1000"], Pace::PacketRate { pps_millionths: n(1_000_000_000) }),
            (&["-M", "2.5"], Pace::BitRate { bits_per_second: n(2_500_000) }),
            (&["-t"], Pace::TopSpeed),
            (&["-o"], Pace::Stepped),
        ];
        for (words, pace) in cases {
            let replay = replay_of(&[&["-i", "veth0", "-l", "3", "-L", "7"], *words].concat());
            assert_eq!(replay.player.pace, *pace);
            assert_eq!((replay.rounds, replay.player.limit), (3, Some(7)));
        }
    }

    #[test]
    fn a_destination_is_an_address_or_the_original_one() {
        assert_eq!(
            replay_of(&["--udp", "original", "--ttl", "4"]).to,
            Destination::Udp { to: UdpDestination::Original, from: None, ttl: 4 }
        );
        let Destination::Udp { to: UdpDestination::Fixed(to), .. } = replay_of(&["--udp", "[::1]:9"]).to
        else {
            panic!("fixed")
        };
        assert_eq!(to.to_string(), "[::1]:9");
        assert!(udp_destination("nowhere", None).is_err());
        assert!(udp_destination("127.0.0.1:5", Some("::1".parse().unwrap())).is_err());
    }

    #[test]
    fn an_unknown_verdict_or_clock_is_answered_with_those_there_are() {
        assert_eq!(verdict("accepted"), Ok(Verdict::ACCEPTED));
        assert!(verdict("fine").unwrap_err().contains("udp-bad-checksum"));
        assert_eq!(stamp_clock("hw"), Ok(StampClock::HARDWARE));
        assert!(stamp_clock("sundial").unwrap_err().contains("kernel"));
    }

    #[test]
    fn an_option_behind_the_filter_is_pointed_out() {
        let error = filter(None, &["udp".to_owned(), "--json".to_owned()]).unwrap_err();
        assert!(error.0.contains("options come before"));
    }
}
