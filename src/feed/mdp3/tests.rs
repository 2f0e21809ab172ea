//! The table against itself and against the lengths that were published.
use super::encode::{Encoder, Growth, packet};
use super::layout::{Kind as FieldKind, Template};
use super::sbe::{Decimal, Message};
use super::templates::{NEWEST, OLDEST, TEMPLATES, lookup, of_version};
use super::*;
use proptest::prelude::*;

#[test]
fn ids_rise_and_each_is_found() {
    assert!(TEMPLATES.windows(2).all(|pair| pair[0].id < pair[1].id));
    for id in 0..=u16::MAX {
        let found = lookup(id).map(|(_, template)| template);
        assert_eq!(found, TEMPLATES.iter().find(|template| template.id == id), "{id}");
    }
}

/// Which templates the published lists of each version name.
#[test]
fn each_version_has_the_templates_that_were_published_for_it() {
    let base = [4, 12, 15, 16, 27, 29, 30, 32, 33, 34, 35, 36, 37, 38, 39, 41, 42];
    let of = |version| of_version(version).map(|template| template.id).collect::<Vec<_>>();
    assert_eq!(of(5), base);
    assert_eq!(of(6), base);
    let with_orders: Vec<u16> = base.into_iter().chain([43, 44]).collect();
    assert_eq!(of(7), with_orders);
    assert_eq!(of(8), with_orders);
    let nine: Vec<u16> = with_orders.into_iter().filter(|id| *id != 36).chain(46..=56).collect();
    assert_eq!(of(9), nine);
    let kept = [4, 12, 15, 16, 30, 37, 39];
    let from_46_to = |last: u16| kept.into_iter().chain(46..=last).collect::<Vec<_>>();
    assert_eq!(of(10), from_46_to(61));
    assert_eq!(of(11), from_46_to(62));
    assert_eq!(of(12), from_46_to(69));
    assert_eq!(of(13), from_46_to(69));
}

/// Template, version, root length, lengths of the groups' entries: as published for the version.
type Lengths = (u16, u16, u16, &'static [u16]);
const PUBLISHED: [Lengths; 44] = [
    (4, 5, 9, &[2]),
    (12, 13, 0, &[]),
    (15, 9, 1, &[]),
    (16, 9, 180, &[]),
    (27, 5, 214, &[9, 4, 4, 5]),
    (27, 9, 216, &[9, 4, 4, 5]),
    (29, 5, 193, &[9, 4, 4, 5, 18]),
    (29, 9, 195, &[9, 4, 4, 5, 18]),
    (30, 8, 30, &[]),
    (32, 5, 11, &[32]),
    (32, 8, 11, &[32, 24]),
    (33, 9, 11, &[32]),
    (34, 9, 11, &[32]),
    (35, 5, 11, &[24]),
    (36, 5, 11, &[32]),
    (37, 13, 11, &[16]),
    (38, 9, 59, &[22]),
    (39, 13, 35, &[32]),
    (41, 5, 211, &[9, 4, 4, 5, 24]),
    (41, 9, 213, &[9, 4, 4, 5, 24, 24]),
    (42, 9, 11, &[32, 16]),
    (43, 9, 11, &[40]),
    (44, 9, 28, &[29]),
    (46, 13, 11, &[32, 24]),
    (47, 13, 11, &[40]),
    (48, 13, 11, &[32, 16]),
    (51, 13, 11, &[24]),
    (52, 13, 59, &[22]),
    (53, 9, 28, &[29]),
    (54, 9, 216, &[9, 4, 4, 5]),
    (54, 13, 224, &[9, 4, 4, 5]),
    (55, 13, 221, &[9, 4, 4, 5, 24, 24]),
    (56, 10, 255, &[9, 4, 4, 5, 18]),
    (57, 10, 338, &[9, 4, 4, 5]),
    (58, 10, 255, &[9, 4, 4, 5, 108, 32]),
    (58, 12, 275, &[9, 4, 4, 5, 118, 32]),
    (58, 13, 276, &[9, 4, 4, 5, 118, 32, 16]),
    (60, 10, 30, &[10]),
    (61, 10, 37, &[26]),
    (62, 11, 11, &[40]),
    (63, 12, 309, &[9, 4, 4, 5, 18]),
    (63, 13, 337, &[9, 4, 4, 5, 18]),
    (65, 12, 11, &[40, 16]),
    (69, 13, 59, &[23]),
];

#[test]
fn blocks_have_the_published_lengths() {
    for (id, version, root, entries) in PUBLISHED {
        let (_, template) = lookup(id).unwrap();
        assert!(template.is_in(version), "{id} v{version}");
        assert_eq!(template.root.length(version), root, "{id} v{version}");
        let lengths: Vec<u16> =
            template.groups_in(version).map(|(_, group)| group.entry.length(version)).collect();
        assert_eq!(lengths, entries, "{id} v{version}");
    }
}

/// Offsets that the exchange's own file of version 9 or 13 states.
#[test]
fn fields_stand_where_the_schema_says() {
    for (id, name, offset) in [
        (27, "SecurityID", 55),
        (27, "UnitOfMeasureQty", 140),
        (27, "TradingReferenceDate", 214),
        (29, "TickRule", 119),
        (29, "SubFraction", 192),
        (30, "SecurityTradingEvent", 29),
        (38, "HighLimitPrice", 35),
        (41, "StrikePrice", 80),
        (41, "UserDefinedInstrument", 210),
        (54, "MinPriceIncrementAmount", 205),
        (54, "InstrumentGUID", 216),
        (55, "LowLimitPrice", 194),
        (56, "PriceRatio", 111),
        (56, "TradingReferenceDate", 193),
    ] {
        let (_, template) = lookup(id).unwrap();
        assert_eq!(template.root.field(name).map(|field| field.offset), Some(offset), "{id} {name}");
    }
    for (id, name, offset) in [
        (46, "TradeableSize", 27),
        (48, "MDTradeEntryID", 26),
        (51, "MDEntrySize", 19),
        (52, "MDEntryType", 21),
    ] {
        let (_, template) = lookup(id).unwrap();
        assert_eq!(
            template.groups[0].entry.field(name).map(|field| field.offset),
            Some(offset),
            "{id} {name}"
        );
    }
}

#[test]
fn every_name_is_found_once_in_its_block() {
    for template in &TEMPLATES {
        for block in std::iter::once(&template.root).chain(template.groups.iter().map(|group| &group.entry)) {
            for field in block.fields {
                assert_eq!(block.field(field.name), Some(field), "{} {}", template.id, field.name);
            }
            assert!(block.fields.windows(2).all(|pair| pair[0].since <= pair[1].since), "{}", template.id);
        }
    }
}

fn every() -> Vec<(&'static Template, u16)> {
    (OLDEST..=NEWEST)
        .flat_map(|version| of_version(version).map(move |template| (template, version)))
        .collect()
}

fn any_template() -> impl Strategy<Value = (&'static Template, u16)> {
    proptest::sample::select(every())
}

/// Numbers for fields, in the order in which they are asked for.
struct Bits(u64);
impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
}

