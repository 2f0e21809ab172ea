//! From captured bytes to named headers and a verdict: link layer, VLAN, MPLS, ARP, IP, UDP, TCP, ICMP, IGMP.
//!
//! Pure: touches the packet it is given and nothing else. Each protocol has a file with a
//! typed view over its bytes; `new_checked` makes the view, and after it no accessor can
//! fail. [`dissect`] joins them and never panics, never allocates.
//!
//! What is judged: lengths and checksums of every header that the decoder knows. Padding,
//! trailers and a frame check sequence behind the packet are not errors. What the capturer
//! cut off, what a device had still to compute, and what is only a fragment is not judged,
//! and a finding says so. `docs/validation.md` lists every verdict.
//!
//! When something is wrong, the headers before it stay in the [`Dissection`] and the first
//! fault is its verdict. After a wrong checksum dissection goes on (the headers are there to
//! be shown); after a wrong length it ends.

pub mod arp;
pub mod build;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod mpls;
pub mod span;
pub mod tcp;
pub mod udp;
pub mod vlan;

pub use arp::ArpView;
pub use ethernet::Ethernet;
pub use ipv4::Ipv4View;
pub use ipv6::Ipv6View;
pub use vlan::{VlanTag, VlanTags};

use crate::packet::{Findings, Marks, Packet, Verdict};
use checksum::Sum;
use ethernet::Next;
use span::{Span, Stop};
use std::net::{IpAddr, Ipv4Addr};

/// What was found in a packet, from the outside in, as far as it is sound and here.
#[derive(Clone, Copy, Debug)]
pub struct Dissection<'a> {
    /// Accepted, or the first fault met.
    pub verdict: Verdict,
    /// `SNAPPED`, `FRAGMENT` and `CHECKSUM_PARTIAL` only; sequence findings are the judge's.
    pub findings: Findings,
    /// The Ethernet header, if the link type has one.
    pub ethernet: Option<Ethernet>,
    /// VLAN tags, outermost first.
    pub vlans: VlanTags,
    /// How many MPLS labels were passed.
    pub mpls_labels: u8,
    /// The network layer.
    pub network: Network<'a>,
    /// The IP packet from its header on, without what the link layer put behind it, cut where the capture was; empty if
    /// there is none with a sound length.
    pub ip: &'a [u8],
    /// The transport layer.
    pub transport: Transport,
    /// What the highest layer understood carries: without padding or trailers, cut where the capture was.
    pub payload: &'a [u8],
    /// Length that `payload` had on the wire, bytes; more than `payload.len()` only if the packet is snapped.
    pub payload_on_wire: usize,
}

/// The network layer.
#[derive(Clone, Copy, Debug)]
pub enum Network<'a> {
    /// Not reached.
    None,
    /// ARP or RARP.
    Arp(ArpView<'a>),
    /// IPv4.
    Ipv4(Ipv4View<'a>),
    /// IPv6.
    Ipv6(Ipv6View<'a>),
    /// Something that the decoder does not follow: its EtherType, its 802.3 length, or 0.
    Other(u16),
}

impl Network<'_> {
    /// Source address of an IP packet.
    pub fn src(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(view) => Some(view.src().into()),
            Self::Ipv6(view) => Some(view.src().into()),
            _ => None,
        }
    }
    /// Destination address of an IP packet, as its header has it.
    pub fn dst(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(view) => Some(view.dst().into()),
            Self::Ipv6(view) => Some(view.dst().into()),
            _ => None,
        }
    }
}

/// The transport layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Not reached.
    None,
    /// UDP.
    Udp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Length of header and payload as the header says, bytes.
        length: u16,
    },
    /// TCP.
    Tcp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Sequence number.
        seq: u32,
        /// Acknowledgement number.
        ack: u32,
        /// Flags, as [`tcp::TcpView::flags`].
        flags: u16,
        /// Window, unscaled.
        window: u16,
        /// Payload on the wire, bytes.
        payload_len: usize,
    },
    /// ICMP over IPv4.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// ICMPv6.
    Icmpv6 {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// IGMP.
    Igmp {
        /// Type.
        kind: u8,
        /// Group, as [`igmp::IgmpView::group`].
        group: Ipv4Addr,
    },
    /// Something that the decoder does not follow, or a fragment without the transport header: the IP protocol.
    Other(u8),
}

