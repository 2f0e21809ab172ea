//! Framing: what is accepted, each verdict, recognition, and the encoder.

use super::*;
use crate::feed::iex::encode::{self, Message as _};
use proptest::prelude::*;

const HEADER: SegmentHeader = SegmentHeader {
    message_protocol: protocol_id::TOPS,
    channel: 1,
    session: 1_137_508_352,
    offset: 1_000,
    first: 43,
    sent_ns: 1_471_980_632_572_715_948,
};

fn segment(header: &SegmentHeader, messages: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::begin(&mut out, header);
    for message in messages {
        assert!(encoder.message(message));
    }
    encoder.finish();
    out
}

fn quote() -> Vec<u8> {
    let mut out = Vec::new();
    encode::QuoteUpdate { symbol: *b"ZIEXT   ", ..Default::default() }.encode(&mut out);
    out
}

fn frame(payload: &[u8]) -> Result<Frame<'_>, Verdict> {
    IexTp.frame(payload, payload.len())
}

#[test]
fn the_header_stands_where_the_specification_says() {
    let header = SegmentHeader {
        message_protocol: 0x8004,
        channel: 0x0403_0201,
        session: 0x0807_0605,
        offset: 0x1817_1615_1413_1211,
        first: 0x2827_2625_2423_2221,
        sent_ns: 0x3837_3635_3433_3231,
    };
    let bytes = segment(&header, &[&[b'S'; 10]]);
    assert_eq!(bytes[..4], [1, 0, 0x04, 0x80]);
    assert_eq!(bytes[4..12], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(bytes[12..16], [12, 0, 1, 0], "payload length, count");
    assert_eq!(bytes[16..24], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
    assert_eq!(bytes[24..32], [0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]);
    assert_eq!(bytes[32..40], [0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]);
    assert_eq!(bytes[40..42], [10, 0]);
    assert_eq!(bytes.len(), HEADER_LEN + 2 + 10);
}

#[test]
fn a_segment_says_its_space_numbers_offset_and_time() {
    let bytes = segment(&HEADER, &[&quote(), b"", b"z?"]);
    let framed = frame(&bytes).unwrap();
    assert_eq!(framed.header.space, HEADER.space());
    assert_eq!(parts(&framed.header.space), (0x8003, 1, 1_137_508_352));
    assert_eq!(IexTp.space_name(&framed.header.space), "proto0x8003/ch1/sess1137508352");
    assert_eq!((framed.header.first, framed.header.units, framed.header.next()), (43, 3, 46));
    assert_eq!(framed.header.offset, Some(StreamOffset { begin: 1_000, bytes: 44 + 2 + 4 }));
    assert_eq!(framed.header.sent_ns, Some(1_471_980_632_572_715_948));
    assert_eq!(framed.header.kind, Kind::Data);
    let messages: Vec<&[u8]> = framed.messages().collect();
    assert_eq!(messages, [&quote()[..], b"", b"z?"]);
    assert_eq!(IexTp.check(messages[0]), Ok(MessageKind::Known));
    assert_eq!(IexTp.check(messages[1]), Err(Verdict::IEX_EMPTY));
    assert_eq!(IexTp.check(messages[2]), Ok(MessageKind::Unknown));
    assert_eq!(IexTp.check(&messages[0][..41]), Err(Verdict::IEX_SHORT));
    assert_eq!(IexTp.message_name(messages[0]), "Q/0x51 len42");
}

#[test]
fn a_heartbeat_has_no_payload_and_the_next_number() {
    let bytes = segment(&HEADER, &[]);
    let framed = frame(&bytes).unwrap();
    assert_eq!((framed.header.kind, framed.header.units), (Kind::Heartbeat, 0));
    assert_eq!(framed.header.next(), 43);
    assert!(IexTp.recognises(&bytes, bytes.len(), 0));
    // A count without payload and a payload without count are neither.
    let mut counted = bytes.clone();
    counted[14] = 1;
    assert_eq!(frame(&counted), Err(Verdict::IEX_BAD_COUNT));
    let mut filled = segment(&HEADER, &[b"z"]);
    filled[14] = 0;
    assert_eq!(frame(&filled), Err(Verdict::IEX_BAD_COUNT));
}

#[test]
fn each_fault_of_the_framing_has_its_verdict() {
    let sound = segment(&HEADER, &[&quote(), &quote()]);
    let with = |at: usize, value: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    assert!(frame(&sound).is_ok());
    assert_eq!(frame(&sound[..39]), Err(Verdict::IEX_TRUNCATED));
    assert_eq!(frame(&with(0, &[2])), Err(Verdict::IEX_BAD_VERSION));
    assert_eq!(frame(&with(2, &[0x01])), Err(Verdict::IEX_BAD_PROTOCOL));
    assert_eq!(frame(&with(2, &[0x06])), Err(Verdict::IEX_BAD_PROTOCOL));
    assert_eq!(frame(&with(12, &[87])), Err(Verdict::IEX_BAD_LENGTH));
    assert_eq!(frame(&sound[..sound.len() - 1]), Err(Verdict::IEX_BAD_LENGTH), "bytes missing on the wire");
    assert_eq!(frame(&with(14, &[1])), Err(Verdict::IEX_BAD_COUNT));
    assert_eq!(frame(&with(14, &[3])), Err(Verdict::IEX_BAD_COUNT));
    assert_eq!(frame(&with(84, &[43])), Err(Verdict::IEX_BAD_LENGTH), "a message past the end");
    assert_eq!(frame(&with(24, &[0xff; 8])), Err(Verdict::IEX_SEQUENCE_OVERFLOW));
    assert_eq!(frame(&with(16, &[0xff; 8])), Err(Verdict::IEX_SEQUENCE_OVERFLOW));
    assert!(frame(&with(1, &[9])).is_ok(), "the reserved byte is no fault");
    assert!(!IexTp.recognises(&with(1, &[9]), sound.len(), 0), "but nothing is recognised by it");
}

#[test]
fn the_capturers_cut_is_not_the_senders_fault() {
    let sound = segment(&HEADER, &[&quote(), &quote()]);
    for kept in HEADER_LEN..sound.len() {
        let framed = IexTp.frame(&sound[..kept], sound.len()).unwrap();
        assert_eq!(framed.header.units, 2);
        assert_eq!(framed.messages().count(), usize::from(kept >= HEADER_LEN + 44));
    }
}

#[test]
fn only_known_messages_are_recognised() {
    let good = segment(&HEADER, &[b"z?", &quote()]);
    assert!(IexTp.recognises(&good, good.len(), 10_378));
    let strange = segment(&HEADER, &[b"z?"]);
    assert!(!IexTp.recognises(&strange, strange.len(), 10_378));
    let zero = segment(&SegmentHeader { first: 0, ..HEADER }, &[]);
    assert!(!IexTp.recognises(&zero, zero.len(), 10_378), "numbers begin at 1");
}

#[test]
fn the_encoder_refuses_what_the_header_cannot_say() {
    let mut out = b"before".to_vec();
    let mut encoder = Encoder::begin(&mut out, &HEADER);
    assert!(encoder.message(&vec![b'z'; 65_000]));
    assert!(!encoder.message(&vec![b'z'; 532]));
    assert!(encoder.message(&vec![b'z'; 531]));
    assert_eq!(encoder.finish(), (65_535, 2));
    assert_eq!(frame(&out[6..]).unwrap().messages().count(), 2);
}

proptest! {
    #[test]
    fn what_is_encoded_is_framed_again(
        message_protocol in 0x8002..=0x8005_u16, channel: u32, session: u32, offset: u64, first: u64, sent_ns: i64,
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..30),
    ) {
        let header = SegmentHeader { message_protocol, channel, session, offset, first, sent_ns };
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let bytes = segment(&header, &slices);
        let payload = u64::try_from(bytes.len() - HEADER_LEN).unwrap();
        let count = u64::try_from(messages.len()).unwrap();
        let fits = first.checked_add(count).is_some() && offset.checked_add(payload).is_some();
        match frame(&bytes) {
            Ok(framed) => {
                prop_assert!(fits);
                prop_assert_eq!(framed.messages().collect::<Vec<_>>(), slices);
                prop_assert_eq!(parts(&framed.header.space), (message_protocol, channel, session));
                prop_assert_eq!(framed.header.next(), first + count);
            }
            Err(verdict) => {
                prop_assert_eq!(verdict, Verdict::IEX_SEQUENCE_OVERFLOW);
                prop_assert!(!fits);
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_a_whole_segment_is_never_shorter_than_its_messages(
        mut payload in proptest::collection::vec(any::<u8>(), 0..200), missing in 0..50_usize, sound_head: bool,
    ) {
        if sound_head && payload.len() > 16 {
            payload[..4].copy_from_slice(&[1, 0, 0x03, 0x80]);
            let bytes = u16::try_from((payload.len() + missing).saturating_sub(HEADER_LEN)).unwrap();
            payload[12..14].copy_from_slice(&bytes.to_le_bytes());
            payload[15] = 0;
        }
        let on_wire = payload.len() + missing;
        let _ = IexTp.recognises(&payload, on_wire, 0);
        if let Ok(framed) = IexTp.frame(&payload, on_wire) {
            let bytes: usize = framed.messages().map(|message| message.len() + 2).sum();
            prop_assert!(bytes <= framed.body.len());
            for message in framed.messages() {
                let _ = (IexTp.check(message), IexTp.message_name(message));
            }
        }
    }
}
