use super::*;
use proptest::prelude::*;

fn unit(unit: u8, sequence: u32, messages: &[Message<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = UnitEncoder::begin(&mut out, unit, sequence);
    for message in messages {
        assert!(encoder.message(message));
    }
    assert_eq!(usize::from(encoder.finish()), messages.len());
    out
}

const DELETE: Message<'static> = Message::Delete(Delete { offset_ns: 7, order: 9, tail: &[] });

#[test]
fn every_type_byte_finds_its_layout_and_no_other() {
    for byte in 0..=255 {
        let found = layout::LAYOUT.iter().find(|layout| layout.kind == byte);
        assert_eq!(layout::lookup(byte), found, "{byte:#x}");
    }
    assert!(layout::LAYOUT.windows(2).all(|pair| pair[0].kind < pair[1].kind));
}

#[test]
fn longer_is_growth_shorter_than_every_dialect_is_short_unknown_is_skipped() {
    for layout in &layout::LAYOUT {
        let shortest = usize::from(layout.shortest());
        assert!(layout.lengths.contains(&layout.shortest()) && shortest > 2, "{}", layout.name);
        for length in 2..=90 {
            let mut message = vec![b' '; length];
            (message[0], message[1]) = (u8::try_from(length).unwrap(), layout.kind);
            let expected = if length < shortest { Err(Verdict::PITCH_SHORT) } else { Ok(MessageKind::Known) };
            assert_eq!(Pitch.check(&message), expected, "{} len{length}", layout.name);
            // What passes has its fields; what passes not has none.
            assert_eq!(Message::parse(&message).is_ok(), length >= shortest, "{} len{length}", layout.name);
        }
    }
    assert_eq!(Pitch.check(&[2, 0xff]), Ok(MessageKind::Unknown));
    assert_eq!(Pitch.check(&[1]), Err(Verdict::PITCH_SHORT));
    assert_eq!(Pitch.check(&[]), Err(Verdict::PITCH_SHORT));
}

#[test]
fn the_length_of_every_form_is_the_dialects() {
    use Dialect::{Complex, Equities, Futures, Options};
    let flags = |dialect| if dialect == Futures { &b""[..] } else { b"\x01" };
    let condition = |dialect| if dialect == Equities { &b""[..] } else { b" " };
    for dialect in [Equities, Options, Complex, Futures] {
        let add = |symbol, price| Add {
            offset_ns: 0,
            order: 1,
            side: b'B',
            quantity: 1,
            symbol,
            price,
            tail: flags(dialect),
        };
        let trade = |symbol, price| Trade {
            offset_ns: 0,
            order: 1,
            side: b'B',
            quantity: 1,
            symbol,
            price,
            execution: 1,
            tail: condition(dialect),
        };
        let executed =
            |at| Executed { offset_ns: 0, order: 1, quantity: 1, execution: 1, at, tail: condition(dialect) };
        let modify = |price| Modify { offset_ns: 0, order: 1, quantity: 1, price, tail: flags(dialect) };
        let remaining = Remaining { quantity: 0, price: Price::Long(1) };
        let reduce = |short| Reduce { offset_ns: 0, order: 1, quantity: 1, short, tail: &[] };
        let messages = [
            Message::Add(add(b"AAPL  ", Price::Long(1))),
            Message::Add(add(b"AAPL  ", Price::Short(1))),
            Message::Executed(executed(None)),
            Message::Executed(executed(Some(remaining))),
            Message::Reduce(reduce(false)),
            Message::Reduce(reduce(true)),
            Message::Modify(modify(Price::Long(1))),
            Message::Modify(modify(Price::Short(1))),
            DELETE,
            Message::Trade(trade(b"AAPL  ", Price::Long(1))),
            Message::Trade(trade(b"AAPL  ", Price::Short(1))),
            Message::Trade(trade(b"AAPL    ", Price::Long(1))),
            Message::Break(Break { offset_ns: 0, execution: 1, tail: &[] }),
            Message::EndOfSession { offset_ns: 0, tail: &[] },
            Message::UnitClear { offset_ns: 0, tail: &[] },
        ];
        for message in messages {
            let mut bytes = Vec::new();
            assert!(message.write(&mut bytes));
            let layout = layout::lookup(message.kind()).unwrap();
            let Some(length) = layout.length(dialect) else { continue };
            assert_eq!(bytes.len(), usize::from(length), "{} {dialect:?}", layout.name);
        }
    }
}

/// US equities, add order short: length 26, time offset, order, side, 100 shares, symbol, 1.02 dollars, flags.
#[test]
fn fields_stand_where_the_specification_says() {
    let mut bytes = vec![0x1a, 0x22, 0x18, 0xd2, 0x06, 0x00, 0x05, 0x40, 0x5b, 0x77, 0x8f, 0x56, 0x1d, 0x0b];
    bytes.extend_from_slice(b"B\x64\x00ZVZZT \x66\x00\x01");
    let Ok(Message::Add(add)) = Message::parse(&bytes) else { panic!("an add order") };
    assert_eq!((add.offset_ns, add.order), (447_000, 0x0b1d_568f_775b_4005));
    assert_eq!((add.side, add.quantity, add.symbol, add.tail), (b'B', 100, &b"ZVZZT "[..], &[1][..]));
    assert_eq!(add.price.nanos(false), Some(1_020_000_000));
    assert_eq!(Pitch.message_name(&bytes), "0x22 add order short len26");
}

#[test]
fn prices_are_exact_or_refused() {
    assert_eq!(Price::Short(u16::MAX).nanos(false), Some(655_350_000_000));
    assert_eq!(Price::Short(u16::MAX).nanos(true), Some(-10_000_000));
    assert_eq!(Price::Long(9_050).nanos(false), Some(905_000_000));
    assert_eq!(Price::Long((-9_050_i64).cast_unsigned()).nanos(true), Some(-905_000_000));
    for price in [u64::MAX, i64::MAX.cast_unsigned() / 100_000 + 1] {
        assert_eq!(Price::Long(price).nanos(false), None);
    }
}

#[test]
fn a_heartbeat_uses_no_number_and_what_is_not_sequenced_is_a_space_of_its_own() {
    let heartbeat = unit(3, 77, &[]);
    let header = Pitch.frame(&heartbeat, 8).unwrap().header;
    assert_eq!((header.kind, header.first, header.units), (Kind::Heartbeat, 77, 0));
    assert_eq!(Pitch.space_name(&header.space), "unit 3");
    let data = unit(3, 77, &[DELETE, DELETE]);
    let data = Pitch.frame(&data, data.len()).unwrap().header;
    assert_eq!((data.kind, data.first, data.units, data.space), (Kind::Data, 77, 2, header.space));
    for messages in [&[][..], &[DELETE, DELETE]] {
        let bytes = unit(3, 0, messages);
        let aside = Pitch.frame(&bytes, bytes.len()).unwrap();
        assert_eq!(Pitch.space_name(&aside.header.space), "unit 3 unsequenced");
        assert_eq!((aside.header.first, aside.header.units, aside.header.numbers_messages), (0, 0, false));
        assert_eq!(aside.messages().count(), messages.len());
    }
}

#[test]
fn lies_of_the_header_have_their_names() {
    let good = unit(1, 5, &[DELETE, DELETE]);
    let wrong = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Pitch.frame(&bytes, bytes.len()).map(|frame| frame.header.messages)
    };
    assert_eq!(wrong(0, 35), Err(Verdict::PITCH_BAD_LENGTH));
    assert_eq!(wrong(2, 1), Err(Verdict::PITCH_BAD_COUNT));
    assert_eq!(wrong(2, 3), Err(Verdict::PITCH_BAD_COUNT));
    assert_eq!(wrong(8, 0), Err(Verdict::PITCH_BAD_LENGTH), "a length that does not even count itself");
    assert_eq!(wrong(22, 15), Err(Verdict::PITCH_BAD_LENGTH));
    assert_eq!(Pitch.frame(&good[..7], 7), Err(Verdict::PITCH_TRUNCATED));
    let last = unit(1, u32::MAX, &[DELETE]);
    assert_eq!(Pitch.frame(&last, last.len()), Err(Verdict::PITCH_SEQUENCE_OVERFLOW));
}

