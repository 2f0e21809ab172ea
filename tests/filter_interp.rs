//! The interpreter beside a slow, obvious twin, on random programs; and the checks on random noise.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use wiretape::filter::{Aux, Insn, Program, op, skf};

/// Written after the kernel's documentation, one line an opcode, wide integers, no cleverness.
fn twin(insns: &[Insn], bytes: &[u8], wire_len: u32, aux: &Aux) -> u32 {
    const TWO32: u128 = 1 << 32;
    let (mut a, mut x, mut pc) = (0_u128, 0_u128, 0_u128);
    let mut m = [0_u128; 16];
    let byte = |at: u128| -> Option<u128> {
        let at = if at >= u128::from(skf::NET_OFF) {
            u128::from(aux.network_offset) + at - u128::from(skf::NET_OFF)
        } else if at >= u128::from(skf::LL_OFF) {
            at - u128::from(skf::LL_OFF)
        } else if at >= 1 << 31 {
            return None;
        } else {
            at
        };
        bytes.get(usize::try_from(at).unwrap()).map(|b| u128::from(*b))
    };
    let read = |at: u128, n: u128| -> Option<u128> {
        let mut value = 0;
        for i in 0..n {
            value = value * 256 + byte(at + i)?;
        }
        Some(value)
    };
    loop {
        let Insn { code, jt, jf, k } = insns[usize::try_from(pc).unwrap()];
        let (word, k) = (usize::try_from(k % 16).unwrap(), u128::from(k));
        pc += 1;
        macro_rules! get {
            ($e:expr) => {
                match $e {
                    Some(value) => value,
                    None => return 0,
                }
            };
        }
        let mut branch = |holds: bool| pc += u128::from(if holds { jt } else { jf });
        match code {
            0x20 | 0x28 | 0x30 if k >= u128::from(skf::AD_OFF) => {
                a = match k - u128::from(skf::AD_OFF) {
                    0 => aux.protocol.into(),
                    4 => aux.pkttype.into(),
                    8 => aux.ifindex.into(),
                    20 => aux.mark.into(),
                    24 => aux.queue.into(),
                    28 => aux.hatype.into(),
                    32 => aux.rxhash.into(),
                    36 => aux.cpu.into(),
                    40 => a ^ x,
                    44 => aux.vlan_tci.unwrap_or(0).into(),
                    48 => aux.vlan_tci.is_some().into(),
                    56 => aux.random.into(),
                    60 => aux.vlan_tpid.into(),
                    other => panic!("the checks let ancillary load {other} in"),
                }
            }
            0x20 => a = get!(read(k, 4)),
            0x28 => a = get!(read(k, 2)),
            0x30 => a = get!(read(k, 1)),
            0x40 => a = get!(read((x + k) % TWO32, 4)),
            0x48 => a = get!(read((x + k) % TWO32, 2)),
            0x50 => a = get!(read((x + k) % TWO32, 1)),
            0x80 => a = wire_len.into(),
            0x81 => x = wire_len.into(),
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = m[word],
            0x61 => x = m[word],
            0x02 => m[word] = a,
            0x03 => m[word] = x,
            0xb1 => x = 4 * (get!(read(k, 1)) % 16),
            0x04 => a = (a + k) % TWO32,
            0x0c => a = (a + x) % TWO32,
            0x14 => a = (TWO32 + a - k) % TWO32,
            0x1c => a = (TWO32 + a - x) % TWO32,
            0x24 => a = (a * k) % TWO32,
            0x2c => a = (a * x) % TWO32,
            0x34 => a /= k,
            0x3c => a = get!(a.checked_div(x)),
            0x94 => a %= k,
            0x9c => a = get!(a.checked_rem(x)),
            0x44 => a |= k,
            0x4c => a |= x,
            0x54 => a &= k,
            0x5c => a &= x,
            0xa4 => a ^= k,
            0xac => a ^= x,
            0x64 => a = (a << k) % TWO32,
            0x6c => a = (a << (x % 32)) % TWO32,
            0x74 => a >>= k,
            0x7c => a >>= x % 32,
            0x84 => a = (TWO32 - a) % TWO32,
            0x05 => pc += k,
            0x15 => branch(a == k),
            0x1d => branch(a == x),
            0x25 => branch(a > k),
            0x2d => branch(a > x),
            0x35 => branch(a >= k),
            0x3d => branch(a >= x),
            0x45 => branch(a & k != 0),
            0x4d => branch(a & x != 0),
            0x06 => return u32::try_from(k).unwrap(),
            0x16 => return u32::try_from(a).unwrap(),
            0x07 => x = a,
            0x87 => a = x,
            other => panic!("the checks let opcode {other:#x} in"),
        }
    }
}

