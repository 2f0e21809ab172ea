//! The judge over frames as they come from a wire.
use super::*;
use crate::feed::itch50::messages::{AddOrder, Message, OrderDelete};
use crate::feed::moldudp64::{self, Encoder, Session};
use crate::packet::{EpbFlags, LinkType};
use crate::time::{Stamp, StampClock};
use crate::wire::build::{UdpFrame, multicast_mac, udp_frame};
use proptest::prelude::*;

const SESSION: Session = *b"TAPE000001";
const GROUP: &str = "239.1.2.3:5000";

fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(0, StampClock::FILE),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks::default(),
        gso_size: 0,
        lost_before: 0,
    }
}

fn frame_to(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let dst: std::net::SocketAddr = dst.parse().unwrap();
    let (src, src_mac) = (src.parse().unwrap(), [2, 0, 0, 0, 0, 1]);
    let mut out = Vec::new();
    let frame = UdpFrame { src_mac, dst_mac: multicast_mac(dst.ip()), vlan: None, src, dst, ttl: 8 };
    udp_frame(&mut out, &frame, payload).unwrap();
    out
}

fn frame(payload: &[u8]) -> Vec<u8> {
    frame_to("10.0.0.1:4000", GROUP, payload)
}

fn mold_of(session: Session, sequence: u64, count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::begin(&mut out, session, sequence);
    for _ in 0..count {
        assert!(encoder.message_with(|out| AddOrder::default().encode(out)));
    }
    encoder.finish();
    out
}

fn mold(sequence: u64, count: u64) -> Vec<u8> {
    mold_of(SESSION, sequence, count)
}

fn raw(sequence: u64, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::begin(&mut out, SESSION, sequence);
    encoder.message(message);
    encoder.finish();
    out
}

fn control(write: fn(&mut Vec<u8>, Session, u64), next: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, SESSION, next);
    out
}

fn feed(protocol: FeedProtocol, source: Option<&str>) -> FeedConfig {
    let mut feed = FeedConfig::one_line("alpha", protocol, "239.1.2.3".parse().unwrap(), 5000);
    feed.lines[0].source = source.map(|source| source.parse().unwrap());
    feed
}

fn configured() -> Judge {
    let feeds = vec![feed(FeedProtocol::MoldUdp64Itch50, None)];
    Judge::new(&JudgeConfig { feeds, recognise: false, max_streams: 8 })
}

fn recognising() -> Judge {
    Judge::new(&JudgeConfig { max_streams: 8, ..JudgeConfig::default() })
}

fn verdict(judge: &mut Judge, payload: &[u8]) -> Verdict {
    judge.judge(&packet(&frame(payload))).verdict
}

fn findings(judge: &mut Judge, payload: &[u8]) -> Vec<&'static str> {
    let judgement = judge.judge(&packet(&frame(payload)));
    assert_eq!(judgement.verdict, Verdict::ACCEPTED);
    judgement.findings.names().collect()
}

#[test]
fn a_stream_tells_each_of_its_facts_once() {
    for mut judge in [configured(), recognising()] {
        assert_eq!(findings(&mut judge, &mold(1, 2)), ["new-session"]);
        assert_eq!(findings(&mut judge, &mold(3, 2)), [""; 0]);
        assert_eq!(findings(&mut judge, &mold(7, 1)), ["gap"]);
        assert_eq!(findings(&mut judge, &mold(7, 1)), ["duplicate"]);
        assert_eq!(findings(&mut judge, &mold(5, 1)), ["out-of-order"]);
        assert_eq!(findings(&mut judge, &mold(7, 2)), ["overlap"]);
        assert_eq!(findings(&mut judge, &control(moldudp64::heartbeat, 9)), ["heartbeat"]);
        assert_eq!(findings(&mut judge, &control(moldudp64::heartbeat, 11)), ["gap", "heartbeat"]);
        assert_eq!(findings(&mut judge, &control(moldudp64::end_of_session, 11)), ["end-of-session"]);
        let report = &judge.feeds()[0];
        assert_eq!((report.packets, report.messages, report.gaps, report.missing_messages), (9, 7, 2, 3));
        assert_eq!((report.duplicates, report.out_of_order, report.filled, report.heartbeats), (2, 1, 1, 2));
        assert_eq!((report.first_seq, report.next_seq, report.sessions, report.ended), (1, 11, 1, true));
        assert_eq!(
            report.missing,
            [MissingRange { first: 6, count: 1 }, MissingRange { first: 9, count: 2 }]
        );
        assert_eq!(report.session, "TAPE000001");
        assert_eq!(report.next_seq - report.first_seq, report.messages + report.missing_messages);
    }
}

#[test]
fn a_corrupt_message_in_a_sound_frame_makes_no_gap() {
    let mut judge = recognising();
    assert_eq!(verdict(&mut judge, &mold(1, 1)), Verdict::ACCEPTED);
    assert_eq!(verdict(&mut judge, &raw(2, b"A too short")), Verdict::ITCH_SHORT);
    assert_eq!(verdict(&mut judge, &raw(3, b"")), Verdict::ITCH_EMPTY);
    assert_eq!(findings(&mut judge, &raw(4, b"z of a type to come")), [""; 0]);
    assert_eq!(findings(&mut judge, &mold(5, 1)), [""; 0]);
    let report = &judge.feeds()[0];
    assert_eq!((report.rejected, report.gaps, report.unknown_types, report.messages), (2, 0, 1, 5));
}

