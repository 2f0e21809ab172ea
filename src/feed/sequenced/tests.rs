use super::*;
use crate::feed::sequence::Tracker;
use proptest::prelude::*;

const fn field(offset: u16, width: u8) -> Field {
    Field { offset, width }
}

fn layout(toml: &str) -> Layout {
    let layout: Layout = toml::from_str(toml).unwrap();
    assert_eq!(layout.fault(), None);
    layout
}

fn header(layout: Layout, payload: &[u8]) -> Result<Header, Verdict> {
    Sequenced { layout }.frame(payload, payload.len()).map(|frame| frame.header)
}

/// NYSE XDP (16 bytes, little-endian): packet size, delivery flag, message count, sequence, seconds, nanoseconds.
const NYSE_XDP: &str = r#"
    endian = "little"
    sequence = { offset = 4, width = 4 }
    count = { offset = 3, width = 1 }
    sent = { offset = 8, width = 4 }
    time_unit_ns = 1_000_000_000
    sent_ns = { offset = 12, width = 4 }
    heartbeat = { offset = 2, width = 1, value = 1 }
"#;

/// ICE iMpact (16 bytes, big-endian): session, sequence, message count, sent in ms.
const ICE_IMPACT: &str = "
    session = { offset = 0, width = 2 }
    sequence = { offset = 2, width = 4 }
    count = { offset = 6, width = 2 }
    sent = { offset = 8, width = 8 }
    time_unit_ns = 1_000_000
";

/// MIAX MACH (12 bytes, little-endian, several in a datagram): sequence, length, type (0 = heartbeat), session.
const MIAX_MACH: &str = r#"
    endian = "little"
    sequence = { offset = 0, width = 8 }
    length = { offset = 8, width = 2 }
    session = { offset = 11, width = 1 }
    numbers = "packet"
    heartbeat = { offset = 10, width = 1, value = 0, repeats_last = true }
"#;

#[test]
fn nyse_xdp_is_described_by_configuration() {
    let layout = layout(NYSE_XDP);
    // The first two headers of a real capture.
    let bytes = b"\x3c\x00\x0b\x01\x02\x00\x00\x00\x9e\x5b\xce\x59\xd4\xaf\x61\x34";
    let data = header(layout, bytes).unwrap();
    assert_eq!((data.kind, data.first, data.units, data.space), (Kind::Data, 2, 1, Space::default()));
    assert_eq!(data.sent_ns, Some(1_506_696_094_878_817_236));
    let heartbeat = header(layout, b"\x10\x00\x01\x01\x03\x00\x00\x00\0\0\0\0\0\0\0\0").unwrap();
    assert_eq!((heartbeat.kind, heartbeat.first, heartbeat.units), (Kind::Heartbeat, 3, 0));
    assert_eq!(Sequenced { layout }.header_bytes(), 16);
    assert_eq!(header(layout, &bytes[..15]), Err(Verdict::SEQUENCED_TRUNCATED));
}

#[test]
fn ice_impact_is_described_by_configuration() {
    let layout = layout(ICE_IMPACT);
    // Two headers of a real capture.
    let heartbeat =
        header(layout, b"\x1f\x23\x00\x00\x0d\xf8\x00\x00\x00\x00\x01\x56\x57\xff\xd0\x42").unwrap();
    assert_eq!((heartbeat.kind, heartbeat.first, heartbeat.units), (Kind::Heartbeat, 3_576, 0));
    assert_eq!(heartbeat.sent_ns, Some(1_470_355_198_018_000_000));
    let data = header(layout, b"\x1f\x23\x00\x00\x0d\xf8\x00\x31\x00\x00\x01\x56\x57\xff\xd8\x0e").unwrap();
    assert_eq!((data.kind, data.first, data.units, data.messages), (Kind::Data, 3_576, 49, 1));
    assert_eq!(Sequenced { layout }.space_name(&data.space), "7971");
}

