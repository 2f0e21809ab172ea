//! One line a packet, as `tcpdump -nn -tttt` writes it, plus what only a tape knows.
//!
//! Pure: formats into a `String` that the caller reuses. Addresses are never resolved, times are UTC.

use crate::feed::moldudp64;
use crate::packet::{EpbFlags, Findings, LinkType, Packet, Verdict};
use crate::tape::hex;
use crate::tape::input::Item;
use crate::tape::when::Rfc3339;
use crate::time::{NS_PER_SEC, StampClock};
use crate::wire::{self, ArpView, Dissection, Network, Transport};
use std::fmt::Write;
use std::net::IpAddr;

/// Bytes below the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hex {
    /// None.
    #[default]
    None,
    /// From the network header on (`-x`, `-X`).
    Network {
        /// With ASCII beside it.
        ascii: bool,
    },
    /// From the link-layer header on (`-xx`, `-XX`).
    Link {
        /// With ASCII beside it.
        ascii: bool,
    },
}

/// Formats packets.
#[derive(Debug, Default)]
pub struct Printer {
    /// `-e`: interface, link-layer header and tags on the line.
    pub link: bool,
    /// Bytes below the line.
    pub hex: Hex,
    /// Date and time of the second last printed: neighbours mostly share it.
    second: u64,
    second_text: String,
}

impl Printer {
    /// A printer.
    pub fn new(link: bool, hex: Hex) -> Self {
        Self { link, hex, second: u64::MAX, second_text: String::new() }
    }

    /// Appends the packet's line (and hex lines), ended.
    pub fn print(&mut self, out: &mut String, item: &Item<'_>) {
        let d = wire::dissect(&item.packet);
        self.time(out, item);
        if self.link {
            link_header(out, item, &d);
        }
        network(out, &d, &item.packet);
        if let Some(mold) = moldudp64_in(&d, &item.packet) {
            let _ = write!(out, " {mold}");
        }
        remarks(out, item);
        out.push('\n');
        match self.hex {
            Hex::None => {}
            Hex::Link { ascii } => hex::dump(out, item.packet.bytes, ascii),
            Hex::Network { ascii } => {
                let start = link_header_len(item.packet.link, &d).min(item.packet.bytes.len());
                hex::dump(out, &item.packet.bytes[start..], ascii);
            }
        }
    }

    fn time(&mut self, out: &mut String, item: &Item<'_>) {
        let stamp = item.packet.stamp;
        if stamp.clock == StampClock::NONE {
            out.push_str("(no time) ");
            return;
        }
        let second = stamp.ns / NS_PER_SEC;
        if second != self.second {
            self.second = second;
            self.second_text.clear();
            let _ = write!(self.second_text, "{}", Rfc3339(second * NS_PER_SEC));
            self.second_text.truncate(19);
            self.second_text = self.second_text.replace('T', " ");
        }
        let _ = write!(out, "{}.{:09} {} ", self.second_text, stamp.ns % NS_PER_SEC, stamp.clock.name());
    }
}

/// A MoldUDP64 packet's header, printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mold {
    /// Session, as text.
    pub session: String,
    /// Sequence number of the first message.
    pub sequence: u64,
    /// Messages, 0 = heartbeat, 0xffff = end of session.
    pub count: u16,
}

impl std::fmt::Display for Mold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mold {} seq {} count {}", self.session.trim_end(), self.sequence, self.count)
    }
}

/// The MoldUDP64 header of a packet whose payload has the protocol's shape throughout: a printable session, and
/// message blocks that fill the datagram exactly.
pub fn moldudp64_in(d: &Dissection<'_>, packet: &Packet<'_>) -> Option<Mold> {
    if !matches!(d.transport, Transport::Udp { .. })
        || d.findings.has(Findings::FRAGMENT)
        || packet.gso_size > 0
    {
        return None;
    }
    let header = moldudp64::View::parse_snapped(d.payload, d.payload_on_wire).ok()?.header;
    let named = header.is_printable() && header.session.iter().any(u8::is_ascii_graphic);
    named.then(|| Mold {
        session: String::from_utf8_lossy(&header.session).into_owned(),
        sequence: header.sequence,
        count: header.count,
    })
}

/// How long the link-layer header is, tags included, bytes.
fn link_header_len(link: LinkType, d: &Dissection<'_>) -> usize {
    match link {
        LinkType::ETHERNET => 14 + 4 * d.vlans.len(),
        LinkType::NULL | LinkType::LOOP => 4,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        _ => 0,
    }
}

