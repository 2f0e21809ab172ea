//! Live is later, over capture files.

use super::made::*;
use dbn::decode::{DbnDecoder, DbnMetadata as _, DecodeRecordRef as _};
use proptest::prelude::*;
use wiretape::events::tape::{Capture, State};
use wiretape::tape::events::EventsOptions;
use wiretape::tape::outcome::Outcome;

fn fate() -> impl Strategy<Value = Fate> {
    let lost = (prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    (lost, (0_u16..120, 20_u16..200))
        .prop_map(|((a, b), late)| Fate { lost: [a, b], late_us: [late.0, late.1] })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn live_is_what_decode_makes(seed in any::<u64>(), fates in prop::collection::vec(fate(), 0..600)) {
        let dir = tempfile::tempdir().unwrap();
        let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
        pcap(&file, &datagrams(seed, 700), &fates);
        let report = capture(from_file(&file), &journal, 1);
        let events = report.events.unwrap();
        prop_assert_eq!(events.state, "sealed");
        prop_assert_eq!(events.packets, report.packets.on_tape);
        prop_assert!(events.feeds[0].records.get("mbo").is_some_and(|n| *n > 100), "{:?}", events);
        is_same(&journal);
    }
}

#[test]
fn made_later_to_another_place_or_put_back_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal, to) = (dir.path().join("f.pcap"), dir.path().join("j"), dir.path().join("e"));
    pcap(&file, &datagrams(3, 500), &[]);
    capture(from_file(&file), &journal, 1);
    let tape = event_tapes(&journal).remove(0);
    let live = files(&tape);
    let (outcome, said) =
        decode(&journal, &EventsOptions { to: Some(to.clone()), ..EventsOptions::default() });
    assert!(outcome == Outcome::Good && said.contains("written: "), "{said}");
    assert_eq!(files(&to.join(tape.file_name().unwrap())), live);
    std::fs::remove_dir_all(&tape).unwrap();
    let (outcome, said) = decode(&journal, &EventsOptions::default());
    assert!(outcome == Outcome::Good && said.contains("--rebuild makes it"), "{said}");
    let rebuild = EventsOptions { rebuild: true, ..EventsOptions::default() };
    assert!(decode(&journal, &rebuild).1.contains("rebuilt: "));
    assert_eq!(files(&tape), live);
    is_same(&journal);
    // A second capture on the same journal has an event tape of its own.
    capture(from_file(&file), &journal, 1);
    assert_eq!(event_tapes(&journal).len(), 2);
    assert_eq!(is_same(&journal).lines().count(), 2);
}

#[test]
fn a_changed_record_is_shown_as_it_is_and_as_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(4, 200), &[]);
    capture(from_file(&file), &journal, 1);
    let path = event_tapes(&journal)[0].join("itch/mbo-000000.dbn");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - std::mem::size_of::<dbn::MboMsg>() + 28;
    bytes[at] ^= 4;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let (outcome, said) = decode(&journal, &EventsOptions { all: true, ..EventsOptions::default() });
    assert_eq!(outcome, Outcome::Bad);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("itch/mbo-000000.dbn record "), "{said}");
    assert!(lines[1].contains("on tape {") && lines[2].contains("now     {"), "{said}");
    assert_ne!(lines[1].split_once('{').unwrap().1, lines[2].split_once('{').unwrap().1);
    assert!(lines[3].contains("1 differences in "), "{said}");
    let json = EventsOptions { json: true, ..EventsOptions::default() };
    let (outcome, said) = decode(&journal, &json);
    assert_eq!(outcome, Outcome::Bad);
    let first: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert!(first["event_difference"]["now"]["hd"]["rtype"].is_number(), "{said}");
}

#[test]
fn another_decoder_version_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(5, 50), &[]);
    capture(from_file(&file), &journal, 1);
    let path = event_tapes(&journal)[0].join("events.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("decoder_version = ", "decoder_version = 90")).unwrap();
    let tape = wiretape::journal::reader::Tape::open(&journal).unwrap();
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let options = EventsOptions::default();
    let outcome = wiretape::tape::events::run(&tape, &options, &mut out, &mut remarks, &mut |_| ()).unwrap();
    assert_eq!(outcome, Outcome::Good, "the events themselves are the same");
    let remarks = String::from_utf8(remarks).unwrap();
    assert!(remarks.contains("feed itch: on tape by decoder moldudp64-itch50 version 90"), "{remarks}");
}

#[test]
fn the_dbn_crate_reads_every_file_and_knows_the_symbols() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(6, 400), &[]);
    let report = capture(from_file(&file), &journal, 1);
    let tape = event_tapes(&journal).remove(0);
    assert_eq!(Capture::read(&tape).unwrap().unwrap().state, State::Sealed);
    let records = &report.events.unwrap().feeds[0].records;
    assert!(records.len() > 1, "{records:?}");
    for (schema, expected) in records {
        let mut decoder = DbnDecoder::from_file(tape.join(format!("itch/{schema}-000000.dbn"))).unwrap();
        let metadata = decoder.metadata().clone();
        assert_eq!(metadata.schema.unwrap().as_str(), *schema);
        assert_eq!((metadata.version, metadata.start), (3, START_NS));
        assert!(!metadata.symbols.is_empty());
        let symbols = metadata.symbol_map_for_date(metadata.start().date()).unwrap();
        let (mut found, mut named) = (0, 0);
        while let Some(record) = decoder.decode_record_ref().unwrap() {
            found += 1;
            assert_eq!(record.header().publisher_id, 2);
            named += u64::from(symbols.get(record.header().instrument_id).is_some());
        }
        assert_eq!((found, named), (*expected, *expected), "{schema}");
    }
}

/// Five million packets, both lines; `WIRETAPE_LONG=1`.
#[test]
fn five_million_packets_live_are_what_decode_makes() {
    if std::env::var_os("WIRETAPE_LONG").is_none() {
        eprintln!("skipped: set WIRETAPE_LONG=1 for five million packets");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    let fates: Vec<Fate> = (0..2_500_000_u32)
        .map(|n| Fate { lost: [n % 97 == 0, n % 89 == 0], late_us: [u16::from(n % 13 == 0) * 90, 40] })
        .collect();
    pcap(&file, &datagrams(7, 2_600_000), &fates);
    let report = capture(from_file(&file), &journal, 1);
    assert!(report.packets.on_tape >= 5_000_000, "{}", report.packets.on_tape);
    assert_eq!(report.events.unwrap().packets, report.packets.on_tape);
    is_same(&journal);
}