const CODES: [u16; 50] = [
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0xb1, 0x04, 0x0c,
    0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x94, 0x9c, 0x44, 0x4c, 0x54, 0x5c, 0xa4, 0xac, 0x64, 0x6c, 0x74,
    0x7c, 0x84, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87, 0x15,
];

/// The supported ancillary loads, in units of four bytes.
const ANCILLARY: [u32; 13] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15];

fn constant() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0_u32..40,
        2 => any::<u32>(),
        1 => (0_u32..40).prop_map(|k| skf::NET_OFF + k),
        1 => (0_u32..40).prop_map(|k| skf::LL_OFF + k),
        1 => (0_u32..16).prop_map(|k| skf::AD_OFF + 4 * k),
        1 => (0_u32..4).prop_map(|k| u32::MAX - k),
    ]
}

/// Random instructions, bent so that most pass the checks.
fn valid_program() -> impl Strategy<Value = Program> {
    let insn = (proptest::sample::select(&CODES[..]), any::<u8>(), any::<u8>(), constant());
    vec(insn, 1..60).prop_map(|raw| {
        // Scratch words are written first, so that every read is of a written one.
        let mut insns: Vec<Insn> = (0..16).map(|word| Insn::new(op::ST, word)).collect();
        let total = raw.len();
        for (at, (code, jt, jf, k)) in raw.into_iter().enumerate() {
            let room = u32::try_from(total - at).unwrap();
            let k = match code {
                0x60 | 0x61 | 0x02 | 0x03 => k % 16,
                0x34 | 0x94 => k.max(1),
                0x64 | 0x74 => k % 32,
                0x05 => k % room,
                0x20 | 0x28 | 0x30 if k >= skf::AD_OFF => {
                    skf::AD_OFF + 4 * ANCILLARY[usize::try_from(k / 4).unwrap() % ANCILLARY.len()]
                }
                _ => k,
            };
            let near = |jump: u8| u8::try_from(u32::from(jump) % room.min(4)).unwrap();
            insns.push(Insn::jump(code, k, near(jt), near(jf)));
        }
        insns.push(Insn::new(op::RET_A, 0));
        Program::new(insns).unwrap()
    })
}

fn aux() -> impl Strategy<Value = Aux> {
    (any::<Option<u16>>(), any::<[u16; 3]>(), any::<u8>(), any::<[u32; 6]>(), 0_u32..30).prop_map(
        |(
            vlan_tci,
            [vlan_tpid, protocol, hatype],
            pkttype,
            [ifindex, mark, queue, rxhash, cpu, random],
            offset,
        )| Aux {
            vlan_tci,
            vlan_tpid,
            protocol,
            pkttype,
            ifindex,
            hatype,
            mark,
            queue,
            rxhash,
            cpu,
            random,
            network_offset: offset,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_interpreter_agrees_with_its_slow_twin(
        program in valid_program(),
        bytes in vec(any::<u8>(), 0..80),
        wire_len in any::<u32>(),
        aux in aux(),
    ) {
        let expected = twin(program.insns(), &bytes, wire_len, &aux);
        prop_assert_eq!(program.run(&bytes, wire_len, &aux), expected, "{}", program.disassemble());
    }

    #[test]
    fn what_passes_the_checks_runs_and_survives_its_text(
        raw in vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..20),
        known in vec((proptest::sample::select(&CODES[..]), 0_u8..4, 0_u8..4, constant()), 0..20),
        bytes in vec(any::<u8>(), 0..80),
    ) {
        for raw in [raw, known] {
            let Ok(program) = Program::try_from(raw) else { continue };
            let _ = program.run(&bytes, 60, &Aux::default());
            prop_assert_eq!(Program::parse_ddd(&program.to_ddd()).unwrap(), program);
        }
    }

    #[test]
    fn no_text_panics(text in "[0-9 \n\u{e9}-]{0,80}") {
        let _ = Program::parse_ddd(&text);
    }
}