#[test]
fn unsound_framing_is_rejected_and_the_gap_behind_it_is_real() {
    let mut judge = recognising();
    assert_eq!(verdict(&mut judge, &mold(1, 1)), Verdict::ACCEPTED);
    let sound = mold(2, 1);
    assert_eq!(verdict(&mut judge, &sound[..sound.len() - 1]), Verdict::MOLD_BAD_LENGTH);
    assert_eq!(verdict(&mut judge, &sound[..7]), Verdict::MOLD_TRUNCATED);
    assert_eq!(verdict(&mut judge, &[&sound[..], b"x"].concat()), Verdict::MOLD_BAD_COUNT);
    assert_eq!(findings(&mut judge, &mold(3, 1)), ["gap"]);
    assert_eq!(judge.feeds()[0].rejected, 3);
}

#[test]
fn a_wrong_checksum_on_a_known_line_is_counted_there() {
    let mut judge = recognising();
    assert_eq!(verdict(&mut judge, &mold(1, 1)), Verdict::ACCEPTED);
    let mut bytes = frame(&mold(2, 1));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(judge.judge(&packet(&bytes)).verdict, Verdict::UDP_BAD_CHECKSUM);
    assert_eq!(judge.feeds()[0].rejected, 1);
    assert_eq!(judge.feeds()[0].packets, 1);
}

#[test]
fn messages_that_are_not_itch_are_accepted_on_a_plain_moldudp64_feed() {
    let feeds = vec![feed(FeedProtocol::MoldUdp64, None)];
    let mut judge = Judge::new(&JudgeConfig { feeds, recognise: false, max_streams: 8 });
    assert_eq!(findings(&mut judge, &raw(1, b"A short")), ["new-session"]);
    assert_eq!(findings(&mut judge, &raw(2, b"")), [""; 0]);
}

#[test]
fn a_new_session_is_a_new_stream_and_an_old_one_goes_on_where_it_was() {
    let mut judge = configured();
    let other = *b"TAPE000002";
    assert_eq!(findings(&mut judge, &mold(10, 1)), ["new-session"]);
    assert_eq!(findings(&mut judge, &mold_of(other, 1, 1)), ["new-session"]);
    assert_eq!(findings(&mut judge, &mold(11, 1)), [""; 0]);
    assert_eq!(findings(&mut judge, &mold_of(other, 2, 1)), [""; 0]);
    assert_eq!(judge.feeds().len(), 2);
}

#[test]
fn a_restart_under_the_same_session_is_a_new_space() {
    let mut judge = configured();
    findings(&mut judge, &mold(1, 5));
    findings(&mut judge, &mold(6, 5));
    assert_eq!(findings(&mut judge, &mold(1, 5)), ["new-session"]);
    assert_eq!(judge.feeds()[0].sessions, 2);
}

#[test]
fn a_skip_hides_the_gap_that_it_may_have_made_and_no_other() {
    let mut judge = configured();
    findings(&mut judge, &mold(1, 1));
    judge.skip();
    assert_eq!(findings(&mut judge, &mold(9, 1)), [""; 0]);
    assert_eq!(findings(&mut judge, &mold(12, 1)), ["gap"]);
}

#[test]
fn unknown_udp_is_accepted_and_a_heartbeat_alone_recognises_nothing() {
    let mut judge = recognising();
    for payload in
        [&b"dns"[..], &[0; 64], &control(moldudp64::heartbeat, 5), &raw(1, b"z"), &mold_of([0; 10], 1, 1)]
    {
        assert_eq!(findings(&mut judge, payload), [""; 0]);
    }
    assert!(judge.feeds().is_empty());
}

#[test]
fn a_request_and_its_answer_leave_the_stream_alone() {
    let mut judge = recognising();
    findings(&mut judge, &mold(1, 2));
    findings(&mut judge, &mold(5, 2));
    let mut request = Vec::new();
    moldudp64::request(&mut request, SESSION, 3, 2);
    let asked = judge.judge(&packet(&frame_to("10.0.0.9:7000", "10.0.0.1:8000", &request)));
    assert_eq!(asked, Judgement { verdict: Verdict::ACCEPTED, findings: Findings(Findings::REQUEST) });
    let answer = judge.judge(&packet(&frame_to("10.0.0.1:8000", "10.0.0.9:7000", &mold(3, 2))));
    assert_eq!(answer, Judgement { verdict: Verdict::ACCEPTED, findings: Findings::NONE });
    assert_eq!(judge.feeds().len(), 1);
    assert_eq!(judge.feeds()[0].missing_messages, 2, "healed for the client, still missing on the line");
}