fn link_header(out: &mut String, item: &Item<'_>, d: &Dissection<'_>) {
    if !item.interface.name.is_empty() {
        let _ = write!(out, "{} ", item.interface.name);
    }
    if let Some(direction) = direction_name(item.packet.flags) {
        let _ = write!(out, "{direction} ");
    }
    if let Some(e) = d.ethernet {
        let _ = write!(out, "{} > {}, ", Mac(e.src), Mac(e.dst));
        if let Some(name) = ethertype_name(e.ethertype) {
            let _ = write!(out, "ethertype {name} (0x{:04x}), ", e.ethertype);
        } else {
            let _ = write!(out, "ethertype Unknown (0x{:04x}), ", e.ethertype);
        }
    }
    let _ = write!(out, "length {}: ", item.packet.wire_len);
    for tag in d.vlans.iter() {
        let dei = if tag.dei() { ", DEI" } else { "" };
        let _ = write!(out, "vlan {}, p {}{dei}, ", tag.vid(), tag.pcp());
    }
    if d.mpls_labels > 0 {
        let _ = write!(out, "MPLS labels {}, ", d.mpls_labels);
    }
}

fn network(out: &mut String, d: &Dissection<'_>, packet: &Packet<'_>) {
    match &d.network {
        Network::Ipv4(_) => out.push_str("IP "),
        Network::Ipv6(_) => out.push_str("IP6 "),
        Network::Arp(arp) => return self::arp(out, arp, packet),
        Network::Other(ethertype) => {
            let name = ethertype_name(*ethertype).unwrap_or("unknown");
            let _ = write!(out, "{name} (0x{ethertype:04x}), length {}", packet.wire_len);
            return;
        }
        Network::None => {
            let _ = write!(out, "not understood, length {}", packet.wire_len);
            return;
        }
    }
    if let (Some(src), Some(dst)) = (d.network.src(), d.network.dst()) {
        endpoints(out, src, dst, d.transport);
    }
    transport(out, d);
}

fn endpoints(out: &mut String, src: IpAddr, dst: IpAddr, transport: Transport) {
    let _ = match transport {
        Transport::Udp { src_port, dst_port, .. } | Transport::Tcp { src_port, dst_port, .. } => {
            write!(out, "{src}.{src_port} > {dst}.{dst_port}: ")
        }
        _ => write!(out, "{src} > {dst}: "),
    };
}

fn transport(out: &mut String, d: &Dissection<'_>) {
    let _ = match d.transport {
        Transport::Udp { length, .. } => write!(out, "UDP, length {}", length.saturating_sub(8)),
        Transport::Tcp { seq, ack, flags, window, payload_len, .. } => {
            tcp(out, seq, ack, flags, payload_len);
            write!(out, ", win {window}, length {payload_len}")
        }
        Transport::Icmp { kind, code } => icmp(out, kind, code, d),
        Transport::Icmpv6 { kind, code } => icmpv6(out, kind, code, d),
        Transport::Igmp { kind, group } => igmp(out, kind, group),
        Transport::Other(protocol) if d.findings.has(Findings::FRAGMENT) => {
            write!(out, "ip-proto-{protocol}, fragment, length {}", d.payload_on_wire)
        }
        Transport::Other(protocol) => write!(out, "ip-proto-{protocol}, length {}", d.payload_on_wire),
        Transport::None => write!(out, "damaged, length {}", d.payload_on_wire),
    };
}

fn tcp(out: &mut String, seq: u32, ack: u32, flags: u16, payload_len: usize) {
    /// In the order in which tcpdump prints them.
    const FLAGS: [(u16, char); 9] = [
        (0x01, 'F'),
        (0x02, 'S'),
        (0x04, 'R'),
        (0x08, 'P'),
        (0x10, '.'),
        (0x20, 'U'),
        (0x40, 'E'),
        (0x80, 'W'),
        (0x100, 'e'),
    ];
    out.push_str("Flags [");
    let before = out.len();
    out.extend(FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter));
    if out.len() == before {
        out.push_str("none");
    }
    out.push(']');
    // SYN, FIN and RST carry a meaningful sequence number without data, too.
    if payload_len > 0 {
        let end = seq.wrapping_add(u32::try_from(payload_len).unwrap_or(u32::MAX));
        let _ = write!(out, ", seq {seq}:{end}");
    } else if flags & 0x07 != 0 {
        let _ = write!(out, ", seq {seq}");
    }
    if flags & 0x10 != 0 {
        let _ = write!(out, ", ack {ack}");
    }
}

