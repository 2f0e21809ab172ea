//! Any bytes as IEX-TP segments: no panic; a sound segment without growth is written back byte for byte; what is made of a series
//! of them is whole DBN records and whole JSON rows, and the same when it is made again.
//!
//! Input: segments, each behind a 16-bit little-endian length whose top bits say what came before it: 0x8000 a gap, 0x4000 a new
//! sequence space.
#![no_main]

use dbn::decode::dbn::RecordDecoder;
use dbn::{Schema, VersionUpgradePolicy};
use libfuzzer_sys::fuzz_target;
use wiretape::events::normalize::Normalizer;
use wiretape::events::normalize::iex::Iex;
use wiretape::events::output::{Arrival, Output, SCHEMAS};
use wiretape::feed::iex::{Message, fits_exactly, lookup};
use wiretape::feed::iextp::{Encoder, HEADER_LEN, IexTp, SegmentHeader, parts};
use wiretape::feed::{FeedConfig, FeedProtocol, Frame, MessageKind, Protocol};
use wiretape::packet::Verdict;
use wiretape::time::{Stamp, StampClock};

fn segment(payload: &[u8], frame: &Frame<'_>) {
    let (message_protocol, channel, session) = parts(&frame.header.space);
    let header = SegmentHeader {
        message_protocol,
        channel,
        session,
        offset: frame.header.offset.expect("IEX-TP tells").begin,
        first: frame.header.first,
        sent_ns: frame.header.sent_ns.expect("IEX-TP tells").cast_signed(),
    };
    let mut written = Vec::new();
    let mut encoder = Encoder::begin(&mut written, &header);
    for message in frame.messages() {
        assert!(encoder.message(message));
        match (IexTp.check(message), Message::parse(message)) {
            (Ok(MessageKind::Known), Ok(Some(known))) => {
                let layout = lookup(message[0]).expect("it is known");
                assert_eq!((known.bytes(), known.name()), (&message[..layout.length], layout.name));
                let mut text = String::new();
                known.describe(&mut text);
                assert!(text.is_ascii());
            }
            (Ok(MessageKind::Unknown), Ok(None)) => assert!(!fits_exactly(message)),
            (Err(said), Err(verdict)) => {
                assert!(said == verdict && [Verdict::IEX_EMPTY, Verdict::IEX_SHORT].contains(&verdict));
            }
            other => panic!("{other:?}"),
        }
    }
    encoder.finish();
    // The reserved byte is not kept.
    written[1] = payload[1];
    assert_eq!(written, payload);
}

/// The segments, and what came before each.
fn series(data: &[u8]) -> Vec<(u16, &[u8])> {
    let (mut segments, mut rest) = (Vec::new(), data);
    while let Some((head, tail)) = rest.split_first_chunk::<2>() {
        let head = u16::from_le_bytes(*head);
        let (payload, tail) = tail.split_at(usize::from(head & 0x3fff).min(tail.len()));
        segments.push((head, payload));
        rest = tail;
    }
    segments
}

fn events(segments: &[(u16, &[u8])]) -> Output {
    let feed = FeedConfig::one_line("iex", FeedProtocol::IexTp, [239, 0, 0, 1].into(), 1);
    let mut out = Output::new(&feed);
    let mut iex = Iex::with_capacity(&feed, 16);
    for (at, (before, payload)) in (0_u64..).zip(segments) {
        let arrival = Arrival { stamp: Stamp::new(at * 700_000_000, StampClock::FILE), line: 0 };
        if before & 0x8000 != 0 {
            iex.gap(&arrival, &mut out);
        }
        if before & 0x4000 != 0 {
            iex.reset(&arrival, &mut out);
        }
        if let Ok(frame) = IexTp.frame(payload, payload.len()) {
            iex.packet(&arrival, &frame, u32::from(payload[1]), &mut out);
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    for (missing, payload) in [(0, data), (usize::from(data.first().copied().unwrap_or(0)), data)] {
        let on_wire = payload.len() + missing;
        let recognised = IexTp.recognises(payload, on_wire, 0);
        match IexTp.frame(payload, on_wire) {
            Ok(frame) if missing == 0 => segment(payload, &frame),
            Ok(frame) => assert!(frame.messages().count() <= frame.header.messages as usize),
            Err(_) => assert!(!recognised),
        }
        assert!(!recognised || payload.len() >= HEADER_LEN);
    }
    let segments = series(data);
    let out = events(&segments);
    for (schema, stream) in SCHEMAS.iter().zip(&out.streams) {
        let mut decoder = RecordDecoder::with_version(&stream[..], 3, VersionUpgradePolicy::AsIs, false)
            .expect("version 3");
        let mut bytes = 0;
        while let Some(record) = decoder.decode_ref().expect("whole records") {
            bytes += record.as_ref().len();
        }
        assert_eq!(bytes, stream.len(), "{schema}");
        assert!(*schema != Schema::Mbo || stream.len().is_multiple_of(56));
    }
    for row in out.side.split_inclusive(|byte| *byte == b'\n') {
        assert!(row.starts_with(b"{\"kind\":") && row.ends_with(b"}\n"));
    }
    let again = events(&segments);
    assert!(again.streams == out.streams && again.side == out.side);
});