/// Names the headers of a packet and judges them. Never panics, never allocates.
pub fn dissect<'a>(packet: &Packet<'a>) -> Dissection<'a> {
    let on_wire = usize::try_from(packet.wire_len).unwrap_or(usize::MAX);
    let span = Span::new(packet.bytes, on_wire);
    let mut dissection = Dissection {
        verdict: Verdict::ACCEPTED,
        findings: Findings::NONE,
        ethernet: None,
        vlans: VlanTags::default(),
        mpls_labels: 0,
        network: Network::None,
        ip: &[],
        transport: Transport::None,
        payload: packet.bytes,
        payload_on_wire: span.on_wire(),
    };
    if !span.is_whole() {
        dissection.findings.0 |= Findings::SNAPPED;
    }
    if packet.bytes.len() > on_wire {
        dissection.blame(Verdict::LENGTH_OVER_WIRE);
    }
    let merged = packet.marks.has(Marks::GSO);
    let checksums = !merged && !packet.marks.has(Marks::CSUM_NOT_READY);
    let mut walk = Walk { dissection, merged, checksums };
    if let Err(Stop::Bad(verdict)) = walk.link(packet, span) {
        walk.dissection.blame(verdict);
    }
    walk.dissection
}

impl Dissection<'_> {
    /// The first fault is the verdict.
    fn blame(&mut self, verdict: Verdict) {
        if self.verdict == Verdict::ACCEPTED {
            self.verdict = verdict;
        }
    }
}

/// A segment or datagram with what its judgement needs of the IP header.
struct Segment<'a> {
    protocol: u8,
    span: Span<'a>,
    /// Pseudo-header without the length.
    pseudo: Sum,
    /// True if its checksum can be judged.
    judged: bool,
    over_ipv6: bool,
}

