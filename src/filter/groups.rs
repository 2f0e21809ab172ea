//! Our own compiler for the common case: keep the UDP datagrams to a list of groups.
//!
//! Needs no libpcap. One program fits both the kernel, which strips the outer VLAN tag
//! from the bytes before a filter sees them, and files, where all tags stand in the bytes:
//! it steps over up to two tags if they are there. What cannot be judged by port here (a
//! fragment after the first, an IPv6 packet with extension headers, a datagram cut before
//! its ports) is kept if its addresses match: a filter must not make losses.
//!
//! The programs are for Ethernet. They are built inside out from blocks that skip over
//! themselves, so that a long list needs no jump that the eight bits of `jt` cannot hold.

use super::insn::{Insn, op};
use super::program::{FilterError, MAX_INSNS, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use thiserror::Error;

/// A group to keep, optionally only one UDP destination port of it or one sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupPort {
    /// Destination address; a unicast address does as well.
    pub group: IpAddr,
    /// UDP destination port.
    pub port: Option<u16>,
    /// Source address.
    pub source: Option<IpAddr>,
}

/// Why no program could be made of a list of groups.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GroupsError {
    /// The list is empty, so the program would drop everything.
    #[error("the list of groups is empty: name a group, or capture without a filter")]
    NoGroups,
    /// Group and source are not both IPv4 or both IPv6.
    #[error(
        "group {group} and its source {source_address} are not of one address family: correct the one or the other"
    )]
    FamilyMismatch {
        /// The group.
        group: IpAddr,
        /// Its source.
        source_address: IpAddr,
    },
    /// The program would be longer than the kernel takes.
    #[error(
        "{groups} groups make a filter of {instructions} instructions, the kernel's limit is 4096: leave out ports and sources, or split the groups over several captures"
    )]
    TooMany {
        /// Entries of the list.
        groups: usize,
        /// Instructions of the program.
        instructions: usize,
    },
    /// A defect in this compiler: its program failed the checks.
    #[error(
        "the filter made for the groups is not valid ({0}): this is a defect, please report it; `--bpf FILE` is a way around"
    )]
    Invalid(#[from] FilterError),
}

/// Keep the whole packet: tcpdump's default snap length.
const KEEP: Insn = Insn::new(op::RET, 262_144);
const DROP: Insn = Insn::new(op::RET, 0);
/// Scratch word that holds how far the VLAN tags move everything behind them.
const SHIFT_WORD: u32 = 0;
/// Scratch word that holds the destination port or [`PORT_UNKNOWN`].
const PORT_WORD: u32 = 1;
/// Above every port: the port is not in this packet.
const PORT_UNKNOWN: u32 = 0x1_0000;

// Offsets in an Ethernet frame without VLAN tags; all loads add the shift, which is in X.
const V4_LENGTH: u32 = 14;
const V4_FRAGMENT: u32 = 20;
const V4_PROTOCOL: u32 = 23;
const V4_SOURCE: u32 = 26;
const V4_DESTINATION: u32 = 30;
const V6_NEXT_HEADER: u32 = 20;
const V6_SOURCE: u32 = 22;
const V6_DESTINATION: u32 = 38;
const V6_PAYLOAD: u32 = 54;
const UDP: u32 = 17;
/// Next headers that may stand before UDP: hop-by-hop, routing, fragment, authentication,
/// destination options, mobility, HIP, shim6.
const V6_EXTENSIONS: [u32; 8] = [0, 43, 44, 51, 60, 135, 139, 140];
const VLAN_TPIDS: [u32; 3] = [0x8100, 0x88a8, 0x9100];

type Block = Vec<Insn>;
/// Per source (None = any), the ports to keep (None = all).
type Wanted = BTreeMap<Option<Vec<u32>>, Option<BTreeSet<u16>>>;

/// Makes a program that keeps the UDP datagrams to these groups and drops the rest.
///
/// # Errors
/// The list is empty, mixes address families in an entry, or is longer than 4096 instructions can hold.
pub fn for_groups(groups: &[GroupPort]) -> Result<Program, GroupsError> {
    if groups.is_empty() {
        return Err(GroupsError::NoGroups);
    }
    let (mut v4, mut v6) = (BTreeMap::new(), BTreeMap::new());
    for entry in groups {
        if let Some(source) = entry.source.filter(|source| source.is_ipv4() != entry.group.is_ipv4()) {
            return Err(GroupsError::FamilyMismatch { group: entry.group, source_address: source });
        }
        want(if entry.group.is_ipv4() { &mut v4 } else { &mut v6 }, entry);
    }
    let mut program = skip_tags();
    if !v4.is_empty() {
        program.extend(when_equal(0x0800, ipv4(&v4)));
    }
    if !v6.is_empty() {
        program.extend(when_equal(0x86dd, ipv6(&v6)));
    }
    program.push(DROP);
    if program.len() > MAX_INSNS {
        return Err(GroupsError::TooMany { groups: groups.len(), instructions: program.len() });
    }
    Ok(Program::new(program)?)
}

