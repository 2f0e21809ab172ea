//! Our interpreter and texts beside libpcap and tcpdump, over real captures.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod filter_common;

use filter_common::{EXPRESSIONS, captures, ethernet_files, has_tcpdump, is_root, missing};
use std::process::Command;
use wiretape::filter::{Aux, Program};
use wiretape::sys::libpcap::Libpcap;

const ETHERNET: u16 = 1;

fn libpcap() -> Option<Libpcap> {
    Libpcap::load().inspect_err(|error| missing(&format!("libpcap: {error}"))).ok()
}

fn compiled(libpcap: &Libpcap, expression: &str) -> Program {
    let raw = libpcap.compile_dead(ETHERNET, 0, expression).unwrap();
    Program::try_from(raw).unwrap_or_else(|error| panic!("{expression:?}: {error}"))
}

fn tcpdump(args: &[&str]) -> String {
    let out = Command::new("tcpdump").args(args).output().unwrap();
    assert!(out.status.success(), "tcpdump {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn our_interpreter_agrees_with_libpcaps_on_every_packet() {
    let (Some(libpcap), Some(dir)) = (libpcap(), captures()) else { return };
    let files = ethernet_files(&dir);
    assert!(files.iter().map(|(_, packets)| packets.len()).sum::<usize>() > 5000);
    let mut kept = 0;
    for expression in EXPRESSIONS {
        let reference = libpcap.reference(ETHERNET, 0, expression).unwrap();
        // protochain loops, which the kernel refuses; so do we.
        let program = match Program::try_from(reference.to_raw()) {
            Ok(program) => program,
            Err(error) => {
                assert!(expression.contains("protochain"), "{expression:?}: {error}");
                continue;
            }
        };
        for (path, packets) in &files {
            for (i, packet) in packets.iter().enumerate() {
                let ours = program.run(&packet.bytes, packet.wire_len, &Aux::default());
                let theirs = reference.run(&packet.bytes, packet.wire_len);
                assert_eq!(ours, theirs, "{expression:?} on packet {i} of {}", path.display());
                kept += usize::from(ours != 0);
            }
        }
    }
    assert!(kept > 20_000, "the expressions must match something: {kept}");
}

#[test]
fn the_count_of_kept_packets_is_that_of_tcpdump() {
    let (Some(libpcap), Some(dir)) = (libpcap(), captures()) else { return };
    if !has_tcpdump() {
        return;
    }
    let files = ethernet_files(&dir);
    let sample = files.iter().filter(|(_, packets)| packets.len() > 5).step_by(9);
    let mut compared = 0;
    for ((path, packets), expression) in sample.zip(EXPRESSIONS.into_iter().cycle().skip(5).step_by(3)) {
        if expression.contains("protochain") {
            continue;
        }
        let program = compiled(&libpcap, expression);
        let aux = Aux::default();
        let ours = packets.iter().filter(|p| program.run(&p.bytes, p.wire_len, &aux) != 0).count();
        let out = tcpdump(&["-r", path.to_str().unwrap(), "-n", "--count", expression]);
        let theirs: usize = out.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(ours, theirs, "{expression:?} on {}", path.display());
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
}

/// libpcap's own interpreter gives 0 for shifts by 32 and more, the kernel masks the distance; what a
/// live capture keeps is the kernel's word, so ours follows the kernel.
#[test]
fn a_shift_by_more_than_31_follows_the_kernel_not_libpcap() {
    let Some(libpcap) = libpcap() else { return };
    let reference = libpcap.reference(ETHERNET, 0, "1 << ether[0] = 2").unwrap();
    let program = Program::try_from(reference.to_raw()).unwrap();
    for (distance, ours, theirs) in [(1, true, true), (2, false, false), (33, true, false)] {
        let bytes = [distance; 14];
        assert_eq!(program.run(&bytes, 14, &Aux::default()) != 0, ours, "{distance}");
        assert_eq!(reference.run(&bytes, 14) != 0, theirs, "{distance}");
    }
}

/// tcpdump reads an Ethernet file here, so it compiles on a dead handle too.
#[test]
fn texts_are_those_of_tcpdump() {
    let (Some(libpcap), Some(dir)) = (libpcap(), captures()) else { return };
    if !has_tcpdump() {
        return;
    }
    let files = ethernet_files(&dir);
    let file = &files[0].0;
    let header = std::fs::read(file).unwrap();
    let snaplen = u32::from_le_bytes(*header[16..].first_chunk().unwrap());
    let file = file.to_str().unwrap();
    for expression in EXPRESSIONS {
        if expression.contains("protochain") {
            continue;
        }
        let program =
            Program::try_from(libpcap.compile_dead(ETHERNET, snaplen, expression).unwrap()).unwrap();
        let same = |option: &str, ours: &str| {
            assert_eq!(ours, tcpdump(&["-r", file, option, expression]), "{option} {expression:?}");
        };
        same("-d", &program.disassemble());
        same("-dd", &program.to_c());
        same("-ddd", &program.to_ddd());
        assert_eq!(Program::parse_ddd(&program.to_ddd()).unwrap(), program);
    }
}

#[test]
fn live_programs_know_of_stripped_vlan_tags() {
    let Some(libpcap) = libpcap() else { return };
    if !is_root() || !has_tcpdump() {
        return;
    }
    for expression in ["vlan", "vlan and udp port 53", "vlan 5 and vlan 6", "inbound", "ifindex 1", "udp"] {
        let raw = libpcap.compile_live("lo", 0, expression).unwrap();
        let program = Program::try_from(raw).unwrap();
        assert_eq!(program.disassemble(), tcpdump(&["-i", "lo", "-d", expression]), "{expression:?}");
        assert_eq!(program.to_ddd(), tcpdump(&["-i", "lo", "-ddd", expression]), "{expression:?}");
    }
    // A tagged frame as the kernel shows it: the tag is not in the bytes.
    let mut frame = [0_u8; 60];
    (frame[12], frame[13], frame[14]) = (0x08, 0x00, 0x45);
    let stripped = Aux { vlan_tci: Some(5), vlan_tpid: 0x8100, ..Aux::default() };
    let live = Program::try_from(libpcap.compile_live("lo", 0, "vlan 5").unwrap()).unwrap();
    let dead = compiled(&libpcap, "vlan 5");
    assert_ne!(live.run(&frame, 60, &stripped), 0);
    assert_eq!(live.run(&frame, 60, &Aux::default()), 0);
    assert_eq!(dead.run(&frame, 60, &stripped), 0, "a dead handle's program misses it");
}

#[test]
fn errors_are_libpcaps_own_words() {
    let Some(libpcap) = libpcap() else { return };
    let error = libpcap.compile_dead(ETHERNET, 0, "udp prot 5").unwrap_err();
    assert!(error.starts_with("expression \"udp prot 5\": ") && error.contains("syntax error"), "{error}");
    let error = libpcap.compile_dead(ETHERNET, 0, "udp\0").unwrap_err();
    assert!(error.contains("zero byte"), "{error}");
    let error = libpcap.compile_live("no-such-if0", 0, "udp").unwrap_err();
    assert!(error.starts_with("interface no-such-if0: "), "{error}");
    if is_root() {
        let error = libpcap.compile_live("any", 0, "udp").unwrap_err();
        assert!(error.contains("cooked"), "{error}");
    }
    assert!(libpcap.version().starts_with("libpcap version"));
}

#[test]
fn link_types_of_files_are_understood() {
    let Some(libpcap) = libpcap() else { return };
    // LINKTYPE_RAW has another number inside libpcap; the version nibble is at the first byte.
    let raw = Program::try_from(libpcap.compile_dead(101, 0, "ip").unwrap()).unwrap();
    assert_ne!(raw.run(&[0x45; 20], 20, &Aux::default()), 0);
    assert_eq!(raw.run(&[0x60; 40], 40, &Aux::default()), 0);
    for linktype in [0, 1, 101, 108, 113, 228, 276] {
        assert!(libpcap.compile_dead(linktype, 0, "ip and udp port 53").is_ok(), "{linktype}");
    }
    let short = libpcap.compile_dead(ETHERNET, 96, "ip").unwrap();
    assert!(short.contains(&(6, 0, 0, 96)), "the snap length is what an accepted packet returns");
}