fn icmp(out: &mut String, kind: u8, code: u8, d: &Dissection<'_>) -> std::fmt::Result {
    let name = match kind {
        0 => "echo reply",
        3 => "unreachable",
        5 => "redirect",
        8 => "echo request",
        11 => "time exceeded",
        _ => return write!(out, "ICMP type {kind} code {code}, length {}", icmp_len(d)),
    };
    write!(out, "ICMP {name}")?;
    if !matches!(kind, 0 | 8) {
        write!(out, " code {code}")?;
    }
    write!(out, ", length {}", icmp_len(d))
}

fn icmpv6(out: &mut String, kind: u8, code: u8, d: &Dissection<'_>) -> std::fmt::Result {
    let name = match kind {
        1 => "destination unreachable",
        2 => "packet too big",
        3 => "time exceeded",
        128 => "echo request",
        129 => "echo reply",
        130 => "multicast listener query",
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbor solicitation",
        136 => "neighbor advertisement",
        143 => "multicast listener report v2",
        _ => return write!(out, "ICMP6 type {kind} code {code}, length {}", icmp_len(d)),
    };
    write!(out, "ICMP6, {name}, length {}", icmp_len(d))
}

/// Length of the whole ICMP message; the dissection's payload is what stands behind its first eight bytes.
const fn icmp_len(d: &Dissection<'_>) -> usize {
    d.payload_on_wire + wire::icmp::HEADER_LEN
}

fn igmp(out: &mut String, kind: u8, group: std::net::Ipv4Addr) -> std::fmt::Result {
    match kind {
        0x11 => write!(out, "igmp query, group {group}"),
        0x12 => write!(out, "igmp v1 report {group}"),
        0x16 => write!(out, "igmp v2 report {group}"),
        0x17 => write!(out, "igmp leave {group}"),
        0x22 => write!(out, "igmp v3 report"),
        _ => write!(out, "igmp type 0x{kind:02x}"),
    }
}

fn arp(out: &mut String, arp: &ArpView<'_>, packet: &Packet<'_>) {
    let _ = match (arp.operation(), arp.sender_ip(), arp.target_ip(), arp.sender_mac()) {
        (1, Some(sender), Some(target), _) => write!(out, "ARP, Request who-has {target} tell {sender}"),
        (2, Some(sender), _, Some(mac)) => write!(out, "ARP, Reply {sender} is-at {}", Mac(mac)),
        (operation, ..) => write!(out, "ARP, operation {operation}"),
    };
    let _ = write!(out, ", length {}", packet.wire_len.saturating_sub(14));
}

/// What stands in brackets: losses before it, a verdict that is not "accepted", findings, a shortened capture.
fn remarks(out: &mut String, item: &Item<'_>) {
    if item.packet.lost_before > 0 {
        let _ = write!(out, " [lost {} before]", item.packet.lost_before);
    }
    if item.judgement.verdict != Verdict::ACCEPTED {
        let _ = write!(out, " [{}]", item.judgement.verdict.name());
    }
    for name in item.judgement.findings.names() {
        let _ = write!(out, " [{name}]");
    }
    if item.packet.gso_size > 0 {
        let _ = write!(out, " [merged from pieces of {}]", item.packet.gso_size);
    }
}

/// `In` or `Out`, as tcpdump says it.
pub const fn direction_name(flags: EpbFlags) -> Option<&'static str> {
    if flags.is_outbound() {
        Some("Out")
    } else if flags.is_inbound() {
        Some("In")
    } else {
        None
    }
}

fn ethertype_name(ethertype: u16) -> Option<&'static str> {
    Some(match ethertype {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x8035 => "Reverse ARP",
        0x8100 => "802.1Q",
        0x86dd => "IPv6",
        0x8847 => "MPLS unicast",
        0x8848 => "MPLS multicast",
        0x88a8 => "802.1Q-QinQ",
        0x88cc => "LLDP",
        0x88f7 => "PTP",
        _ => return None,
    })
}

/// A hardware address with colons.
#[derive(Clone, Copy, Debug)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}
