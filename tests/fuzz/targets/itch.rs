//! Any bytes as ITCH messages of a feed: no panic; every stream holds whole records; a second normalizer makes the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::events::normalize::Normalizer;
use wiretape::events::normalize::itch50::Itch50;
use wiretape::events::output::{Arrival, Output};
use wiretape::feed::itch50::{LAYOUT, OverMold};
use wiretape::feed::moldudp64::Encoder;
use wiretape::feed::{FeedConfig, FeedProtocol, Protocol};
use wiretape::time::{Stamp, StampClock};

/// Cuts the data into messages of known types (the first byte of each chooses), so that few are lost to their framing.
fn payload(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut encoder = Encoder::begin(&mut payload, *b"0000000001", 1);
    let mut rest = data;
    while let Some((&choice, tail)) = rest.split_first() {
        let layout = &LAYOUT[usize::from(choice) % LAYOUT.len()];
        let (body, tail) = tail.split_at(tail.len().min(usize::from(layout.length) - 1));
        encoder.message_with(|out| {
            out.push(layout.kind);
            out.extend_from_slice(body);
        });
        rest = tail;
    }
    encoder.finish();
    payload
}

fn run(payloads: &[&[u8]], stamp_ns: u64) -> Output {
    let feed = FeedConfig::one_line("itch", FeedProtocol::MoldUdp64Itch50, [233, 0, 0, 1].into(), 1);
    let (mut itch, mut out) = (Itch50::with_capacity(&feed, 64), Output::new(&feed));
    for payload in payloads {
        let Ok(frame) = OverMold.frame(payload, payload.len()) else { continue };
        let arrival = Arrival { stamp: Stamp::new(stamp_ns, StampClock::FILE), line: 0 };
        itch.packet(&arrival, &frame, 0, &mut out);
        itch.tick(stamp_ns.saturating_add(2_000_000_000), &mut out);
    }
    let arrival = Arrival { stamp: Stamp::new(stamp_ns, StampClock::NONE), line: 1 };
    itch.gap(&arrival, &mut out);
    itch.reset(&arrival, &mut out);
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((stamp, data)) = data.split_first_chunk::<8>() else { return };
    let made = payload(data);
    let (one, two) =
        (run(&[data, &made], u64::from_le_bytes(*stamp)), run(&[data, &made], u64::from_le_bytes(*stamp)));
    assert_eq!(one.streams, two.streams);
    assert_eq!(one.side, two.side);
    for stream in &one.streams {
        let mut rest = &stream[..];
        while let Some(&words) = rest.first() {
            rest = rest.get(usize::from(words) * 4..).expect("whole records");
        }
    }
});
