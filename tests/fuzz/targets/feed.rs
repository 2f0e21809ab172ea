//! Any bytes as a MoldUDP64 datagram of ITCH messages, and as a series of packets for a sequence tracker: no panic;
//! a sound datagram is written back byte for byte; the tracker's sums hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::feed::itch50::{self, Kind};
use wiretape::feed::moldudp64::{Encoder, HEADER_LEN, Header, View};
use wiretape::feed::sequence::{MAX_INTERVALS, Tracker};
use wiretape::packet::Verdict;

fn datagram(payload: &[u8]) {
    if let Ok(header) = Header::parse(payload) {
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(written, &payload[..HEADER_LEN]);
    }
    let Ok(view) = View::parse(payload) else { return };
    let mut written = Vec::new();
    let mut encoder = Encoder::begin(&mut written, view.header.session, view.header.sequence);
    let mut messages = 0;
    for message in view.messages() {
        messages += 1;
        match itch50::check(message) {
            Ok(Kind::Known(layout)) => assert!(message.len() >= usize::from(layout.length)),
            Ok(Kind::Unknown(_)) => assert!(!itch50::fits_exactly(message)),
            Err(verdict) => assert!([Verdict::ITCH_EMPTY, Verdict::ITCH_SHORT].contains(&verdict)),
        }
        if !encoder.message(message) {
            return;
        }
    }
    assert_eq!(messages, view.header.messages());
    assert_eq!(encoder.finish(), messages);
    if view.header.count == messages {
        assert_eq!(written, payload);
    }
}

/// Cut by the capturer anywhere: what is here is judged as far as it goes.
fn snapped(payload: &[u8], missing: usize) {
    if let Ok(view) = View::parse_snapped(payload, payload.len() + missing) {
        assert!(view.messages().count() <= usize::from(view.header.messages()));
    }
}

fn series(data: &[u8]) {
    let mut tracker = Tracker::new();
    for packet in data.chunks_exact(4) {
        if packet[0] == 0xff {
            tracker.forgive();
            continue;
        }
        // Mostly near each other, sometimes far apart.
        let base = if packet[0] & 0x80 == 0 { 0 } else { u64::from(packet[0]) << 56 };
        let first = base + u64::from(u16::from_le_bytes([packet[1], packet[2]]));
        let step = tracker.offer(first, u64::from(packet[3]));
        assert!(step.fresh + step.filled + step.seen + step.before_start <= u64::from(packet[3]));
        let missing: Vec<_> = tracker.missing().collect();
        assert!(missing.len() <= MAX_INTERVALS);
        assert!(missing.iter().all(|i| i.begin < i.end && i.end <= tracker.next()));
        assert!(missing.windows(2).all(|pair| pair[0].end < pair[1].begin));
        assert!(missing.first().is_none_or(|i| i.begin >= tracker.first()));
    }
}

fuzz_target!(|data: &[u8]| {
    datagram(data);
    if let Some((&missing, payload)) = data.split_first() {
        snapped(payload, usize::from(missing));
    }
    series(data);
});
