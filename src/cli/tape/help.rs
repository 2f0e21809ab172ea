//! What `--help` and the man pages say after the list of options: what a command does, examples, exit codes.

macro_rules! help {
    ($($part:expr),+ $(,)?) => { concat!($($part, "\n\n"),+, "\
EXIT STATUS
  0  It did what was asked.
  1  It could not; the message names the thing and the mend.
  2  The command line was not understood.
  3  It ran and the answer is bad: verification failed or verdicts differ.") };
}

pub(super) const TAPE: &str = help!(
    "\
tape works on journals: the directories that `wiretape capture` writes. Every segment in them is standard pcapng, so
tcpdump, tshark and Wireshark open it directly; tape adds what those cannot know: checksums, verdicts, losses, clocks.
It needs no privilege, except `tape replay -i` (CAP_NET_RAW). It may read a journal that is being written.",
    "\
EXAMPLES
  tape info  /var/lib/wiretape/j           what is on it
  tape read  /var/lib/wiretape/j -c 10 udp port 26477
                                           the first ten packets that match
  tape verify /var/lib/wiretape/j          is every byte the one that was written?
  tape follow /var/lib/wiretape/j -w - | wireshark -k -i -
                                           watch it live
  tape replay /var/lib/wiretape/j -i veth0 -x 2
                                           play it again, twice as fast",
    "\
TIMES
  2026-11-23T09:30:00.000000001Z  RFC 3339, to the nanosecond; without an offset it is UTC
  @1764408906.000000001           seconds since the Unix epoch
  -5m                             so long before the last stamp on the tape
  90s                             so long after the first stamp on the tape (as --end: after --begin)
  Of a journal only the part is read that can hold the stretch of time. A packet whose stamp steps back by more than a
  second is found only if it stands in that part.
  Every time that tape prints is UTC.",
    "\
STREAMS
  Data goes to standard output, everything else to standard error. With --json each line is one JSON object; times are
  integer nanoseconds since the Unix epoch, sizes are integer bytes. Colour and progress appear only at a terminal;
  NO_COLOR is respected.",
);

pub(super) const INFO: &str = help!(
    "\
Prints when the capture began and ended, how many packets and bytes each queue holds, its interfaces, the losses by
place, the verdicts by name, and what the journal says of its host. A journal of up to 1 GiB is read through; of a
longer one only heads and ends of the segments are read, unless --scan asks for more.",
    "\
EXAMPLES
  tape info j
  tape info j --json | jq .packets",
);

pub(super) const READ: &str = help!(
    "\
Prints one line a packet, as `tcpdump -nn -tttt` does, in the order of the stamps over all queues:

  2026-11-23 09:30:00.000000001 hw IP 10.0.0.1.30001 > 233.54.12.111.26477: UDP, length 60 Mold XNAS000001 seq 7 count 2

The word behind the time says whose clock it is: hw (the NIC), sw (the kernel, software stamping on), kernel (the kernel
on delivery), user (the program), file (a capture file that does not say), none. A verdict other than `accepted` and all
findings stand in brackets at the end: [udp-bad-checksum], [gap]. Files that are not journals carry no verdicts: they
are judged while they are read, with MoldUDP64 recognised by its shape.",
    "\
HEX
  -x and -xx print the bytes below the line, without and with the link-layer header; -X and -XX add ASCII.",
    "\
JSON
  One object a packet: stamp_ns, clock, arrival_ns, wire_bytes, captured_bytes, interface, direction, verdict, findings,
  lost_before, and what the headers say. Packets on a journal have queue, seq, segment and offset too.",
    "\
EXAMPLES
  tape read j -c 20 -e
  tape read j --verdict udp-bad-checksum -X
  tape read capture.pcapng --begin 10s --end 5s tcp port 443
  tape read j --json 'dst net 233.54.0.0/16' | jq -c 'select(.findings != [])'
  tape read j -w - udp | wireshark -k -i -",
);

pub(super) const VERIFY: &str = help!(
    "\
Reads every byte of a journal and checks the structure of each block, the checksum and number of each record, the hash
of each sealed segment and the chain over the manifest. The first wrong byte is named by file and offset. A journal that
was killed while it was written is in order if what was committed is whole; segments that retention removed are known
from the manifest.",
    "\
EXAMPLES
  tape verify j && echo in order
  tape verify j --json",
);

pub(super) const LOSS: &str = help!(
    "\
Lists every loss on the tape: the interval in which it happened, how many packets, and the place: nic (the network
interface), ring (the kernel found the ring full), spsc (hand-over), shed (given up under load), disk (the journal could
not take it). A journal without losses lists nothing. With --begin and --end a loss is listed whole if any part of its
interval lies between them.",
    "\
EXAMPLES
  tape loss j
  tape loss j --begin -5m
  tape loss j --json | jq -s 'map(.packets) | add'",
);

pub(super) const EXTRACT: &str = help!(
    "\
Writes the packets of a stretch of time, and optionally of a filter, to one pcapng file, in the order of their stamps.
Uses the journal's anchors: only the part of the tape that can hold the stretch is read.",
    "\
EXAMPLES
  tape extract j --begin 2026-11-23T09:30:00Z --end 1m -o open.pcapng
  tape extract j --begin -5m -o - udp port 26477 | tshark -r -",
);

pub(super) const FOLLOW: &str = help!(
    "\
Prints packets (or writes pcapng with -w) as they are appended to a journal, without disturbing the capture. Ends when
the journal is finished, on Ctrl-C, or when the reader of its output goes away.",
    "\
EXAMPLES
  tape follow j udp
  tape follow j -w - | wireshark -k -i -",
);

pub(super) const EXPORT: &str = help!(
    "\
Writes the packets of a journal, in the order of their stamps over all queues, into one standard file: pcapng with
interfaces, directions and drop counts, or classic pcap with nanosecond stamps. A pcap file has one link type: a journal
with several is refused, and says which; select one with a filter or an interface's words, or write pcapng.",
    "\
EVENTS
  With --events the output is a new directory, and what is written is what was made of the packets: DBN files as they
  stand on the event tape (.dbn.zst), or tables with one directory for each feed and schema,
  OUT/<feed>/<schema>/day=YYYY-MM-DD/host=NAME/part-NNNNNN.parquet (or .csv), each file sorted by ts_recv. In Parquet,
  times are INT64 nanoseconds (TIMESTAMP(NANOS, UTC)) and prices INT64 in 1e-9 (DECIMAL(18,9)); what is undefined is
  NULL. CSV has integer nanoseconds and exact decimal prices. The side table (gaps, races, …) comes along.",
    "\
EXAMPLES
  tape export j -o all.pcapng
  tape export j -o udp.pcap udp
  tape export j -o - --format pcap | tcpdump -nn -r -
  tape export --events j -o events
  tape export --events j -o events --format dbn",
);

pub(super) const HIST: &str = help!(
    "\
Prints distributions in the percentile format of HdrHistogram (.hgrm): Value, Percentile, TotalCount, 1/(1-Percentile),
in nanoseconds. There is one table for each distribution and each stamp clock; two clocks never share one. Delays are
from the stamp to the arrival in user space; packets from capture files have none. Intervals are between neighbouring
stamps of one clock. A delay or interval below zero cannot stand in a histogram: such are counted in the table's first
line.",
    "\
EXAMPLES
  tape hist j
  tape hist j --of delay --clock hw > delay.hgrm
  tape hist j --hlog j.hlog",
);

pub(super) const DECODE: &str = help!(
    "\
Judges every packet on a journal again, from its raw bytes, in the order of each queue, and compares verdict and
findings with those on tape. They must be the same: what was decided live depended on the bytes alone. Packets whose
decoding was shed under load (not-judged) have nothing to compare; they are counted. So are differences in streams whose
beginning is not on tape any more. The feeds are those that the journal recorded (without a record: none),
unless --config names others.

Makes the events of the configured feeds again, too, and compares them with the event tape in the journal's events
directory: they must be the same to the last byte. Of an event tape that a crash has cut, what is there must be a
prefix. If other versions of the decoders wrote it, that is said.",
    "\
EXAMPLES
  tape decode j
  tape decode j --diff --json
  tape decode j --rebuild
  tape decode j --events /tmp/events",
);

pub(super) const REPLAY: &str = help!(
    "\
Sends recorded packets again, at the times that their stamps ask for. Every due time is computed from one anchor, so
error does not add up; the last stretch before it is spun, never slept. The report tells the distribution of actual
against intended send times, the rate, and the drift from the first packet to the last. Nothing is sent early.",
    "\
With -i whole frames leave as they were captured (checksums too, whether or not they were ever computed). With --udp the
payloads of UDP packets leave from ordinary sockets; whatever is no whole UDP datagram is counted and left out, and
datagrams that the recording host's GRO had merged are cut apart again.",
    "\
With none of -x -p -M -t -o packets leave as they were recorded (-x 1). In the
second and later rounds of -l the first packet follows the last one of the round before at once, by -p and -M after one
interval. With -t, frames are handed to the kernel 64 at a time.",
    "\
PERMISSION
  Frames need CAP_NET_RAW: run as root, or once: sudo setcap cap_net_raw+ep $(command -v tape)",
    "\
EXAMPLES
  tape replay j -i veth0
  tape replay j -i veth0 -t -l 100
  tape replay j --udp 127.0.0.1:26477 -x 10 udp port 26477
  tape replay j --udp original --from 10.0.0.5 --ttl 4
  tape replay capture.pcap -i veth0 -p 10000 -L 1000000 --json",
);

pub(super) const FEEDS: &str = help!(
    "\
Lists every stream of market data: a sequence space (session, channel or unit) from one sender to one address. Feeds
and lines are those that the journal was captured with, or those of --config; beside them, streams are recognised
where their structure leaves no doubt (MoldUDP64 with ITCH, IEX-TP, CME MDP 3.0).",
    "\
Numbers count what the protocol numbers: messages, or packets for CME. `missing` never came, `filled later` came out of
order. Types are named as the exchange names them, with the length that came.",
    "\
EXAMPLES
  tape feeds j
  tape feeds capture.pcap --config wiretape.toml
  tape feeds j --json | jq '.streams[] | {feed, line, missing}'",
);

pub(super) const BURSTS: &str = help!(
    "\
Slides a window over the stamps of all packets and lists where it held the most, for everything together and for each
feed and line. Windows are not rounded to a grid: the first one listed is the highest of all windows of its length,
wherever they begin. Further ones do not overlap it. A window is named by the stamp of its last packet.",
    "\
Rates are of the frames as they were on the wire, without check sequence; with --line-rate of everything that a frame
keeps the line busy with: padding to 60 bytes, check sequence, preamble and gap.",
    "\
EXAMPLES
  tape bursts j
  tape bursts j --window 10us --top 10 --by packets
  tape bursts j --line-rate --begin 2026-11-23T14:30:00Z --end 1m udp
  tape bursts j --json | jq '.windows[0].scopes[0].peaks[0]'",
);

pub(super) const LATENCY: &str = help!(
    "\
Without --to: for each feed and line, the packet's stamp minus the exchange's time. That is the send time where the
header has one (IEX-TP, CME MDP 3.0, sequenced feeds that say where), else the time of the first event in the packet
(ITCH, PITCH). Of feeds with several configured lines it also tells which line was first, and by how much.",
    "\
With --to: the packets of two taps, matched by the content of their IP packets (without what may change on the way: time
to live, traffic class, checksums, and all of the link layer). Tells the delay, what is only at the first tap (lost),
and what is only at the second (extra). --begin, --end and the filter are of both.",
    "\
CLOCKS
  Every number is a difference of two stamps, signed and never clamped. Which two clocks stands beside it, and what the
  journal knows of them. It is a one-way delay only if both clocks were synchronised; nothing on tape can prove that.",
    "\
EXAMPLES
  tape latency j
  tape latency j --hlog j.hlog --json
  tape latency tap1 --to tap2 --max-delay 10ms udp",
);

