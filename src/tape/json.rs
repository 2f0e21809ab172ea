//! A packet as one JSON object: integer nanoseconds and bytes, verdict and findings by name.

use super::input::Item;
use super::print::{Mac, Mold, moldudp64_in};
use crate::packet::Marks;
use crate::time::StampClock;
use crate::wire::{self, Dissection, Network, Transport};
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
struct PacketJson<'a> {
    stamp_ns: Option<u64>,
    clock: &'static str,
    arrival_ns: Option<u64>,
    wire_bytes: u32,
    captured_bytes: usize,
    interface: &'a str,
    link_type: u16,
    direction: Option<&'static str>,
    verdict: &'static str,
    findings: Vec<&'static str>,
    lost_before: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_zero")]
    gso_size: u16,
    #[serde(flatten)]
    place: Option<PlaceJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eth: Option<EthernetJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vlans: Vec<VlanJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<TransportJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moldudp64: Option<MoldJson>,
}

#[derive(Serialize)]
struct PlaceJson {
    queue: u16,
    seq: u64,
    segment: u32,
    offset: u64,
}

#[derive(Serialize)]
struct EthernetJson {
    src: String,
    dst: String,
    ethertype: u16,
}

#[derive(Serialize)]
struct VlanJson {
    tpid: u16,
    vid: u16,
    pcp: u16,
    dei: bool,
}

#[derive(Serialize)]
struct IpJson {
    version: u8,
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
}

#[derive(Serialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
enum TransportJson {
    Udp { src_port: u16, dst_port: u16, payload_bytes: usize },
    Tcp { src_port: u16, dst_port: u16, seq: u32, ack: u32, flags: u16, window: u16, payload_bytes: usize },
    Icmp { kind: u8, code: u8 },
    Icmpv6 { kind: u8, code: u8 },
    Igmp { kind: u8, group: std::net::Ipv4Addr },
    Other { number: u8 },
}

#[derive(Serialize)]
struct MoldJson {
    session: String,
    sequence: u64,
    count: u16,
}

impl From<Mold> for MoldJson {
    fn from(mold: Mold) -> Self {
        Self { session: mold.session, sequence: mold.sequence, count: mold.count }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// Appends the object and a line's end.
///
/// # Errors
/// [`serde_json::Error`], which writing to memory does not meet.
pub fn packet(out: &mut Vec<u8>, item: &Item<'_>) -> Result<(), serde_json::Error> {
    let p = &item.packet;
    let d = wire::dissect(p);
    let object = PacketJson {
        stamp_ns: (p.stamp.clock != StampClock::NONE).then_some(p.stamp.ns),
        clock: p.stamp.clock.name(),
        arrival_ns: (p.arrival_ns != 0).then_some(p.arrival_ns),
        wire_bytes: p.wire_len,
        captured_bytes: p.bytes.len(),
        interface: &item.interface.name,
        link_type: p.link.0,
        direction: direction(p.flags),
        verdict: item.judgement.verdict.name(),
        findings: item.judgement.findings.names().collect(),
        lost_before: p.lost_before,
        marks: marks(p.marks),
        gso_size: p.gso_size,
        place: item.place.map(|at| PlaceJson {
            queue: at.place.queue,
            seq: at.seq,
            segment: at.place.segment,
            offset: at.place.offset,
        }),
        eth: d.ethernet.map(|e| EthernetJson {
            src: Mac(e.src).to_string(),
            dst: Mac(e.dst).to_string(),
            ethertype: e.ethertype,
        }),
        vlans: d
            .vlans
            .iter()
            .map(|t| VlanJson { tpid: t.tpid, vid: t.vid(), pcp: t.pcp(), dei: t.dei() })
            .collect(),
        ip: ip(&d),
        transport: transport(&d),
        moldudp64: moldudp64_in(&d, p).map(MoldJson::from),
    };
    serde_json::to_writer(&mut *out, &object)?;
    out.push(b'\n');
    Ok(())
}

fn direction(flags: crate::packet::EpbFlags) -> Option<&'static str> {
    if flags.is_outbound() {
        Some("out")
    } else if flags.is_inbound() {
        Some("in")
    } else {
        None
    }
}

fn marks(marks: Marks) -> Vec<&'static str> {
    [
        (Marks::CSUM_NOT_READY, "checksum-not-ready"),
        (Marks::VLAN_RESTORED, "vlan-restored"),
        (Marks::GSO, "merged"),
        (Marks::SHED_PAYLOAD, "shed-payload"),
    ]
    .into_iter()
    .filter(|(mark, _)| marks.has(*mark))
    .map(|(_, name)| name)
    .collect()
}

fn ip(d: &Dissection<'_>) -> Option<IpJson> {
    match &d.network {
        Network::Ipv4(v) => {
            Some(IpJson { version: 4, src: v.src().into(), dst: v.dst().into(), ttl: v.ttl() })
        }
        Network::Ipv6(v) => {
            Some(IpJson { version: 6, src: v.src().into(), dst: v.dst().into(), ttl: v.hop_limit() })
        }
        Network::None | Network::Arp(_) | Network::Other(_) => None,
    }
}

fn transport(d: &Dissection<'_>) -> Option<TransportJson> {
    Some(match d.transport {
        Transport::None => return None,
        Transport::Udp { src_port, dst_port, length } => {
            TransportJson::Udp { src_port, dst_port, payload_bytes: usize::from(length.saturating_sub(8)) }
        }
        Transport::Tcp { src_port, dst_port, seq, ack, flags, window, payload_len } => {
            TransportJson::Tcp { src_port, dst_port, seq, ack, flags, window, payload_bytes: payload_len }
        }
        Transport::Icmp { kind, code } => TransportJson::Icmp { kind, code },
        Transport::Icmpv6 { kind, code } => TransportJson::Icmpv6 { kind, code },
        Transport::Igmp { kind, group } => TransportJson::Igmp { kind, group },
        Transport::Other(number) => TransportJson::Other { number },
    })
}
