//! The judge over real capture files: what the feeds carry, and checksum verdicts beside tshark's.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiretape::feed::itch50::{self, Kind};
use wiretape::feed::moldudp64::View;
use wiretape::packet::{EpbFlags, Findings, LinkType, Marks, Packet, Verdict};
use wiretape::time::{Stamp, StampClock};
use wiretape::validate::{Judge, JudgeConfig};
use wiretape::wire::{Dissection, Network, Transport, dissect};

/// Says why a test did nothing; on CI nothing may be skipped.
fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("skipped: {why}");
}

fn captures() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var_os("WIRETAPE_SHARED").map_or_else(|| manifest.join("../shared"), PathBuf::from);
    let captures = shared.join("captures");
    if !captures.is_dir() {
        skip(&format!("no capture files at {}", captures.display()));
        return None;
    }
    Some(captures)
}

struct Owned {
    bytes: Vec<u8>,
    wire_len: u32,
    link: LinkType,
}

impl Owned {
    fn packet(&self) -> Packet<'_> {
        Packet {
            bytes: &self.bytes,
            wire_len: self.wire_len,
            stamp: Stamp::new(0, StampClock::FILE),
            arrival_ns: 0,
            interface: 0,
            link: self.link,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        }
    }
}

/// A classic pcap file's whole records; `None` if it is something else.
fn read_pcap(path: &Path) -> Option<Vec<Owned>> {
    let file = std::fs::read(path).ok()?;
    let little = match file.first_chunk::<4>()? {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => return None,
    };
    let word = |at: usize| {
        let word = *file.get(at..)?.first_chunk::<4>()?;
        Some(if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
    };
    let link = LinkType(u16::try_from(word(20)? & 0xffff).ok()?);
    let mut packets = Vec::new();
    let mut at = 24;
    while let (Some(len), Some(wire_len)) = (word(at + 8), word(at + 12)) {
        let len = usize::try_from(len).ok()?;
        let Some(bytes) = file.get(at + 16..at + 16 + len) else { break };
        packets.push(Owned { bytes: bytes.to_vec(), wire_len, link });
        at += 16 + len;
    }
    Some(packets)
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// `EXPECTED.tsv` for one file: key → value of a kind.
fn expected(captures: &Path, file: &str, kind: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(captures.join("EXPECTED.tsv")).unwrap();
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[0] == file && row[1] == kind)
        .map(|row| (row[2].to_owned(), row[3].to_owned()))
        .collect()
}

#[test]
fn the_real_itch_captures_hold_what_is_expected_of_them() {
    let Some(captures) = captures() else { return };
    let mut seen = 0;
    for path in files_under(&captures.join("feeds")) {
        let name = format!("feeds/{}", path.file_name().unwrap().to_str().unwrap());
        if !name.contains("nasdaq-itch50") {
            continue;
        }
        let packets = read_pcap(&path).unwrap();
        let mut judge = Judge::new(&JudgeConfig::default());
        let mut types = BTreeMap::<String, u64>::new();
        for owned in &packets {
            let packet = owned.packet();
            assert_eq!(judge.judge(&packet).verdict, Verdict::ACCEPTED, "{name}");
            for message in View::parse(dissect(&packet).payload).unwrap().messages() {
                let Ok(Kind::Known(layout)) = itch50::check(message) else { panic!("{name}: {message:?}") };
                *types.entry(format!("{} len{}", char::from(layout.kind), message.len())).or_default() += 1;
            }
        }
        let types: BTreeMap<String, String> =
            types.into_iter().map(|(key, n)| (key, n.to_string())).collect();
        assert_eq!(types, expected(&captures, &name, "messages"), "{name}");
        let reports = judge.feeds();
        let report = &reports[0];
        let (stream, value) = expected(&captures, &name, "stream").pop_first().unwrap();
        assert!(
            stream.ends_with(&format!(">{}:{}/sess'{}'", report.dst, report.port, report.session)),
            "{stream}"
        );
        let found = format!(
            "pkts={} hb={} msgs={} first={} next={} gaps={} missing={} dups={}",
            report.packets,
            report.heartbeats,
            report.messages,
            report.first_seq,
            report.next_seq,
            report.gaps,
            report.missing_messages,
            report.duplicates
        );
        assert_eq!(found, value, "{name}");
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} ITCH captures");
}

#[test]
fn no_capture_file_makes_the_judge_panic_or_see_a_feed_that_is_not_there() {
    let Some(captures) = captures() else { return };
    let mut packets = 0;
    for path in files_under(&captures) {
        let mut judge = Judge::new(&JudgeConfig::default());
        for owned in read_pcap(&path).unwrap_or_default() {
            judge.judge(&owned.packet());
            // And every packet once more, cut by the wire and by the capturer.
            let mut cut = owned.packet();
            cut.bytes = &cut.bytes[..cut.bytes.len() / 2];
            judge.judge(&cut);
            cut.wire_len /= 2;
            judge.judge(&cut);
            packets += 1;
        }
        let known = ["nasdaq-itch50", "iex-tops16", "cme-mdp3"];
        let is_feed = known.iter().any(|name| path.to_str().unwrap().contains(name));
        assert_eq!(!judge.feeds().is_empty(), is_feed, "{}", path.display());
    }
    assert!(packets > 10_000, "only {packets} packets read");
}

/// tshark takes a third of a second to start: a sample by default (every large file, one in 16 of the small),
/// every file with `WIRETAPE_ALL_CAPTURES=1`.
fn sampled(captures: &Path) -> Vec<PathBuf> {
    let all = std::env::var_os("WIRETAPE_ALL_CAPTURES").is_some();
    let files = files_under(captures).into_iter().enumerate();
    let is_large = |path: &Path| path.metadata().is_ok_and(|data| data.len() > 200_000);
    files.filter(|(at, path)| all || at % 16 == 0 || is_large(path)).map(|(_, path)| path).collect()
}

/// tshark's opinion of one frame's checksums: bad (Some(false)), good (Some(true)) or none.
fn tshark_statuses(path: &Path) -> Option<Vec<Vec<Option<bool>>>> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(path).args(["-T", "fields", "-E", "occurrence=f"]);
    for preference in [
        "ip.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
    ] {
        command.args(["-o", preference]);
    }
    for protocol in ["ip", "udp", "tcp", "icmp", "icmpv6", "igmp"] {
        command.arg("-e").arg(format!("{protocol}.checksum.status"));
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let status = |field: &str| match field {
        "0" | "Bad" => Some(false),
        "1" | "Good" => Some(true),
        _ => None,
    };
    Some(text.lines().map(|line| line.split('\t').map(status).collect()).collect())
}

/// Which of tshark's fields is about the transport found, and what it is called when wrong.
fn transport_column(dissection: &Dissection<'_>) -> Option<(usize, Verdict)> {
    match dissection.transport {
        Transport::Udp { .. } => Some((1, Verdict::UDP_BAD_CHECKSUM)),
        Transport::Tcp { .. } => Some((2, Verdict::TCP_BAD_CHECKSUM)),
        Transport::Icmp { .. } => Some((3, Verdict::ICMP_BAD_CHECKSUM)),
        Transport::Icmpv6 { .. } => Some((4, Verdict::ICMP_BAD_CHECKSUM)),
        Transport::Igmp { .. } => Some((5, Verdict::IGMP_BAD_CHECKSUM)),
        _ => None,
    }
}

#[test]
fn checksum_verdicts_agree_with_tshark() {
    let Some(captures) = captures() else { return };
    if Command::new("tshark").arg("-v").output().is_err() {
        skip("no tshark");
        return;
    }
    let (mut good, mut bad, mut odd) = (0, 0, Vec::new());
    for path in sampled(&captures) {
        let Some(packets) = read_pcap(&path) else { continue };
        let Some(statuses) = tshark_statuses(&path) else { continue };
        for (number, (owned, theirs)) in packets.iter().zip(&statuses).enumerate() {
            let dissection = dissect(&owned.packet());
            // tshark looks into tunnels; we do not.
            let ip =
                matches!(dissection.network, Network::Ipv4(_)).then_some((0, Verdict::IPV4_BAD_CHECKSUM));
            for (column, verdict) in ip.into_iter().chain(transport_column(&dissection)) {
                let Some(Some(sound)) = theirs.get(column).copied() else { continue };
                let ours = dissection.verdict != verdict;
                if sound {
                    good += 1;
                } else {
                    bad += 1;
                }
                // An outer fault hides an inner one: only the first is the verdict. A partial checksum is none of ours.
                let partial = column == 1 && dissection.findings.has(Findings::CHECKSUM_PARTIAL);
                let hidden = !sound && (partial || dissection.verdict != Verdict::ACCEPTED) && ours;
                if ours != sound && !hidden {
                    odd.push(format!("{} frame {}: {dissection:?}", path.display(), number + 1));
                }
            }
        }
    }
    eprintln!("agreed with tshark on {good} good and {bad} bad checksums");
    assert!(odd.is_empty(), "{} differ:\n{}", odd.len(), odd.join("\n"));
    assert!(good > 1000, "tshark judged only {good} checksums");
}