/// An address as the 32-bit words that loads give.
fn words(address: IpAddr) -> Vec<u32> {
    match address {
        IpAddr::V4(v4) => vec![v4.to_bits()],
        IpAddr::V6(v6) => v6.octets().as_chunks().0.iter().map(|word| u32::from_be_bytes(*word)).collect(),
    }
}

fn want(groups: &mut BTreeMap<Vec<u32>, Wanted>, entry: &GroupPort) {
    let wanted = groups.entry(words(entry.group)).or_default();
    let ports = wanted.entry(entry.source.map(words)).or_insert_with(|| Some(BTreeSet::new()));
    match (entry.port, ports.as_mut()) {
        (Some(port), Some(ports)) => {
            ports.insert(port);
        }
        (None, _) => *ports = None,
        (Some(_), None) => {}
    }
}

fn any_port(groups: &BTreeMap<Vec<u32>, Wanted>) -> bool {
    groups.values().any(|wanted| wanted.values().any(Option::is_some))
}

/// `if A == k { block }`.
fn when_equal(k: u32, block: Block) -> Block {
    let test = |jt, jf| Insn::jump(op::JMP | op::JEQ, k, jt, jf);
    let mut out = match u8::try_from(block.len()) {
        Ok(len) => vec![test(0, len)],
        // A program beyond 2^32 instructions does not fit into memory.
        Err(_) => vec![test(1, 0), Insn::new(op::JMP_JA, u32::try_from(block.len()).unwrap_or(u32::MAX))],
    };
    out.extend(block);
    out
}

/// `if A is one of ks { block }`; at most 100 of them and a short block.
fn when_one_of(ks: &[u32], block: &[Insn]) -> Block {
    let mut out = Block::new();
    for (i, &k) in ks.iter().enumerate() {
        let left = ks.len() - 1 - i;
        let to_block = u8::try_from(left).unwrap_or(u8::MAX);
        let past_block = if left == 0 { u8::try_from(block.len()).unwrap_or(u8::MAX) } else { 0 };
        out.push(Insn::jump(op::JMP | op::JEQ, k, to_block, past_block));
    }
    out.extend_from_slice(block);
    out
}

/// Leaves in A the `EtherType` behind the VLAN tags, in X and scratch how far they shift.
fn skip_tags() -> Block {
    let second = [Insn::new(op::LDX_IMM, 8), Insn::new(op::LD_H_IND, 12)];
    let mut first = vec![Insn::new(op::LDX_IMM, 4), Insn::new(op::LD_H_IND, 12)];
    first.extend(when_one_of(&VLAN_TPIDS, &second));
    let mut out = vec![Insn::new(op::LDX_IMM, 0), Insn::new(op::LD_H_IND, 12)];
    out.extend(when_one_of(&VLAN_TPIDS, &first));
    out.push(Insn::new(op::STX, SHIFT_WORD));
    out
}

fn ipv4(groups: &BTreeMap<Vec<u32>, Wanted>) -> Block {
    let mut out = vec![Insn::new(op::LD_B_IND, V4_PROTOCOL), Insn::jump(op::JMP | op::JEQ, UDP, 1, 0), DROP];
    if any_port(groups) {
        out.extend(ipv4_port());
    }
    out.extend(by_destination(groups, V4_DESTINATION, V4_SOURCE));
    out
}

/// Stores the destination port of an IPv4 packet. The length is asked first, because a load
/// past the end would drop the packet.
fn ipv4_port() -> Block {
    vec![
        Insn::new(op::LD_H_IND, V4_FRAGMENT),
        Insn::jump(op::JMP | op::JSET, 0x1fff, 8, 0),
        Insn::new(op::LD_B_IND, V4_LENGTH),
        Insn::new(op::ALU | op::AND, 0xf),
        Insn::new(op::ALU | op::LSH, 2),
        Insn::new(op::ALU | op::ADD | op::X, 0),
        Insn::new(op::TAX, 0),
        // Does not wrap: the protocol byte before was there.
        Insn::new(op::LD_LEN, 0),
        Insn::new(op::ALU | op::SUB, 18),
        Insn::jump(op::JMP | op::JGE | op::X, 0, 2, 0),
        Insn::new(op::LD_IMM, PORT_UNKNOWN),
        Insn::new(op::JMP_JA, 1),
        Insn::new(op::LD_H_IND, 16),
        Insn::new(op::ST, PORT_WORD),
        Insn::new(op::LDX_MEM, SHIFT_WORD),
    ]
}

