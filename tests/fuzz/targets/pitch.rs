//! Any bytes as a PITCH datagram, and as messages of a unit: no panic; what is read is written back byte for byte; a normalizer
//! takes it, its records are whole, and a second one says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::events::normalize::normalizer;
use wiretape::events::output::{Arrival, Output};
use wiretape::feed::pitch::{Message, Pitch, UnitEncoder, layout};
use wiretape::feed::{FeedConfig, FeedProtocol, MessageKind, Protocol, Space};
use wiretape::packet::Verdict;
use wiretape::time::{Stamp, StampClock};

fn written_back(payload: &[u8]) {
    let Ok(frame) = Pitch.frame(payload, payload.len()) else { return };
    let mut written = Vec::new();
    let first = u32::try_from(frame.header.first).expect("32 bits on the wire");
    let mut encoder = UnitEncoder::begin(&mut written, payload[3], first);
    for bytes in frame.messages() {
        assert!(encoder.raw(bytes) || bytes.len() < 2);
        let mut again = Vec::new();
        match (Pitch.check(bytes), Message::parse(bytes)) {
            (Ok(kind), Ok(message)) => {
                assert_eq!(kind == MessageKind::Known, layout::lookup(message.kind()).is_some());
                assert!(message.write(&mut again));
                assert_eq!(again, bytes);
            }
            (Err(Verdict::PITCH_SHORT), Err(Verdict::PITCH_SHORT)) => {}
            odd => panic!("{odd:?}"),
        }
    }
    let count = encoder.finish();
    if u32::from(count) == frame.header.messages {
        assert_eq!(written, payload);
    }
}

/// The bytes as datagrams, each behind a byte of length; some are gaps, resets and passing time.
fn events(data: &[u8]) -> Output {
    let feed = FeedConfig::one_line("fuzz", FeedProtocol::CboePitch, [239, 0, 0, 1].into(), 1);
    let mut out = Output::new(&feed);
    let mut normalizer = normalizer(&feed).expect("PITCH has one");
    let (mut rest, mut stamp_ns, mut sequence) = (data, 1_548_858_600_000_000_000, 1);
    while let Some((&length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(usize::from(length)));
        rest = behind;
        stamp_ns += u64::from(length) * 1_000;
        let arrival = Arrival { stamp: Stamp::new(stamp_ns, StampClock::FILE), line: 0 };
        match length {
            0 => normalizer.gap(&arrival, &mut out),
            0xfe => normalizer.reset_space(&Space::of(&[1]), &arrival, &mut out),
            0xff => normalizer.reset(&arrival, &mut out),
            _ => {}
        }
        let mut payload = Vec::new();
        let mut encoder = UnitEncoder::begin(&mut payload, length & 3, sequence);
        // Each message says its length: what is left of it is cut to fit.
        let mut body = body;
        while let Some(&size) = body.first() {
            let (message, behind) = body.split_at(body.len().min(usize::from(size).max(1)));
            body = behind;
            encoder.raw(message);
        }
        sequence += u32::from(encoder.finish());
        let frame = Pitch.frame(&payload, payload.len()).expect("written by the encoder");
        normalizer.packet(&arrival, &frame, u32::from(length >> 6), &mut out);
    }
    out
}

fuzz_target!(|data: &[u8]| {
    written_back(data);
    if let Some((&missing, payload)) = data.split_first() {
        if let Ok(frame) = Pitch.frame(payload, payload.len() + usize::from(missing)) {
            assert!(frame.messages().count() <= frame.header.messages as usize);
            assert!(frame.header.first + frame.header.units <= u64::from(u32::MAX));
        }
    }
    let (first, second) = (events(data), events(data));
    assert_eq!(first.streams, second.streams);
    assert_eq!(first.side, second.side);
    for stream in &first.streams {
        let mut at = 0;
        while at < stream.len() {
            // A record's first byte is its length in words.
            assert!(stream[at] > 0);
            at += usize::from(stream[at]) * 4;
        }
        assert_eq!(at, stream.len());
    }
});