#[test]
fn merged_datagrams_are_judged_one_by_one() {
    let mut judge = recognising();
    let bytes = frame(&[mold(1, 3), mold(4, 3), mold(8, 1)].concat());
    let mut merged = packet(&bytes);
    merged.marks = Marks(Marks::GSO);
    merged.gso_size = u16::try_from(mold(1, 3).len()).unwrap();
    let judgement = judge.judge(&merged);
    assert_eq!(judgement.verdict, Verdict::ACCEPTED);
    assert_eq!(judgement.findings.names().collect::<Vec<_>>(), ["gap", "new-session"]);
    assert_eq!(judge.feeds()[0].packets, 3);
}

#[test]
fn a_snapped_packet_advances_its_stream_as_far_as_its_header_says() {
    let mut judge = recognising();
    findings(&mut judge, &mold(1, 3));
    let bytes = frame(&mold(4, 3));
    for keep in [42 + 20, 42 + 50, 42 + 10] {
        let mut snapped = packet(&bytes[..keep]);
        snapped.wire_len = u32::try_from(bytes.len()).unwrap();
        let judgement = judge.judge(&snapped);
        assert_eq!(judgement.verdict, Verdict::ACCEPTED);
        assert!(judgement.findings.has(Findings::SNAPPED));
    }
    assert_eq!(judge.feeds()[0].next_seq, 7);
    assert_eq!(judge.feeds()[0].rejected, 0);
}

#[test]
fn a_named_source_is_the_only_one_and_goes_before_any_source() {
    let mut named = feed(FeedProtocol::MoldUdp64Itch50, Some("10.0.0.1"));
    named.name = "named".to_owned();
    let feeds = vec![feed(FeedProtocol::MoldUdp64, None), named.clone()];
    let mut judge = Judge::new(&JudgeConfig { feeds, recognise: false, max_streams: 8 });
    judge.judge(&packet(&frame_to("10.0.0.1:1", GROUP, &mold(1, 1))));
    judge.judge(&packet(&frame_to("10.0.0.2:1", GROUP, &mold(1, 1))));
    let names: Vec<String> = judge.feeds().into_iter().map(|report| report.name).collect();
    assert_eq!(names, ["named", "alpha"]);
    let mut judge = Judge::new(&JudgeConfig { feeds: vec![named], recognise: false, max_streams: 8 });
    judge.judge(&packet(&frame_to("10.0.0.2:1", GROUP, &mold(1, 1))));
    assert_eq!(
        (judge.feeds().len(), judge.feeds()[0].packets),
        (1, 0),
        "a silent feed is reported as silent"
    );
}

#[test]
fn full_tables_are_counted_and_packets_still_judged() {
    let mut judge = Judge::new(&JudgeConfig { max_streams: 2, ..JudgeConfig::default() });
    for source in 1..=5 {
        let source = format!("10.0.0.{source}:9");
        judge.judge(&packet(&frame_to(&source, GROUP, &mold(1, 1))));
    }
    assert_eq!((judge.feeds().len(), judge.untracked()), (2, 3));
    let mut sessions = Judge::new(&JudgeConfig { max_streams: 1, ..JudgeConfig::default() });
    findings(&mut sessions, &mold(1, 1));
    let mut short = raw(1, b"A");
    short[0] = b'X';
    assert_eq!(verdict(&mut sessions, &short), Verdict::ITCH_SHORT);
    assert_eq!(sessions.untracked(), 1);
}

#[test]
fn reports_are_json_with_whole_numbers() {
    let mut judge = recognising();
    findings(&mut judge, &mold(1, 2));
    let json = serde_json::to_value(judge.feeds()).unwrap();
    assert_eq!(json[0]["messages"], 2);
    assert_eq!(json[0]["dst"], "239.1.2.3");
    assert_eq!(json[0]["name"], GROUP);
}

proptest! {
    #[test]
    fn whatever_stands_on_a_known_line_never_panics_and_replays_alike(
        payloads in proptest::collection::vec((0_u8..4, any::<u64>(), 0_u64..5, proptest::collection::vec(any::<u8>(), 0..60)), 0..30),
    ) {
        let frames: Vec<Vec<u8>> = payloads.iter().map(|(kind, sequence, count, noise)| match kind {
            0 => frame(&mold(sequence % 50, *count)),
            1 => frame(noise),
            2 => frame(&raw(*sequence, noise)),
            _ => {
                let mut bytes = frame(&mold(sequence % 50, *count));
                for (at, byte) in noise.iter().enumerate() {
                    let at = (at * 7 + usize::from(*byte)) % bytes.len();
                    bytes[at] ^= byte;
                }
                bytes
            }
        }).collect();
        let (mut live, mut replay) = (recognising(), recognising());
        for bytes in &frames {
            prop_assert_eq!(live.judge(&packet(bytes)), replay.judge(&packet(bytes)));
        }
        prop_assert_eq!(live.feeds(), replay.feeds());
    }
}

#[test]
fn a_delete_is_recognised_as_well() {
    let mut judge = recognising();
    let mut message = Vec::new();
    OrderDelete::default().encode(&mut message);
    assert_eq!(findings(&mut judge, &raw(7, &message)), ["new-session"]);
}