fn fill(encoder: &mut Encoder<'_>, fields: &'static [layout::Field], version: u16, bits: &mut Bits) {
    for field in fields {
        let bits = bits.next();
        let set = match field.ty.kind {
            FieldKind::Text => encoder.set_text(field.name, &[b'a' + (bits % 26) as u8; 4]),
            _ => encoder.set(field.name, bits),
        };
        assert_eq!(set, field.since <= version, "{}", field.name);
    }
}

fn written(template: &'static Template, version: u16, counts: &[u8], growth: Growth, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut bits = Bits(seed);
    let mut encoder = Encoder::begin_grown(&mut bytes, template, version, growth);
    fill(&mut encoder, template.root.fields, version, &mut bits);
    for ((_, group), count) in template.groups_in(version).zip(counts) {
        for _ in 0..*count {
            assert!(encoder.entry(group.name));
            fill(&mut encoder, group.entry.fields, version, &mut bits);
        }
    }
    assert_eq!(encoder.finish(), bytes.len());
    bytes
}

fn same(record: sbe::Record<'_>, fields: &'static [layout::Field], version: u16, bits: &mut Bits) {
    for field in fields {
        let bits = bits.next();
        if field.since > version {
            assert_eq!(record.bytes(field), None, "{}", field.name);
            continue;
        }
        let width = usize::from(field.ty.bytes);
        if field.ty.kind == FieldKind::Text {
            assert_eq!(record.text(field), &[b'a' + (bits % 26) as u8; 4][..width.min(4)], "{}", field.name);
            continue;
        }
        let low = if width == 8 { bits } else { bits & ((1 << (8 * width)) - 1) };
        let expected = Some(low).filter(|low| field.ty.null != Some(*low));
        assert_eq!(record.bits(field), expected, "{}", field.name);
        if field.ty.kind == FieldKind::Signed {
            let shift = 64 - 8 * width;
            assert_eq!(
                record.int(field),
                expected.map(|low| (low << shift).cast_signed() >> shift),
                "{}",
                field.name
            );
        }
    }
}

