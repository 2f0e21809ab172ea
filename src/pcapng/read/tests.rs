//! The reader's arithmetic and bounds; whole files are in `tests/file_source.rs`.

use super::*;
use proptest::prelude::*;

#[test]
fn ticks_of_either_base_become_exact_nanoseconds() {
    for (tsresol, offset_s, ticks, ns) in [
        (6, 0, 1_340_954_905_298_858, 1_340_954_905_298_858_000),
        (9, 0, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (0, 0, 3, 3_000_000_000),
        (12, 0, 1_999, 1),
        (3, 5, 1, 5_001_000_000),
        (6, -1, 2_500_000, 1_500_000_000),
        (0x80 | 0x0a, 0, 1, 976_562),
        (0x80 | 0x20, 0, 3 << 31, 1_500_000_000),
        (0x80, 0, 7, 7_000_000_000),
        (127, 0, u64::MAX, 0),
        (0xff, 0, u64::MAX, 0),
    ] {
        let stamp = TickUnit { tsresol, offset_s }.to_ns(ticks);
        assert_eq!(stamp, NsStamp { ns, out_of_range: false }, "{tsresol} {offset_s} {ticks}");
    }
    let late = TickUnit { tsresol: 0, offset_s: i64::MAX }.to_ns(u64::MAX);
    assert_eq!(late, NsStamp { ns: u64::MAX, out_of_range: true });
    let early = TickUnit { tsresol: 6, offset_s: i64::MIN }.to_ns(0);
    assert_eq!(early, NsStamp { ns: 0, out_of_range: true });
}

#[test]
fn an_option_that_runs_past_its_block_is_damage_at_the_option() {
    let bytes = [1, 0, 2, 0, b'h', b'i', 0, 0, 2, 0, 5, 0, 1, 2, 3, 4];
    let mut options = Options::new(&bytes, ByteOrder::Little, 100);
    assert_eq!(options.next().unwrap().unwrap().text(), "hi");
    let damage = options.next().unwrap().unwrap_err();
    assert_eq!(damage, Damage { offset: 108, kind: DamageKind::OptionTooLong { code: 2, length: 5 } });
    assert!(options.next().is_none());
}

#[test]
fn times_in_halves_read_the_same_in_both_orders() {
    let (high, low) = (0x0102_0304_u32, 0x0506_0708_u32);
    let little = [high.to_le_bytes(), low.to_le_bytes()].concat();
    let big = [high.to_be_bytes(), low.to_be_bytes()].concat();
    for (order, value) in [(ByteOrder::Little, &little), (ByteOrder::Big, &big)] {
        let option = OptionView { code: 2, value, offset: 0, order };
        assert_eq!(option.high_low(), Ok(0x0102_0304_0506_0708));
    }
}

#[test]
fn lengths_that_cannot_be_are_named_with_their_block() {
    let mut file = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
    file.extend([0xff; 8]);
    file.extend([28, 0, 0, 0]);
    file.extend([6, 0, 0, 0, 13, 0, 0, 0]);
    let mut blocks = Blocks::new(&file);
    assert!(blocks.next().unwrap().is_ok());
    let damage = blocks.next().unwrap().unwrap_err();
    assert_eq!(damage.kind, DamageKind::BadBlockLength { block_type: 6, length: 13 });
    assert_eq!((damage.offset, blocks.offset()), (28, 28));
    assert!(blocks.next().is_none());
    file[24] = 24;
    let damage = Blocks::new(&file).next().unwrap().unwrap_err();
    assert_eq!(damage.kind, DamageKind::LengthsDiffer { leading: 28, trailing: 24 });
}

/// `ticks` of a unit as whole seconds and a rest: another way to the same number.
fn ns_by_parts(tsresol: u8, ticks: u64) -> u128 {
    let exponent = u32::from(tsresol & 0x7f);
    let a_second = if tsresol & 0x80 == 0 { 10_u128.pow(exponent) } else { 1_u128 << exponent };
    let (seconds, rest) = (u128::from(ticks) / a_second, u128::from(ticks) % a_second);
    seconds * 1_000_000_000 + rest * 1_000_000_000 / a_second
}

proptest! {
    #[test]
    fn ticks_agree_with_an_obvious_twin(ticks in any::<u64>(), exponent in 0_u8..28, binary in any::<bool>()) {
        let tsresol = if binary { exponent | 0x80 } else { exponent };
        let stamp = TickUnit { tsresol, offset_s: 0 }.to_ns(ticks);
        let expected = ns_by_parts(tsresol, ticks);
        prop_assert_eq!(u128::from(stamp.ns), expected.min(u128::from(u64::MAX)));
        prop_assert_eq!(stamp.out_of_range, expected > u128::from(u64::MAX));
    }

    #[test]
    fn arbitrary_blocks_never_panic(
        kind in prop_oneof![0_u32..7, Just(0x0a0d_0d0a_u32), any::<u32>()],
        big in any::<bool>(),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let block = Block { block_type: kind, offset: 0, order, body: &body };
        match block.view() {
            Ok(View::Interface(interface)) => {
                let _ = (interface.to_def(), interface.tick_unit(), interface.fcs_bytes());
            }
            Ok(View::Enhanced(packet)) => drop(packet.flags_and_drops()),
            Ok(View::Obsolete(packet)) => drop(packet.flags()),
            Ok(View::Simple(packet)) => drop(packet.bytes(0)),
            Ok(View::Statistics(statistics)) => {
                let _ = (statistics.counter(5), statistics.time_ticks(2));
            }
            Ok(View::Section(section)) => prop_assert!(section.options.count() <= body.len()),
            Ok(View::Names(_) | View::Other(_)) | Err(_) => {}
        }
    }
}
