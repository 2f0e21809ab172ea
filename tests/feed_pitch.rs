//! Real Cboe captures, each named after a message that is in it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod feed_captures;

use feed_captures::{each_packet, each_udp, judge_of, shared_captures};
use wiretape::events::output::Output;
use wiretape::events::room::Room;
use wiretape::feed::pitch::{Message, Pitch, Price, UnitEncoder, layout};
use wiretape::feed::{FeedConfig, FeedProtocol, MessageKind, Protocol};
use wiretape::packet::Verdict;

/// The type bytes of the message that a file is named after; none for heartbeats.
fn kinds_of(name: &str) -> &'static [u8] {
    let message = name.trim_end_matches(".pcap").rsplit('-').next().unwrap();
    match message {
        "Heartbeat" => &[],
        "TimeMessage" => &[0x20],
        "AddOrderLongMessage" => &[0x21],
        "AddOrderShortMessage" => &[0x22],
        "OrderExecutedMessage" => &[0x23],
        "ModifyOrderLongMessage" => &[0x27],
        "ModifyOrderShortMessage" | "ModidfyOrderShortMessage" => &[0x28],
        "DeleteMessage" | "DeleteOrderMessage" => &[0x29],
        "SymbolMappingMessage" => &[0x2e],
        "TradingStatusMessage" => &[0x31],
        "ComplexInstrumentDefinitionExpandedMessage" => &[0x9a],
        "AuctionNotificationMessage" => &[0xad],
        "AuctionCancelMessage" => &[0xae],
        "FutureInstrumentDefinitionMessage" => &[0xbb],
        "AuctionUpdateMessage" => &[0xd1],
        other => panic!("{name}: which message is {other}?"),
    }
}

#[test]
fn every_pitch_capture_decodes_and_has_the_message_it_is_named_after() {
    let Some(captures) = shared_captures() else { return };
    let (mut files, mut messages) = (0, 0);
    for entry in std::fs::read_dir(captures.join("feeds")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("cboe-") || !name.contains(".Pitch.") {
            continue;
        }
        files += 1;
        let mut found = Vec::new();
        let mut judge =
            judge_of(&path, FeedProtocol::CboePitch, wiretape::feed::sequenced::Layout::default());
        each_udp(&path, |packet, payload, on_wire| {
            let judgement = judge.judge(packet);
            assert_eq!(judgement.verdict, Verdict::ACCEPTED, "{name}");
            let frame = Pitch.frame(payload, on_wire).unwrap();
            let mut again = Vec::new();
            let first = u32::try_from(frame.header.first).unwrap();
            let mut encoder = UnitEncoder::begin(&mut again, payload[3], first);
            for bytes in frame.messages() {
                assert_eq!(Pitch.check(bytes), Ok(MessageKind::Known), "{name}");
                // As long as one of the dialects says, or grown in a later version.
                let layout = layout::lookup(bytes[1]).unwrap();
                assert!(bytes.len() >= usize::from(layout.shortest()), "{name}");
                let message = Message::parse(bytes).unwrap();
                found.push(message.kind());
                assert!(encoder.message(&message));
            }
            assert_eq!(u32::from(encoder.finish()), frame.header.messages);
            assert_eq!(again, payload, "{name}: written back byte for byte");
        });
        messages += found.len();
        for kind in kinds_of(&name) {
            assert!(found.contains(kind), "{name}: {found:02x?}");
        }
        assert_eq!(found.is_empty(), kinds_of(&name).is_empty(), "{name}");
        let unknown: u64 = judge.feeds().iter().map(|report| report.unknown_types).sum();
        assert_eq!(unknown, 0, "{name}");
    }
    assert!(files >= 22 && messages >= 30, "{files} files, {messages} messages");
}

