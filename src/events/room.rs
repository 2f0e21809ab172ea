//! The room: all configured feeds of a capture, given what stands on its tape in merged order.
//!
//! A packet goes to each feed that has a line with its destination, port and (if named) source. Before that, time is
//! brought to the packet's stamp: what has waited long enough is declared. Time is only ever the tape's.

use super::feed::{Datagram, Feed};
use super::ledger::Ledger;
use super::normalize::normalizer;
use super::output::{Arrival, Output};
use super::report::RoomReport;
use crate::feed::FeedConfig;
use crate::packet::{Findings, Loss, LossPlace, Marks, Packet, Verdict};
use crate::wire::{Transport, dissect};
use std::net::IpAddr;

/// Where a line's datagrams go.
type Place = (IpAddr, u16);

/// All feeds of one capture.
#[derive(Debug)]
pub struct Room {
    feeds: Vec<Feed>,
    /// Each line: its place, its feed, its number there. Sorted by place.
    places: Vec<(Place, usize, usize)>,
    ledger: Ledger,
    due_ns: u64,
    last_ns: u64,
}

impl Room {
    /// A room that has seen nothing.
    pub fn new(feeds: &[FeedConfig]) -> Self {
        Self::of(feeds.iter().map(|config| Feed::new(config, normalizer(config))).collect())
    }

    pub(super) fn of(feeds: Vec<Feed>) -> Self {
        let lines_of = |(at, feed): (usize, &Feed)| {
            let place = move |(line, config): (usize, &crate::feed::LineConfig)| {
                ((config.group, config.port), at, line)
            };
            feed.config.lines.iter().enumerate().map(place).collect::<Vec<_>>()
        };
        let mut places: Vec<_> = feeds.iter().enumerate().flat_map(lines_of).collect();
        places.sort_unstable();
        Self { feeds, places, ledger: Ledger::default(), due_ns: 0, last_ns: 0 }
    }

    /// A packet on tape. What the capture did not judge for want of time is read like any other.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let now_ns = packet.stamp.ns;
        if packet.lost_before > 0 {
            let (from_ns, packets) = (self.last_ns.min(now_ns), packet.lost_before);
            self.ledger.counted(Loss { place: LossPlace::RING, packets, from_ns, to_ns: now_ns });
        }
        self.last_ns = now_ns;
        self.advance(now_ns);
        let dissection = dissect(packet);
        let Transport::Udp { dst_port, .. } = dissection.transport else { return };
        let Some(dst) = dissection.network.dst() else { return };
        if dissection.verdict != Verdict::ACCEPTED || dissection.findings.has(Findings::FRAGMENT) {
            return;
        }
        let src = dissection.network.src();
        let begin = self.places.partition_point(|(place, ..)| *place < (dst, dst_port));
        for (_, feed, line) in
            self.places.iter().skip(begin).take_while(|(place, ..)| *place == (dst, dst_port))
        {
            let Some(feed) = self.feeds.get_mut(*feed) else { continue };
            let source = feed.config.lines.get(*line).and_then(|line| line.source);
            if source.is_some() && source != src {
                continue;
            }
            let arrival = Arrival { stamp: packet.stamp, line: *line };
            let whole = Datagram {
                payload: dissection.payload,
                on_wire: dissection.payload_on_wire,
                arrival,
                interface: packet.interface,
            };
            each_datagram(packet, whole, |datagram| feed.datagram(&datagram));
            self.due_ns = self.due_ns.min(feed.due_ns());
        }
    }

    /// A loss on tape.
    pub fn loss(&mut self, loss: &Loss) {
        self.ledger.told(*loss);
    }

    /// A clock reading on tape: tape time has come to `now_ns` (`CLOCK_REALTIME`, ns since the Unix epoch).
    pub fn time(&mut self, now_ns: u64) {
        self.advance(now_ns);
        for feed in &mut self.feeds {
            feed.tick(now_ns);
        }
    }

    fn advance(&mut self, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        for feed in &mut self.feeds {
            feed.advance(&self.ledger, now_ns);
        }
        self.due_ns = self.feeds.iter().map(Feed::due_ns).min().unwrap_or(u64::MAX);
    }

    /// The tape has ended: what was held is declared, what was counted is written.
    pub fn finish(&mut self) {
        for feed in &mut self.feeds {
            feed.finish(&self.ledger);
        }
    }

    /// What each feed made since its buffers were last emptied (by the caller), in the order of the configuration.
    pub fn outputs(&mut self) -> impl Iterator<Item = (&FeedConfig, &mut Output)> {
        self.feeds.iter_mut().map(|feed| (&feed.config, &mut feed.desk.out))
    }

    /// The same, with the instrument ids and symbols that the feed's normalizer knows by now.
    pub fn outputs_with_symbols(
        &mut self,
    ) -> impl Iterator<Item = (&FeedConfig, &[(u32, String)], &mut Output)> {
        self.feeds.iter_mut().map(|feed| {
            let symbols = feed.desk.normalizer.as_ref().map_or(&[][..], |normalizer| normalizer.symbols());
            (&feed.config, symbols, &mut feed.desk.out)
        })
    }

    /// The books so far; after [`Room::finish`], of the whole tape.
    pub fn report(&self) -> RoomReport {
        RoomReport { feeds: self.feeds.iter().map(Feed::report).collect() }
    }
}

/// The datagrams of a packet: itself, or those that the kernel put together ([`Marks::GSO`]).
fn each_datagram(packet: &Packet<'_>, whole: Datagram<'_>, mut each: impl FnMut(Datagram<'_>)) {
    let merged = usize::from(packet.gso_size);
    if !packet.marks.has(Marks::GSO) || merged == 0 || whole.payload.len() <= merged {
        each(whole);
        return;
    }
    for payload in whole.payload.chunks(merged) {
        let here = payload.len() == merged || whole.payload.len() == whole.on_wire;
        each(Datagram { payload, on_wire: if here { payload.len() } else { merged }, ..whole });
    }
}