fn reads_back(bytes: &[u8], template: &'static Template, version: u16, counts: &[u8], seed: u64) {
    let message = Message::parse(bytes).unwrap().unwrap();
    assert_eq!((message.template, message.header.version), (template, version));
    let mut bits = Bits(seed);
    same(message.root(), template.root.fields, message.version(), &mut bits);
    let groups: Vec<_> = message.groups().collect();
    assert_eq!(groups.len(), template.groups_in(version).count());
    for (entries, count) in groups.into_iter().zip(counts) {
        assert_eq!((entries.count, entries.clone()), (*count, message.entries(entries.place)));
        let all = entries.clone();
        for (at, entry) in entries.enumerate() {
            assert_eq!(all.get(at), Some(entry));
            same(entry, all.group.entry.fields, message.version(), &mut bits);
        }
        assert_eq!(all.get(usize::from(*count)), None);
    }
}

#[test]
fn every_template_of_every_version_reads_back_as_it_was_written() {
    for (template, version) in every() {
        for counts in [[0; 7], [1; 7], [3, 1, 2, 4, 1, 2, 3]] {
            let bytes = written(template, version, &counts, Growth::default(), u64::from(template.id));
            reads_back(&bytes, template, version, &counts, u64::from(template.id));
            let message = Message::parse(&bytes).unwrap().unwrap();
            assert!(message.fits_exactly(), "{} v{version}", template.id);
            let blk = template.root.length(version);
            assert_eq!(Mdp3.message_name(&bytes), format!("tpl{} schema1 v{version} blk{blk}", template.id));
        }
    }
}

#[test]
fn a_price_is_made_nano_by_its_own_exponent_and_null_is_none() {
    for (id, factor) in [(32, 100), (46, 1)] {
        let (_, template) = lookup(id).unwrap();
        let px = template.groups[0].entry.field("MDEntryPx").unwrap();
        for (mantissa, expected) in [
            (-5, Decimal::Nano(-5 * factor)),
            (0, Decimal::Nano(0)),
            (i64::MAX, Decimal::Null),
            (i64::MAX - 1, if factor == 1 { Decimal::Nano(i64::MAX - 1) } else { Decimal::TooWide }),
            (i64::MIN, if factor == 1 { Decimal::Nano(i64::MIN) } else { Decimal::TooWide }),
        ] {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::begin(&mut bytes, template, 9);
            encoder.entry("NoMDEntries");
            encoder.set("MDEntryPx", mantissa.cast_unsigned());
            encoder.finish();
            let message = Message::parse(&bytes).unwrap().unwrap();
            assert_eq!(message.entries(0).next().unwrap().nano(px), expected, "{id} {mantissa}");
        }
    }
}

#[test]
fn what_a_version_does_not_have_is_not_read_out_of_padding() {
    let (_, book) = lookup(46).unwrap();
    let tradeable = book.groups[0].entry.field("TradeableSize").unwrap();
    for (version, expected) in [(9, None), (10, Some(7))] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(&mut bytes, book, version);
        encoder.entry("NoMDEntries");
        assert_eq!(encoder.set("TradeableSize", 7), version == 10);
        encoder.finish();
        let message = Message::parse(&bytes).unwrap().unwrap();
        assert_eq!(message.entries(0).next().unwrap().int(tradeable), expected);
    }
}

fn message_of(id: u16, version: u16) -> Vec<u8> {
    written(lookup(id).unwrap().1, version, &[2, 2], Growth::default(), 1)
}

#[test]
fn each_fault_has_its_verdict() {
    let sound = message_of(32, 8);
    assert_eq!(Mdp3.check(&sound), Ok(MessageKind::Known));
    let with = |at: usize, value: u16| {
        let mut bytes = sound.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        Mdp3.check(&bytes)
    };
    assert_eq!(with(0, 9), Err(Verdict::CME_BAD_LENGTH));
    assert_eq!(with(2, 8), Err(Verdict::CME_SHORT), "the indicator is at 8");
    assert_eq!(with(2, 60_000), Err(Verdict::CME_BAD_BLOCK));
    assert_eq!(with(4, 999), Ok(MessageKind::Unknown));
    assert_eq!(with(4, 46), Ok(MessageKind::Unknown), "not in version 8");
    assert_eq!(with(6, 2), Err(Verdict::CME_BAD_SCHEMA));
    assert_eq!(with(8, 4), Ok(MessageKind::Unknown), "older than what is described");
    assert_eq!(with(21, 20), Err(Verdict::CME_SHORT), "entries too short");
    assert_eq!(with(21, 60_000), Err(Verdict::CME_BAD_BLOCK));
    assert_eq!(with(23, 0x00ff), Err(Verdict::CME_BAD_BLOCK), "a lying count");
    assert_eq!(Mdp3.check(&[]), Err(Verdict::CME_BAD_LENGTH));
}

