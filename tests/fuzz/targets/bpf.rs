//! Any program over any packet: the checks and the interpreter never panic, what passes the
//! checks ends (libFuzzer's time limit sees to it), and its text reads back as the same program.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::filter::{Aux, Insn, Program};

/// The input: a byte with the number of instructions, eight bytes each, then the packet.
fn split(data: &[u8]) -> Option<(Vec<Insn>, &[u8])> {
    let (&count, rest) = data.split_first()?;
    let (program, packet) = rest.split_at_checked(usize::from(count) * 8)?;
    let insn = |b: &[u8; 8]| Insn {
        code: u16::from_le_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
    };
    Some((program.as_chunks().0.iter().map(insn).collect(), packet))
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Program::parse_ddd(text);
    }
    let Some((insns, packet)) = split(data) else { return };
    let Ok(program) = Program::new(insns) else { return };
    let aux = Aux { vlan_tci: Some(5), vlan_tpid: 0x8100, network_offset: 14, ..Aux::default() };
    let _ = program.run(packet, u32::MAX, &aux);
    let _ = (program.disassemble(), program.to_c());
    assert_eq!(Program::parse_ddd(&program.to_ddd()).as_ref(), Ok(&program));
});