#[test]
fn the_fields_of_real_messages_are_sensible() {
    let Some(captures) = shared_captures() else { return };
    let first = |name: &str, kind: u8| {
        let mut found = None;
        each_udp(&captures.join("feeds").join(name), |_, payload, on_wire| {
            let frame = Pitch.frame(payload, on_wire).unwrap();
            let message = frame.messages().find(|bytes| bytes[1] == kind);
            found = found.take().or(message.map(<[u8]>::to_vec));
        });
        found.unwrap()
    };
    let bytes = first("cboe-Options.DepthOfBook.Pitch.v2.39.4-AddOrderLongMessage.pcap", 0x21);
    let Message::Add(add) = Message::parse(&bytes).unwrap() else { panic!() };
    assert_eq!((add.side, add.quantity, add.symbol, add.tail), (b'B', 1000, &b"A     "[..], &[1][..]));
    assert_eq!(add.price.nanos(false), Some(2_900_000));
    let bytes = first("cboe-Futures.DepthOfBook.Pitch.v1.1.6-AddOrderShortMessage.pcap", 0x22);
    let Message::Add(add) = Message::parse(&bytes).unwrap() else { panic!() };
    assert_eq!((add.side, add.quantity, add.symbol, add.tail), (b'B', 1, &b"0002aV"[..], &[][..]));
    assert_eq!(add.price, Price::Short(0x05c8));
    let bytes = first("cboe-Options.ComplexDepthOfBook.Pitch.v2.1.18-SymbolMappingMessage.pcap", 0x2e);
    let Message::Mapping(mapping) = Message::parse(&bytes).unwrap() else { panic!() };
    assert_eq!((mapping.symbol, mapping.osi), (&b"027wuE"[..], &b"SPX   200619P00500000"[..]));
    let name = "cboe-Futures.DepthOfBook.Pitch.v1.1.12-FutureInstrumentDefinitionMessage.pcap";
    let bytes = first(name, 0xbb);
    let Message::FutureDefinition(future) = Message::parse(&bytes).unwrap() else { panic!() };
    assert_eq!((future.symbol, future.report_symbol, future.legs), (&b"0004yj"[..], &b"ZAMB1 "[..], 2));
}

#[test]
fn a_room_makes_events_of_real_packets() {
    let Some(captures) = shared_captures() else { return };
    let events = |name: &str, schema: dbn::Schema| {
        let path = captures.join("feeds").join(name);
        let mut feed = None;
        each_packet(&path, |packet| {
            let dissection = wiretape::wire::dissect(packet);
            if let wiretape::wire::Transport::Udp { dst_port, .. } = dissection.transport {
                let group = dissection.network.dst().unwrap();
                feed = Some(FeedConfig::one_line("cfe", FeedProtocol::CboePitch, group, dst_port));
            }
        });
        let mut room = Room::new(&[feed.unwrap()]);
        each_packet(&path, |packet| room.packet(packet));
        room.finish();
        let (_, out) = room.outputs().next().unwrap();
        let bytes = std::mem::take(&mut out.streams[Output::index(schema)]);
        (bytes, String::from_utf8(std::mem::take(&mut out.side)).unwrap())
    };
    let states = "cboe-Futures.DepthOfBook.Pitch.v1.1.6-TradingStatusMessage.pcap";
    let (bytes, side) = events(states, dbn::Schema::Status);
    assert_eq!(bytes.len(), 16 * size_of::<dbn::StatusMsg>());
    assert!(side.contains(r#""instrument_id":16,"symbol":"000379""#), "{side}");
    let (bytes, side) =
        events("cboe-Futures.DepthOfBook.Pitch.v1.1.6-AddOrderShortMessage.pcap", dbn::Schema::Mbo);
    let mut decoder = dbn::decode::dbn::RecordDecoder::new(&bytes[..]);
    let add = decoder.decode::<dbn::MboMsg>().unwrap().unwrap();
    assert_eq!((add.order_id, add.price, add.size), (0x021f_b27e_0775_2cf1, 14_800_000_000, 1));
    assert!(add.flags.is_last() && add.flags.is_maybe_bad_book(), "the capture begins in the middle");
    assert!(side.contains(r#""symbol":"0002aV""#), "{side}");
}
