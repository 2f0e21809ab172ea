//! Any layout and any bytes as a sequenced feed: no panic, no overflow, an answer that does not depend on what is behind the header
//! when there is one block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::feed::Protocol;
use wiretape::feed::frame::Kind;
use wiretape::feed::sequence::Tracker;
use wiretape::feed::sequenced::{Endian, Field, Heartbeat, Layout, Numbers, Sequenced};
use wiretape::packet::Verdict;

fn layout(bytes: &[u8; 16]) -> Layout {
    let field = |at: usize| Field { offset: u16::from(bytes[at] & 31), width: bytes[at] >> 5 | (bytes[0] & 8) };
    let optional = |at: usize| (bytes[at] != 0).then(|| field(at));
    Layout {
        endian: if bytes[0] & 1 == 0 { Endian::Big } else { Endian::Little },
        numbers: if bytes[0] & 2 == 0 { Numbers::Message } else { Numbers::Packet },
        sequence: field(1),
        session: optional(2),
        count: optional(3),
        length: optional(4),
        sent: optional(5),
        sent_ns: optional(6),
        time_unit_ns: u32::from_le_bytes([bytes[7], bytes[8], bytes[9], bytes[10]]),
        wraps_to: (bytes[11] != 0).then(|| bytes[11] - 1),
        heartbeat: optional(12).map(|Field { offset, width }| Heartbeat {
            offset,
            width,
            value: bytes[13].into(),
            repeats_last: bytes[14] & 1 == 1,
        }),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return };
    let layout = layout(head);
    let text = serde_json::to_string(&layout).expect("a layout can be written");
    assert_eq!(serde_json::from_str::<Layout>(&text).expect("and read"), layout);
    let speaker = Sequenced { layout };
    let mut tracker = Tracker::new();
    let mut rest = rest;
    while let Some((&length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(behind.len().min(usize::from(length)));
        rest = behind;
        match speaker.frame(payload, payload.len()) {
            Ok(frame) => {
                let header = frame.header;
                assert!(header.first.checked_add(header.units).is_some());
                assert_eq!(header.units == 0, header.kind == Kind::Heartbeat);
                // A layout that the configuration refuses must do no harm; more is asked only of the others.
                let sound = layout.fault().is_none();
                assert!(!sound || payload.len() >= speaker.header_bytes());
                if sound && layout.length.is_none() {
                    let alone = &payload[..speaker.header_bytes()];
                    assert_eq!(speaker.frame(alone, alone.len()).map(|frame| frame.header), Ok(header));
                }
                let _ = speaker.space_name(&header.space);
                let step = match header.kind {
                    Kind::Reset => tracker.restart(header.first, header.units),
                    _ => tracker.offer(header.first, header.units),
                };
                assert!(step.fresh + step.filled + step.seen + step.before_start <= header.units);
            }
            Err(verdict) => assert!(
                [
                    Verdict::SEQUENCED_TRUNCATED,
                    Verdict::SEQUENCED_OVERFLOW,
                    Verdict::SEQUENCED_BAD_BLOCK,
                    Verdict::SEQUENCED_BAD_COUNT,
                ]
                .contains(&verdict)
            ),
        }
        // Cut by the capturer: judged as far as it goes.
        let _ = speaker.frame(payload, payload.len() + usize::from(length));
    }
});