#[test]
fn a_heartbeat_uses_a_number_and_a_packet_may_carry_many_messages() {
    let mut bytes = Vec::new();
    packet(&mut bytes, u32::MAX, 7);
    Encoder::begin(&mut bytes, lookup(12).unwrap().1, 9).finish();
    let frame = Mdp3.frame(&bytes, bytes.len()).unwrap();
    let Header { kind, first, units, messages, sent_ns, .. } = frame.header;
    assert_eq!(
        (kind, first, units, messages, sent_ns),
        (Kind::Heartbeat, u64::from(u32::MAX), 1, 1, Some(7))
    );
    bytes.extend(message_of(32, 8));
    let frame = Mdp3.frame(&bytes, bytes.len()).unwrap();
    assert_eq!((frame.header.kind, frame.header.messages, frame.messages().count()), (Kind::Data, 2, 2));
    assert_eq!(Mdp3.frame(&bytes[..11], 11), Err(Verdict::CME_TRUNCATED));
    assert_eq!(Mdp3.frame(&bytes[..bytes.len() - 1], bytes.len() - 1), Err(Verdict::CME_BAD_LENGTH));
    let snapped = Mdp3.frame(&bytes[..bytes.len() - 1], bytes.len()).unwrap();
    assert_eq!(snapped.messages().count(), 1);
}

#[test]
fn only_exact_messages_at_a_plausible_time_are_recognised() {
    let at = |ns: u64, message: &[u8]| {
        let mut bytes = Vec::new();
        packet(&mut bytes, 5, ns);
        bytes.extend_from_slice(message);
        Mdp3.recognises(&bytes, bytes.len(), 1)
    };
    let (now, sound) = (1_700_000_000_000_000_000, message_of(46, 13));
    assert!(at(now, &sound));
    assert!(!at(0, &sound) && !at(u64::MAX, &sound), "no such time");
    assert!(!at(now, &[]), "nothing to go by");
    let (_, book) = lookup(46).unwrap();
    assert!(!at(now, &written(book, 13, &[2, 2], Growth { root: 1, entry: 0 }, 1)), "grown");
    assert!(!at(now, &[sound, vec![0; 3]].concat()), "something behind");
}

proptest! {
    #[test]
    fn longer_blocks_than_known_are_read_as_far_as_they_are_known(
        (template, version) in any_template(), counts in proptest::array::uniform7(0_u8..4),
        root in 0_u16..40, entry in 0_u16..40, behind in 0_usize..20, seed: u64,
    ) {
        let mut bytes = written(template, version, &counts, Growth { root, entry }, seed);
        reads_back(&bytes, template, version, &counts, seed);
        // A group that a later version adds.
        bytes.resize(bytes.len() + behind, 0xee);
        let size = u16::try_from(bytes.len()).unwrap();
        bytes[..2].copy_from_slice(&size.to_le_bytes());
        reads_back(&bytes, template, version, &counts, seed);
        // A version that is not known yet.
        if template.until == u16::MAX && version == NEWEST {
            bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
            let message = Message::parse(&bytes).unwrap().unwrap();
            prop_assert_eq!(message.version(), NEWEST);
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_refused(
        (template, version) in any_template(), counts in proptest::array::uniform7(0_u8..4), cut: prop::sample::Index, seed: u64,
    ) {
        let mut bytes = written(template, version, &counts, Growth::default(), seed);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert_eq!(Mdp3.check(&bytes), Err(Verdict::CME_BAD_LENGTH));
        // A size that admits the cut.
        let length = u16::try_from(bytes.len()).unwrap();
        if let Some(size) = bytes.first_chunk_mut::<2>() {
            *size = length.to_le_bytes();
            prop_assert!(Mdp3.check(&bytes).is_err());
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), (template, version) in any_template()) {
        let _ = Mdp3.check(&bytes);
        let _ = Mdp3.recognises(&bytes, bytes.len(), 0);
        if bytes.len() >= 10 {
            let size = u16::try_from(bytes.len()).unwrap();
            for (at, word) in [(0, size), (2, template.root.length(version)), (4, template.id), (6, 1), (8, version)] {
                bytes[at..at + 2].copy_from_slice(&word.to_le_bytes());
            }
            if let Ok(Some(message)) = Message::parse(&bytes) {
                for entries in message.groups() {
                    let expected = usize::from(message.entries(entries.place).count);
                    prop_assert_eq!(entries.count(), expected);
                }
            }
        }
    }
}