struct Walk<'a> {
    dissection: Dissection<'a>,
    /// Several segments in one packet: lengths may be of the whole or of a part.
    merged: bool,
    /// Transport checksums mean something.
    checksums: bool,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, span: Span<'a>) {
        self.dissection.payload = span.bytes();
        self.dissection.payload_on_wire = span.on_wire();
    }

    fn require(&mut self, sound: bool, otherwise: Verdict) {
        if !sound {
            self.dissection.blame(otherwise);
        }
    }

    fn link(&mut self, packet: &Packet<'a>, span: Span<'a>) -> Result<(), Stop> {
        let (ethernet, mut next, mut span) = ethernet::enter(packet.link, span)?;
        self.dissection.ethernet = ethernet;
        self.enter(span);
        if let Next::Type(ethertype) = next
            && vlan::is_tpid(ethertype)
        {
            let (inner, behind) = vlan::enter(&mut self.dissection.vlans, ethertype, span)?;
            (next, span) = (ethernet::typed(inner), behind);
            self.enter(span);
        }
        match next {
            Next::Type(ethertype) => self.network(ethertype, span),
            Next::Ip => self.raw_ip(span),
            Next::Opaque(number) => {
                self.dissection.network = Network::Other(number);
                Ok(())
            }
        }
    }

    fn raw_ip(&mut self, span: Span<'a>) -> Result<(), Stop> {
        let [first] = span.header::<1>(Verdict::LINK_TRUNCATED)?;
        if first >> 4 == 6 { self.ipv6(span) } else { self.ipv4(span) }
    }

    fn network(&mut self, ethertype: u16, span: Span<'a>) -> Result<(), Stop> {
        /// RARP has the form of ARP.
        const TYPE_RARP: u16 = 0x8035;
        match ethertype {
            ethernet::TYPE_IPV4 => self.ipv4(span),
            ethernet::TYPE_IPV6 => self.ipv6(span),
            ethernet::TYPE_ARP | TYPE_RARP => {
                self.dissection.network = Network::Arp(ArpView::new_checked(span)?);
                Ok(())
            }
            mpls::TYPE_UNICAST | mpls::TYPE_UPSTREAM => self.behind_labels(ethertype, span),
            _ => {
                self.dissection.network = Network::Other(ethertype);
                Ok(())
            }
        }
    }

    fn behind_labels(&mut self, ethertype: u16, span: Span<'a>) -> Result<(), Stop> {
        let span = mpls::enter(&mut self.dissection.mpls_labels, span)?;
        self.enter(span);
        match span.bytes().first().map(|first| first >> 4) {
            Some(4) => self.ipv4(span),
            Some(6) => self.ipv6(span),
            _ => {
                self.dissection.network = Network::Other(ethertype);
                Ok(())
            }
        }
    }

    fn ipv4(&mut self, span: Span<'a>) -> Result<(), Stop> {
        let view = Ipv4View::new_checked(span)?;
        self.dissection.network = Network::Ipv4(view);
        self.require(view.checksum_is_sound(), Verdict::IPV4_BAD_CHECKSUM);
        let payload = view.payload(span, self.merged)?;
        self.dissection.ip = span.cut(view.header_len() + payload.on_wire()).bytes();
        self.enter(payload);
        let dst = view.final_dst()?;
        let protocol = view.protocol();
        if view.is_fragment() {
            self.fragment(protocol, view.fragment_offset(), payload);
            return Ok(());
        }
        let pseudo = view.pseudo_sum(dst, protocol);
        self.transport(&Segment { protocol, span: payload, pseudo, judged: self.checksums, over_ipv6: false })
    }

    fn ipv6(&mut self, span: Span<'a>) -> Result<(), Stop> {
        let view = Ipv6View::new_checked(span)?;
        self.dissection.network = Network::Ipv6(view);
        let payload = view.payload(span, self.merged)?;
        self.dissection.ip = span.cut(ipv6::HEADER_LEN + payload.on_wire()).bytes();
        self.enter(payload);
        let upper = view.upper(payload)?;
        self.enter(upper.span);
        let protocol = upper.protocol;
        if let Some(offset) = upper.fragment {
            self.fragment(protocol, offset, upper.span);
            return Ok(());
        }
        let judged = self.checksums && upper.checksum_is_known;
        let pseudo = view.pseudo_sum(upper.final_dst, protocol);
        self.transport(&Segment { protocol, span: upper.span, pseudo, judged, over_ipv6: true })
    }

    /// A fragment is not judged; the first one may show ports.
    fn fragment(&mut self, protocol: u8, offset: u16, span: Span<'a>) {
        self.dissection.findings.0 |= Findings::FRAGMENT;
        self.dissection.transport = match (protocol, udp::ports(span)) {
            (udp::PROTOCOL, Some((src_port, dst_port, length))) if offset == 0 => {
                Transport::Udp { src_port, dst_port, length }
            }
            _ => Transport::Other(protocol),
        };
    }

    fn transport(&mut self, segment: &Segment<'a>) -> Result<(), Stop> {
        match (segment.protocol, segment.over_ipv6) {
            (udp::PROTOCOL, _) => self.udp(segment),
            (tcp::PROTOCOL, _) => self.tcp(segment),
            (icmp::PROTOCOL, false) | (icmp::PROTOCOL_V6, true) => self.icmp(segment),
            (igmp::PROTOCOL, false) => self.igmp(segment),
            (other, _) => {
                self.dissection.transport = Transport::Other(other);
                Ok(())
            }
        }
    }

    fn udp(&mut self, segment: &Segment<'a>) -> Result<(), Stop> {
        let view = udp::UdpView::new_checked(segment.span)?;
        self.dissection.transport =
            Transport::Udp { src_port: view.src_port(), dst_port: view.dst_port(), length: view.length() };
        self.enter(segment.span.after(udp::HEADER_LEN));
        let datagram = view.datagram(segment.span, self.merged)?;
        self.enter(datagram.after(udp::HEADER_LEN));
        if segment.judged && datagram.is_whole() {
            let sound = view.checksum_is_sound(datagram, segment.pseudo, !segment.over_ipv6);
            if !sound && view.checksum_is_partial(datagram, segment.pseudo) {
                self.dissection.findings.0 |= Findings::CHECKSUM_PARTIAL;
            } else {
                self.require(sound, Verdict::UDP_BAD_CHECKSUM);
            }
        }
        Ok(())
    }

    fn tcp(&mut self, segment: &Segment<'a>) -> Result<(), Stop> {
        let view = tcp::TcpView::new_checked(segment.span)?;
        let payload = segment.span.after(view.header_len());
        self.dissection.transport = Transport::Tcp {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            payload_len: payload.on_wire(),
        };
        self.enter(payload);
        if segment.judged && segment.span.is_whole() {
            let sound = tcp::TcpView::checksum_is_sound(segment.span, segment.pseudo);
            self.require(sound, Verdict::TCP_BAD_CHECKSUM);
        }
        Ok(())
    }

    fn icmp(&mut self, segment: &Segment<'a>) -> Result<(), Stop> {
        let view = icmp::IcmpView::new_checked(segment.span)?;
        let (kind, code) = (view.kind(), view.code());
        self.dissection.transport =
            if segment.over_ipv6 { Transport::Icmpv6 { kind, code } } else { Transport::Icmp { kind, code } };
        self.enter(segment.span.after(icmp::HEADER_LEN));
        if segment.judged && segment.span.is_whole() {
            let pseudo = segment.over_ipv6.then_some(segment.pseudo);
            let sound = icmp::IcmpView::checksum_is_sound(segment.span, pseudo);
            self.require(sound, Verdict::ICMP_BAD_CHECKSUM);
        }
        Ok(())
    }

    fn igmp(&mut self, segment: &Segment<'a>) -> Result<(), Stop> {
        let view = igmp::IgmpView::new_checked(segment.span)?;
        self.dissection.transport = Transport::Igmp { kind: view.kind(), group: view.group() };
        self.enter(segment.span.after(igmp::HEADER_LEN));
        if segment.judged && segment.span.is_whole() {
            self.require(igmp::IgmpView::checksum_is_sound(segment.span), Verdict::IGMP_BAD_CHECKSUM);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
