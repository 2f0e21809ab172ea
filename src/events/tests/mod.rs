//! The room, heard: packets on two lines in, messages in order and rows of the side table out.

mod oracle;
mod sequence;

use super::feed::Feed;
use super::normalize::Normalizer;
use super::output::{Arrival, Output};
use super::room::Room;
use crate::feed::moldudp64::{self, Encoder};
use crate::feed::{FeedConfig, FeedProtocol, Frame, LineConfig};
use crate::packet::{EpbFlags, LinkType, Marks, Packet};
use crate::time::{Stamp, StampClock};
use crate::wire::build::{UdpFrame, multicast_mac, udp_frame};
use std::sync::{Arc, Mutex};

pub(super) const MS: u64 = 1_000_000;

/// What a normalizer was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Message(u64, Vec<u8>),
    Gap,
    Reset,
}

#[derive(Debug)]
struct Recorder(Arc<Mutex<Vec<Told>>>);

impl Normalizer for Recorder {
    fn packet(&mut self, _: &Arrival, frame: &Frame<'_>, skip: u32, _: &mut Output) {
        let mut told = self.0.lock().unwrap();
        let messages = (frame.header.first..).zip(frame.messages()).skip(skip as usize);
        told.extend(messages.map(|(number, bytes)| Told::Message(number, bytes.to_vec())));
    }
    fn gap(&mut self, _: &Arrival, _: &mut Output) {
        self.0.lock().unwrap().push(Told::Gap);
    }
    fn reset(&mut self, _: &Arrival, _: &mut Output) {
        self.0.lock().unwrap().push(Told::Reset);
    }
    fn tick(&mut self, _: u64, _: &mut Output) {}
    fn symbols(&self) -> &[(u32, String)] {
        &[]
    }
}

/// A room of one feed with lines A and B (and C).
pub(super) struct Scene {
    pub room: Room,
    told: Arc<Mutex<Vec<Told>>>,
}

pub(super) fn config(lines: usize) -> FeedConfig {
    let mut config = FeedConfig::one_line("f", FeedProtocol::MoldUdp64, "239.0.0.1".parse().unwrap(), 5000);
    config.lines = ["A", "B", "C"][..lines]
        .iter()
        .zip(1_u8..)
        .map(|(name, number)| LineConfig {
            name: (*name).to_owned(),
            group: std::net::IpAddr::from([239, 0, 0, number]),
            port: 5000,
            source: None,
            interface: None,
        })
        .collect();
    config
}

impl Scene {
    pub(super) fn new(lines: usize) -> Self {
        Self::of(&config(lines))
    }
    pub(super) fn of(config: &FeedConfig) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let feed = Feed::new(config, Some(Box::new(Recorder(Arc::clone(&told)))));
        Self { room: Room::of(vec![feed]), told }
    }
    pub(super) fn bytes(&mut self, line: usize, ns: u64, payload: &[u8]) {
        let dst = std::net::SocketAddr::new([239, 0, 0, u8::try_from(line + 1).unwrap()].into(), 5000);
        let mut bytes = Vec::new();
        let src = "10.0.0.9:9".parse().unwrap();
        let frame =
            UdpFrame { src_mac: [2; 6], dst_mac: multicast_mac(dst.ip()), vlan: None, src, dst, ttl: 8 };
        udp_frame(&mut bytes, &frame, payload).unwrap();
        self.room.packet(&Packet {
            bytes: &bytes,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            stamp: Stamp::new(ns, StampClock::HARDWARE),
            arrival_ns: 0,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags::NONE,
            marks: Marks::default(),
            gso_size: 0,
            lost_before: 0,
        });
    }
    /// Messages `[first, first + count)` of a session on a line.
    pub(super) fn send(&mut self, line: usize, ns: u64, session: &[u8; 10], first: u64, count: u64) {
        self.bytes(line, ns, &payload(*session, first, count));
    }
    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
    /// The numbers that the normalizer was given.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let number = |told: Told| match told {
            Told::Message(number, _) => Some(number),
            _ => None,
        };
        self.told().into_iter().filter_map(number).collect()
    }
    pub(super) fn rows(&mut self) -> Vec<serde_json::Value> {
        let (_, output) = self.room.outputs().next().unwrap();
        output.side.split(|byte| *byte == b'\n').filter_map(|row| serde_json::from_slice(row).ok()).collect()
    }
    /// Rows of a kind: the fields that are asked for.
    pub(super) fn rows_of(&mut self, kind: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let rows = self.rows().into_iter().filter(|row| row["kind"] == kind);
        let field = |row: &serde_json::Value, field: &str| row[field].to_string().replace('"', "");
        rows.map(|row| fields.iter().map(|name| field(&row, name)).collect()).collect()
    }
    /// How often a rule was broken.
    pub(super) fn broken(&self, rule: &str) -> u64 {
        let report = self.room.report();
        report.feeds[0].rules.iter().find(|broken| broken.rule == rule).map_or(0, |broken| broken.count)
    }
}

pub(super) const S1: &[u8; 10] = b"SESSION001";
pub(super) const S2: &[u8; 10] = b"SESSION002";

/// The bytes of message `number` of a session: each is different.
pub(super) fn message(session: [u8; 10], number: u64) -> Vec<u8> {
    [&session[..], &number.to_be_bytes()].concat()
}

/// A datagram. A session whose last byte is `'` stands for the same session begun anew: the same name, other messages.
pub(super) fn payload(session: [u8; 10], first: u64, count: u64) -> Vec<u8> {
    let mut name = session;
    if name[9] == b'\'' {
        name[9] = b'1';
    }
    let mut payload = Vec::new();
    let mut encoder = Encoder::begin(&mut payload, name, first);
    for number in first..first.saturating_add(count) {
        encoder.message_with(|out| out.extend(message(session, number)));
    }
    encoder.finish();
    payload
}

pub(super) fn end_of_session(session: [u8; 10], next: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    moldudp64::end_of_session(&mut payload, session, next);
    payload
}
