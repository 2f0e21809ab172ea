//! Any text as `tcpdump -ddd` output: an error or a checked program, whose text in turn reads back as the same program.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::filter::{Aux, Program};

fuzz_target!(|text: &str| {
    let Ok(program) = Program::parse_ddd(text) else { return };
    let written = program.to_ddd();
    assert_eq!(Program::parse_ddd(&written).as_ref(), Ok(&program));
    assert_eq!(written.lines().count(), program.insns().len() + 1);
    assert_eq!(program.disassemble().lines().count(), program.insns().len());
    assert!(program.to_c().lines().count() >= program.insns().len());
    let aux = Aux { vlan_tci: Some(5), vlan_tpid: 0x8100, network_offset: 14, ..Aux::default() };
    // The text is as good a packet as any.
    let first = program.run(text.as_bytes(), u32::MAX, &aux);
    assert_eq!(first, program.run(text.as_bytes(), u32::MAX, &aux));
});