#[test]
fn miax_mach_is_described_by_configuration() {
    let layout = layout(MIAX_MACH);
    let block = |sequence: u64, kind: u8, session: u8, body: &[u8]| {
        let mut block = sequence.to_le_bytes().to_vec();
        block.extend(u16::try_from(12 + body.len()).unwrap().to_le_bytes());
        block.extend([kind, session]);
        block.extend(body);
        block
    };
    let three = [block(5, 3, 9, b"abc"), block(6, 3, 9, b""), block(7, 3, 9, b"defg")].concat();
    let found = header(layout, &three).unwrap();
    assert_eq!((found.kind, found.first, found.units), (Kind::Data, 5, 3));
    assert_eq!(Sequenced { layout }.space_name(&found.space), "9");
    let heartbeat = header(layout, &block(7, 0, 9, b"")).unwrap();
    assert_eq!(
        (heartbeat.kind, heartbeat.first, heartbeat.units),
        (Kind::Heartbeat, 8, 0),
        "it repeats the last"
    );
    for bad in [
        [block(5, 3, 9, b""), block(7, 3, 9, b"")].concat(),
        [block(5, 3, 9, b""), block(6, 3, 8, b"")].concat(),
        [block(5, 3, 9, b"abc"), b"x".to_vec()].concat()[..].to_vec(),
        three[..three.len() - 1].to_vec(),
    ] {
        let verdict = header(layout, &bad).unwrap_err();
        assert!(
            [Verdict::SEQUENCED_BAD_BLOCK, Verdict::SEQUENCED_TRUNCATED].contains(&verdict),
            "{verdict:?}"
        );
    }
    let mut short = block(5, 3, 9, b"");
    short[8] = 11;
    assert_eq!(header(layout, &short), Err(Verdict::SEQUENCED_BAD_BLOCK), "a length that ends in its header");
    // Cut by the capturer: as far as it goes.
    let cut = Sequenced { layout }.frame(&three[..20], three.len()).unwrap();
    assert_eq!(cut.header.units, 1);
}

#[test]
fn the_feeds_number_messages_or_packets() {
    let count = Some(field(1, 1));
    let messages = Layout { sequence: field(0, 1), count, ..Layout::default() };
    let packets = Layout { numbers: Numbers::Packet, ..messages };
    for (bytes, in_messages, in_packets) in [([7, 5], 5, 1), ([7, 1], 1, 1), ([7, 0], 0, 0)] {
        assert_eq!(header(messages, &bytes).unwrap().units, in_messages);
        assert_eq!(header(packets, &bytes).unwrap().units, in_packets);
    }
    let uncounted = Layout { count: None, ..messages };
    assert_eq!(header(uncounted, &[7]).unwrap().units, 1);
}

#[test]
fn numbers_that_no_field_can_hold_are_refused() {
    let count = Some(field(2, 1));
    let narrow = Layout { sequence: field(0, 2), count, ..Layout::default() };
    assert_eq!(header(narrow, &[0xff, 0xff, 1]).unwrap().units, 1, "the highest itself fits");
    assert_eq!(header(narrow, &[0xff, 0xff, 2]), Err(Verdict::SEQUENCED_OVERFLOW));
    let wide = Layout { sequence: field(0, 8), count: Some(field(8, 1)), ..Layout::default() };
    assert_eq!(header(wide, &[0xff; 9]), Err(Verdict::SEQUENCED_OVERFLOW));
    let sent = Layout { sent: Some(field(0, 8)), time_unit_ns: 1_000, ..wide };
    let mut bytes = [0; 9];
    assert_eq!(header(sent, &bytes).unwrap().sent_ns, Some(0));
    bytes[0] = 1;
    assert_eq!(header(sent, &bytes), Err(Verdict::SEQUENCED_OVERFLOW));
}

/// Bug: a forged count of nearly 2^64 made all that followed a duplicate, and the tracker's sums overflow. Cause: any count was believed.
/// Fix: no datagram has more messages than bytes.
#[test]
fn a_count_that_no_datagram_can_hold_is_refused() {
    let layout = Layout { sequence: field(0, 1), count: Some(field(1, 8)), ..Layout::default() };
    for (count, expected) in [
        (200, Ok(200)),
        (65_508, Err(Verdict::SEQUENCED_BAD_COUNT)),
        (u64::MAX, Err(Verdict::SEQUENCED_BAD_COUNT)),
    ] {
        let mut bytes = vec![1];
        bytes.extend(count.to_be_bytes());
        assert_eq!(header(layout, &bytes).map(|header| header.units), expected);
    }
}