pub(super) const GAPS: &str = help!(
    "\
Lists, in the order of time, what was missing on the configured feeds: gaps on every line (with the cause: `upstream` if
nothing was lost on this host meanwhile, `maybe-local` if something was), what one line missed and another brought, lines
that fell silent, and the sequence spaces. It reads the side table of the event tape if that is complete, else it makes
the events again from the packets, which gives the same.",
    "\
With --requests: the ranges that never came, for a tool that may ask the exchange for them. Wiretape never asks.",
    "\
EXAMPLES
  tape gaps j
  tape gaps j --json | jq 'select(.what == \"gap\")'
  tape gaps j --requests
  tape gaps j --config wiretape.toml",
);

pub(super) const BOOKS: &str = help!(
    "\
Builds the book of one instrument from its order events (of the event tape, or made again from the packets; or of a DBN
file) and prints the best levels of both sides, with the sum of the orders at each. If messages were missing since the
book was last known whole, or orders appear that were never added, it says so.",
    "\
EXAMPLES
  tape books j AAPL
  tape books j AAPL --at 2026-11-23T14:30:00Z --levels 5
  tape books mbo-000000.dbn 7 --at 10m --json",
);

pub(super) const GENERATE: &str = help!(
    "\
Writes manual pages or shell completions, made from the same definitions that parse the command lines. To a directory
with -o (one file a page), else to standard output.",
    "\
EXAMPLES
  tape generate man -o /usr/local/share/man/man1
  tape generate bash --program tape > /etc/bash_completion.d/tape",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::common::EXIT_CODES;

    const ALL: &[&str] = &[
        TAPE, INFO, READ, VERIFY, LOSS, EXTRACT, FOLLOW, EXPORT, HIST, DECODE, FEEDS, BURSTS, LATENCY,
        REPLAY, GENERATE,
    ];

    #[test]
    fn every_text_ends_with_the_exit_codes_that_both_programs_share() {
        for text in ALL {
            for line in text
                .lines()
                .filter(|l| l.starts_with("  0 ") || l.starts_with("  1 ") || l.starts_with("  2 "))
            {
                assert!(EXIT_CODES.contains(line), "{line}");
            }
            assert!(text.contains("EXAMPLES") && text.contains("EXIT STATUS"));
        }
    }

    #[test]
    fn no_line_is_wider_than_a_page() {
        for text in ALL {
            for line in text.lines() {
                assert!(line.chars().count() <= 120, "{line}");
            }
        }
    }
}