fn ipv6(groups: &BTreeMap<Vec<u32>, Wanted>) -> Block {
    let mut out = Block::new();
    let mut udp = Block::new();
    if any_port(groups) {
        // First of all, because the kernel's check lets what is unknown about scratch words fall through
        // the `ret` below.
        out.extend([Insn::new(op::LD_IMM, PORT_UNKNOWN), Insn::new(op::ST, PORT_WORD)]);
        udp = ipv6_port();
    }
    out.push(Insn::new(op::LD_B_IND, V6_NEXT_HEADER));
    // Extension headers jump over all of this; what is neither they nor UDP is dropped.
    udp.push(Insn::new(op::JMP_JA, 1));
    let mut no_extension = when_equal(UDP, udp);
    no_extension.push(DROP);
    let past = u32::try_from(no_extension.len()).unwrap_or(u32::MAX);
    out.extend(when_one_of(&V6_EXTENSIONS, &[Insn::new(op::JMP_JA, past)]));
    out.extend(no_extension);
    out.extend(by_destination(groups, V6_DESTINATION, V6_SOURCE));
    out
}

/// Stores the destination port of an IPv6 packet without extension headers, if it is there.
fn ipv6_port() -> Block {
    vec![
        // Does not wrap: the next-header byte was there.
        Insn::new(op::LD_LEN, 0),
        Insn::new(op::ALU | op::SUB | op::X, 0),
        Insn::jump(op::JMP | op::JGE, V6_PAYLOAD + 4, 0, 2),
        Insn::new(op::LD_H_IND, V6_PAYLOAD + 2),
        Insn::new(op::ST, PORT_WORD),
    ]
}

/// Compares the destination word by word; groups that begin alike share the comparison.
fn by_destination(groups: &BTreeMap<Vec<u32>, Wanted>, destination: u32, source: u32) -> Block {
    let entries: Vec<(&[u32], &Wanted)> =
        groups.iter().map(|(words, wanted)| (words.as_slice(), wanted)).collect();
    branch(&entries, destination, source)
}

fn branch(entries: &[(&[u32], &Wanted)], at: u32, source: u32) -> Block {
    let mut out = vec![Insn::new(op::LD_W_IND, at)];
    for same in entries.chunk_by(|a, b| a.0.first() == b.0.first()) {
        let Some((&word, rest)) = same[0].0.split_first() else { continue };
        let block = if rest.is_empty() {
            wanted_block(same[0].1, source)
        } else {
            let deeper: Vec<_> = same.iter().map(|(words, wanted)| (&words[1..], *wanted)).collect();
            branch(&deeper, at + 4, source)
        };
        out.extend(when_equal(word, block));
    }
    // Addresses differ from each other: who matched none of these matches none at all.
    out.push(DROP);
    out
}

/// The destination matched: keeps what has a wanted source and port, drops the rest.
fn wanted_block(wanted: &Wanted, source_at: u32) -> Block {
    if wanted.get(&None) == Some(&None) {
        return vec![KEEP];
    }
    let mut out = Block::new();
    for (source, ports) in wanted {
        let keep = ports.as_ref().map_or_else(|| vec![KEEP], ports_block);
        out.extend(match source {
            None => keep,
            Some(words) => source_block(words, source_at, keep),
        });
    }
    out.push(DROP);
    out
}

fn ports_block(ports: &BTreeSet<u16>) -> Block {
    let mut out = vec![Insn::new(op::LD_MEM, PORT_WORD)];
    let ports: Vec<u32> = ports.iter().map(|&port| u32::from(port)).chain([PORT_UNKNOWN]).collect();
    for some in ports.chunks(100) {
        out.extend(when_one_of(some, &[KEEP]));
    }
    out
}

fn source_block(words: &[u32], at: u32, keep: Block) -> Block {
    let Some((&word, rest)) = words.split_first() else { return keep };
    let mut out = vec![Insn::new(op::LD_W_IND, at)];
    out.extend(when_equal(word, source_block(rest, at + 4, keep)));
    out
}