#[test]
fn what_does_not_fit_its_form_is_not_written() {
    let reduce = Message::Reduce(Reduce { offset_ns: 0, order: 1, quantity: 65_536, short: true, tail: &[] });
    let long_tail = [0; 250];
    let grown = Message::Delete(Delete { offset_ns: 0, order: 1, tail: &long_tail });
    let narrow =
        Message::Status(Status { offset_ns: 0, symbol: b"AB", status: b'T', reg_sho: b'0', tail: b"  " });
    let mut out = vec![1, 2, 3];
    for message in [reduce, grown, narrow] {
        assert!(!message.write(&mut out));
        assert_eq!(out, [1, 2, 3]);
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(kind in prop_oneof![0x20_u8..0x32, 0x95_u8..0x9f, 0xad_u8..0xbf, any::<u8>()],
                                    body in prop::collection::vec(any::<u8>(), 0..253)) {
        let mut bytes = vec![u8::try_from(body.len() + 2).unwrap(), kind];
        bytes.extend_from_slice(&body);
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(message.kind(), kind);
            let mut again = Vec::new();
            prop_assert!(message.write(&mut again));
            prop_assert_eq!(&again, &bytes);
            let mut datagram = Vec::new();
            let mut encoder = UnitEncoder::begin(&mut datagram, 1, 9);
            prop_assert!(encoder.message(&message) && encoder.raw(&bytes));
            encoder.finish();
            let frame = Pitch.frame(&datagram, datagram.len()).unwrap();
            prop_assert_eq!(frame.messages().collect::<Vec<_>>(), [&bytes[..], &bytes[..]]);
        }
    }

    #[test]
    fn a_datagram_cut_by_the_wire_is_refused_and_cut_by_the_capturer_read_as_far_as_it_goes(
        orders in prop::collection::vec(any::<u64>(), 1..20), cut in 0_usize..300,
    ) {
        let messages: Vec<_> =
            orders.iter().map(|order| Message::Delete(Delete { offset_ns: 1, order: *order, tail: &[] })).collect();
        let bytes = unit(1, 1, &messages);
        let cut = cut.min(bytes.len() - 1);
        prop_assert!(Pitch.frame(&bytes[..cut], cut).is_err());
        let snapped = Pitch.frame(&bytes[..cut], bytes.len());
        prop_assert_eq!(snapped.is_ok(), cut >= HEADER_LEN);
        if let Ok(frame) = snapped {
            prop_assert_eq!(frame.messages().count(), (cut - HEADER_LEN) / 14);
            prop_assert_eq!(frame.header.units, orders.len() as u64);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), more in 0_usize..100) {
        if let Ok(frame) = Pitch.frame(&bytes, bytes.len() + more) {
            for message in frame.messages() {
                prop_assert_eq!(Pitch.check(message).is_err(), Message::parse(message).is_err());
            }
        }
        let _ = Message::parse(&bytes).map(|message| message.offset_ns());
    }
}
