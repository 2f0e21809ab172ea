//! What the filter tests share: where captures lie, a reader of classic pcap files, programs of the system.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Skips (None) or, where everything must run, panics.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must have {what}");
    eprintln!("skipped: there is no {what}");
}

pub(crate) fn captures() -> Option<PathBuf> {
    let shared = std::env::var_os("WIRETAPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    // A worktree lies one directory deeper than the main checkout.
    let deeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let found = [shared, deeper].into_iter().map(|s| s.join("captures/general")).find(|p| p.is_dir());
    if found.is_none() {
        missing("directory of shared captures (WIRETAPE_SHARED)");
    }
    found
}

pub(crate) fn has_tcpdump() -> bool {
    let there = Command::new("tcpdump").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok() {
        return true;
    }
    missing("tcpdump");
    false
}

pub(crate) fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    missing("root privilege");
    false
}

pub(crate) struct PcapPacket {
    pub(crate) wire_len: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The packets of a classic pcap file of Ethernet frames, as far as it is sound.
pub(crate) fn read_ethernet(path: &Path) -> Option<Vec<PcapPacket>> {
    let bytes = std::fs::read(path).ok()?;
    let magic = u32::from_le_bytes(*bytes.first_chunk()?);
    let big = match magic {
        0xa1b2_c3d4 | 0xa1b2_3c4d => false,
        0xd4c3_b2a1 | 0x4d3c_b2a1 => true,
        _ => return None,
    };
    let word = |at: usize| {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    };
    if word(20)? != 1 {
        return None;
    }
    let mut packets = Vec::new();
    let mut at = 24;
    while let (Some(captured), Some(wire_len)) = (word(at + 8), word(at + 12)) {
        at += 16;
        let end = at + usize::try_from(captured).ok()?;
        let Some(packet) = bytes.get(at..end) else { break };
        packets.push(PcapPacket { wire_len, bytes: packet.to_vec() });
        at = end;
    }
    Some(packets)
}

/// All Ethernet capture files below `dir`, with their packets.
pub(crate) fn ethernet_files(dir: &Path) -> Vec<(PathBuf, Vec<PcapPacket>)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(ethernet_files(&path));
        } else if let Some(packets) = read_ethernet(&path) {
            found.push((path, packets));
        }
    }
    found
}

/// Expressions over everything that libpcap can compile for Ethernet.
pub(crate) const EXPRESSIONS: [&str; 70] = [
    "",
    "host 10.0.0.1",
    "src host 192.168.0.1",
    "dst host 192.168.1.1 and not tcp",
    "net 10.0.0.0/8",
    "src net 172.16.0.0/12",
    "net 192.168",
    "port 53",
    "src port 80",
    "dst port 443",
    "udp port 53",
    "tcp port 80 or tcp port 179",
    "portrange 1-1024",
    "udp src portrange 1000-2000",
    "vlan",
    "vlan 5",
    "vlan and ip",
    "vlan and udp port 53",
    "vlan and vlan and ip6",
    "vlan 100 and tcp",
    "mpls",
    "mpls and mpls",
    "mpls 1000 and ip",
    "pppoed",
    "pppoes and ip",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "igmp",
    "sctp",
    "ah or esp",
    "ip proto 89",
    "ip6 proto 58",
    "ip6 protochain 17",
    "ip protochain 6",
    "ip6 host fe80::1",
    "ip6 net ff00::/8",
    "dst net 2001:db8::/32",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[13] & 7 != 0 and tcp[2:2] > 1000",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "less 100",
    "greater 200",
    "len >= 64 and len < 128",
    "ether host 00:00:00:00:00:01",
    "ether src ff:ff:ff:ff:ff:ff",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "ip6 multicast",
    "ether proto 0x88cc",
    "ether[0] & 1 = 1",
    "ether[12:2] > 1500",
    "ip[6:2] & 0x1fff != 0",
    "ip[6:2] & 0x3fff != 0 and udp",
    "ip[8] < 5",
    "ip[0:4] % 7 = 3",
    "ip[2:2] / 4 * 3 + 1 > 200",
    "ip[1] ^ 0xff != 0xff",
    "ip[2:2] << (ip[8] & 7) > 1000",
    "ether[ether[14]:4] > 65536",
    "icmp[icmptype] = icmp-echo or icmp[icmptype] = icmp-echoreply",
    "icmp6[0] = 134",
    "not ip and not ip6 and not arp",
    "stp or llc or isis or ipx or netbeui or decnet host 1.2 or lat or moprc",
];