#[test]
fn a_narrow_number_that_starts_over_begins_a_new_space_and_no_gap() {
    for wraps_to in [0, 1] {
        let layout = Layout {
            sequence: field(0, 1),
            count: Some(field(1, 1)),
            wraps_to: Some(wraps_to),
            ..Layout::default()
        };
        let mut tracker = Tracker::new();
        let (mut next, mut spaces) = (250_u64, 0);
        for step in 0..1_000_u64 {
            let count = step % 4;
            let bytes = [u8::try_from(next).unwrap(), u8::try_from(count).unwrap()];
            let header = header(layout, &bytes).unwrap();
            let found = match header.kind {
                Kind::Reset => tracker.restart(header.first, header.units),
                _ => tracker.offer(header.first, header.units),
            };
            assert_eq!((found.missing, found.seen), (0, 0), "step {step}");
            spaces += u64::from(found.restart);
            next += count;
            if next > 255 {
                next = next - 256 + u64::from(wraps_to);
            }
        }
        // A heartbeat at the turn may begin the space before the first message does.
        assert!((5..=12).contains(&spaces), "{spaces} turns in 1500 numbers");
    }
}

#[test]
fn a_layout_that_cannot_be_is_named() {
    let good = Layout { sequence: field(0, 4), ..Layout::default() };
    assert_eq!(good.fault(), None);
    for (bad, word) in [
        (Layout::default(), "sequence"),
        (Layout { count: Some(field(0, 9)), ..good }, "count"),
        (Layout { session: Some(field(0, 13)), ..good }, "session"),
        (Layout { wraps_to: Some(2), ..good }, "wraps_to"),
        (Layout { sent_ns: Some(field(0, 4)), ..good }, "sent_ns"),
    ] {
        assert!(bad.fault().unwrap().starts_with(word), "{word}");
    }
    for text in [NYSE_XDP, ICE_IMPACT, MIAX_MACH] {
        let layout = layout(text);
        assert_eq!(toml::from_str::<Layout>(&toml::to_string(&layout).unwrap()).unwrap(), layout);
        assert!(toml::from_str::<Layout>(&format!("{text}\nendianness = 1")).is_err());
    }
}

prop_compose! {
    fn any_field()(offset in 0_u16..20, width in 0_u8..14) -> Field {
        Field { offset, width }
    }
}

prop_compose! {
    fn any_layout()(
        little in any::<bool>(), packets in any::<bool>(), sequence in any_field(),
        fields in prop::array::uniform5(prop::option::of(any_field())), time_unit_ns in any::<u32>(),
        wraps_to in prop::option::of(0_u8..3), mark in prop::option::of((any_field(), 0_u64..3, any::<bool>())),
    ) -> Layout {
        let [session, count, length, sent, sent_ns] = fields;
        Layout {
            endian: if little { Endian::Little } else { Endian::Big },
            numbers: if packets { Numbers::Packet } else { Numbers::Message },
            session, sequence, count, length, sent, sent_ns, time_unit_ns, wraps_to,
            heartbeat: mark.map(|(Field { offset, width }, value, repeats_last)| {
                Heartbeat { offset, width, value, repeats_last }
            }),
        }
    }
}

proptest! {
    #[test]
    fn a_number_is_read_as_it_was_written(number in any::<u64>(), width in 1_u8..9, offset in 0_u16..9) {
        let number = number & field(0, width).highest();
        let width_bytes = usize::from(width);
        for endian in [Endian::Big, Endian::Little] {
            let mut bytes = vec![0xaa; usize::from(offset)];
            match endian {
                Endian::Big => bytes.extend(&number.to_be_bytes()[8 - width_bytes..]),
                Endian::Little => bytes.extend(&number.to_le_bytes()[..width_bytes]),
            }
            let layout = Layout { endian, sequence: Field { offset, width }, ..Layout::default() };
            match header(layout, &bytes) {
                Ok(header) => prop_assert_eq!((header.first, header.units), (number, 1)),
                Err(verdict) => prop_assert_eq!((number, verdict), (u64::MAX, Verdict::SEQUENCED_OVERFLOW)),
            }
            prop_assert_eq!(header(layout, &bytes[1..]).is_ok(), false);
        }
    }

    #[test]
    fn no_layout_and_no_bytes_do_harm(layout in any_layout(), bytes in prop::collection::vec(any::<u8>(), 0..64), more in 0_usize..32) {
        let speaker = Sequenced { layout };
        if let Ok(frame) = speaker.frame(&bytes, bytes.len() + more) {
            prop_assert!(frame.header.first.checked_add(frame.header.units).is_some());
            prop_assert!(frame.messages().count() <= 1);
            let _ = speaker.space_name(&frame.header.space);
        }
        let _ = layout.fault();
    }
}
