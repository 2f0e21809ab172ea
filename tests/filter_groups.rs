//! The group compiler beside an obvious reading of the frame; and the kernel's own verdict on our programs.
//!
//! A pair of Unix datagram sockets runs the kernel's filter on any bytes without privilege:
//! what it rejects never arrives, what it keeps arrives cut to the returned length.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use wiretape::filter::{Aux, FilterError, GroupPort, GroupsError, Insn, Program, for_groups, op};
use wiretape::sys::socket_filter::{attach_filter, detach_filter};

struct Kernel {
    sender: UnixDatagram,
    receiver: UnixDatagram,
}

impl Kernel {
    fn with(program: &Program) -> Self {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let insns: Vec<_> = program.insns().iter().map(|&insn| insn.into()).collect();
        attach_filter(receiver.as_fd(), &insns).expect("the kernel takes what our checks let through");
        Self { sender, receiver }
    }

    /// How many bytes the kernel keeps; 0 = reject.
    fn run(&self, bytes: &[u8]) -> usize {
        self.sender.send(bytes).unwrap();
        let mut buffer = [0; 4096];
        self.receiver.recv(&mut buffer).unwrap_or(0)
    }
}

fn entry(group: &str, port: Option<u16>, source: Option<&str>) -> GroupPort {
    GroupPort { group: group.parse().unwrap(), port, source: source.map(|s| s.parse().unwrap()) }
}

/// What the filter promises, read off the frame without hurry.
fn wanted(frame: &[u8], groups: &[GroupPort]) -> bool {
    addressed(frame).is_some_and(|(source, group, port)| {
        groups.iter().any(|entry| {
            entry.group == group
                && entry.source.is_none_or(|wanted| wanted == source)
                && (entry.port.is_none() || port.is_none() || entry.port == port)
        })
    })
}

/// Source, destination and port (None = cannot be known) of what may be a UDP datagram.
fn addressed(frame: &[u8]) -> Option<(IpAddr, IpAddr, Option<u16>)> {
    let half = |at: usize| frame.get(at..at + 2).map(|b| u16::from_be_bytes(b.try_into().unwrap()));
    let mut at = 12;
    for _ in 0..2 {
        if matches!(half(at)?, 0x8100 | 0x88a8 | 0x9100) {
            at += 4;
        }
    }
    let ip = at + 2;
    match half(at)? {
        0x0800 => {
            let address = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<4>()?));
            let fragment = half(ip + 6)? & 0x1fff != 0;
            let udp = ip + usize::from(frame.get(ip)? & 15) * 4;
            let port = if fragment { None } else { half(udp + 2) };
            (*frame.get(ip + 9)? == 17).then_some((address(ip + 12)?, address(ip + 16)?, port))
        }
        0x86dd => {
            let address = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<16>()?));
            let (source, group) = (address(ip + 8)?, address(ip + 24)?);
            match *frame.get(ip + 6)? {
                17 => Some((source, group, half(ip + 42))),
                0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 => Some((source, group, None)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[derive(Clone, Debug)]
struct Frame {
    tags: Vec<u16>,
    source: IpAddr,
    group: IpAddr,
    port: u16,
    protocol: u8,
    fragment: u16,
    ihl: u8,
}

impl Frame {
    fn udp(source: &str, group: &str, port: u16) -> Self {
        let (source, group) = (source.parse().unwrap(), group.parse().unwrap());
        Self { tags: Vec::new(), source, group, port, protocol: 17, fragment: 0, ihl: 5 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![2; 12];
        for tag in &self.tags {
            out.extend(tag.to_be_bytes());
            out.extend([0, 5]);
        }
        match (self.source, self.group) {
            (IpAddr::V4(source), IpAddr::V4(group)) => {
                out.extend([0x08, 0x00, 0x40 | self.ihl, 0, 0, 60, 0, 0]);
                out.extend(self.fragment.to_be_bytes());
                out.extend([64, self.protocol, 0, 0]);
                out.extend(source.octets());
                out.extend(group.octets());
                out.resize(out.len() + usize::from(self.ihl.saturating_sub(5)) * 4, 1);
            }
            (IpAddr::V6(source), IpAddr::V6(group)) => {
                out.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, self.protocol, 64]);
                out.extend(source.octets());
                out.extend(group.octets());
            }
            _ => out.extend([0x08, 0x06]),
        }
        out.extend(7_u16.to_be_bytes());
        out.extend(self.port.to_be_bytes());
        out.extend([0, 20, 0, 0]);
        out.extend([0xaa; 12]);
        out
    }
}

fn accepts(program: &Program, frame: &Frame) -> bool {
    let bytes = frame.bytes();
    program.run(&bytes, u32::try_from(bytes.len()).unwrap(), &Aux::default()) != 0
}

#[test]
fn datagrams_to_the_group_are_kept_with_up_to_two_tags() {
    let program = for_groups(&[
        entry("233.54.12.111", Some(26477), None),
        entry("ff3e::1", Some(5000), Some("2001:db8::1")),
    ])
    .unwrap();
    let v4 = Frame::udp("10.0.0.1", "233.54.12.111", 26477);
    let v6 = Frame::udp("2001:db8::1", "ff3e::1", 5000);
    for frame in [&v4, &v6] {
        for tags in [vec![], vec![0x8100], vec![0x88a8, 0x8100], vec![0x9100, 0x9100]] {
            assert!(accepts(&program, &Frame { tags: tags.clone(), ..frame.clone() }), "{frame:?} {tags:x?}");
        }
        assert!(!accepts(&program, &Frame { tags: vec![0x8100; 3], ..frame.clone() }));
        assert!(!accepts(&program, &Frame { port: 1, ..frame.clone() }));
        assert!(!accepts(&program, &Frame { protocol: 6, ..frame.clone() }));
    }
    assert!(!accepts(&program, &Frame::udp("10.0.0.1", "233.54.12.112", 26477)));
    assert!(!accepts(&program, &Frame::udp("2001:db8::2", "ff3e::1", 5000)), "another source");
    assert!(accepts(&program, &Frame { ihl: 15, ..v4.clone() }), "options before the port");
    assert!(accepts(&program, &Frame { fragment: 100, port: 1, ..v4 }), "a later fragment has no port");
    assert!(
        accepts(&program, &Frame { protocol: 44, port: 1, ..v6 }),
        "nor is it looked for behind extensions"
    );
}

#[test]
fn refusals_name_the_entry_or_the_limit() {
    assert_eq!(for_groups(&[]).unwrap_err(), GroupsError::NoGroups);
    let mixed = for_groups(&[entry("233.1.1.1", None, Some("::1"))]).unwrap_err();
    assert!(matches!(mixed, GroupsError::FamilyMismatch { .. }));
    assert!(mixed.to_string().contains("233.1.1.1") && mixed.to_string().contains("::1"));
    let many: Vec<_> = (0..700).map(|i| GroupPort { port: Some(i), ..numbered(i) }).collect();
    let error = for_groups(&many).unwrap_err();
    assert!(matches!(error, GroupsError::TooMany { groups: 700, .. }), "{error}");
}

fn numbered(i: u16) -> GroupPort {
    let [high, low] = i.to_be_bytes();
    GroupPort { group: IpAddr::from([239, 1, high, low]), port: None, source: None }
}

#[test]
fn long_lists_pass_the_kernels_checks_and_still_find_the_last_group() {
    let groups_alone: Vec<_> = (0..1900).map(numbered).collect();
    let with_ports: Vec<_> = (0..650).map(|i| GroupPort { port: Some(i), ..numbered(i) }).collect();
    let one_group: Vec<_> = (0..2000).map(|port| GroupPort { port: Some(port), ..numbered(9) }).collect();
    let sources: Vec<_> = (0..300_u16)
        .map(|i| GroupPort {
            source: Some(IpAddr::from([10, 0, i.to_be_bytes()[0], i.to_be_bytes()[1]])),
            ..numbered(9)
        })
        .collect();
    let v6: Vec<_> = (0..300_u128)
        .map(|i| GroupPort {
            group: IpAddr::from(((0xff3e << 112) | i).to_be_bytes()),
            port: Some(7),
            source: None,
        })
        .collect();
    for list in [groups_alone, with_ports, one_group, sources, v6] {
        let program = for_groups(&list).unwrap();
        let kernel = Kernel::with(&program);
        for entry in [list[0], list[list.len() / 2], list[list.len() - 1]] {
            let unknown = if entry.group.is_ipv4() { "1.1.1.1" } else { "2001:db8::9" };
            let source = entry.source.unwrap_or_else(|| unknown.parse().unwrap());
            let frame =
                Frame { source, group: entry.group, ..Frame::udp("::", "::", entry.port.unwrap_or(1)) };
            assert!(accepts(&program, &frame), "{entry:?}");
            assert_eq!(kernel.run(&frame.bytes()), frame.bytes().len(), "{entry:?}");
            if entry.port.is_some() {
                assert_eq!(kernel.run(&Frame { port: 60_000, ..frame }.bytes()), 0);
            }
        }
    }
}

#[test]
fn a_filter_can_be_taken_off_again() {
    let kernel = Kernel::with(&Program::new(vec![Insn::new(op::RET, 0)]).unwrap());
    assert_eq!(kernel.run(b"x"), 0);
    detach_filter(kernel.receiver.as_fd()).unwrap();
    assert_eq!(kernel.run(b"x"), 1);
    let error = attach_filter(kernel.receiver.as_fd(), &[(0xffff, 0, 0, 0)]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL));
}

const POOL: [&str; 10] = [
    "239.0.0.1",
    "239.0.0.2",
    "239.1.0.1",
    "10.0.0.1",
    "10.0.0.2",
    "ff3e::1",
    "ff3e::2",
    "ff3e:0:0:1::1",
    "2001:db8::1",
    "2001:db8::2",
];

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let pick = |from: std::ops::Range<usize>| from.prop_map(|i| POOL[i].parse::<IpAddr>().unwrap());
    prop_oneof![(pick(3..5), pick(0..3)), (pick(8..10), pick(5..8))]
}

fn group() -> impl Strategy<Value = GroupPort> {
    (addresses(), proptest::option::of(1_u16..4), any::<bool>()).prop_map(
        |((source, group), port, with_source)| GroupPort {
            group,
            port,
            source: with_source.then_some(source),
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let tags = vec(proptest::sample::select(vec![0x8100, 0x88a8, 0x9100]), 0..4);
    let protocol = proptest::sample::select(vec![17, 17, 17, 6, 0, 44, 58]);
    let fragment = proptest::sample::select(vec![0, 0, 0x2000, 0x4000, 1, 0x2010]);
    (tags, addresses(), 1_u16..5, protocol, fragment, 4_u8..8).prop_map(
        |(tags, (source, group), port, protocol, fragment, ihl)| Frame {
            tags,
            source,
            group,
            port,
            protocol,
            fragment,
            ihl,
        },
    )
}

/// Opcodes whose outcome depends on the bytes and the program alone.
const PURE_CODES: [u16; 40] = [
    0x20, 0x28, 0x30, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0xb1, 0x04, 0x0c, 0x14, 0x1c, 0x24,
    0x2c, 0x34, 0x3c, 0x94, 0x9c, 0x44, 0x4c, 0x54, 0x5c, 0xa4, 0xac, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x15,
    0x1d, 0x25, 0x35, 0x45, 0x07, 0x87,
];

fn pure_program() -> impl Strategy<Value = Program> {
    let constant = prop_oneof![6 => 0_u32..40, 2 => any::<u32>()];
    vec((proptest::sample::select(&PURE_CODES[..]), 0_u8..4, 0_u8..4, constant), 1..50).prop_map(|raw| {
        let mut insns: Vec<Insn> = (0..16).map(|word| Insn::new(op::ST, word)).collect();
        for (code, jt, jf, k) in raw {
            let k = match code {
                0x60 | 0x61 | 0x02 | 0x03 => k % 16,
                0x34 | 0x94 => k.max(1),
                0x64 | 0x74 => k % 32,
                // Negative offsets mean headers, which a Unix datagram does not have.
                0x20 | 0x28 | 0x30 | 0xb1 => k >> 1,
                _ => k,
            };
            insns.push(Insn::jump(code, k, jt, jf));
        }
        // Room for the last jumps; then a number of bytes to keep that tells about A.
        insns.extend([Insn::new(op::TAX, 0); 4]);
        insns.extend([Insn::new(op::ALU | op::AND, 63), Insn::new(op::RET_A, 0)]);
        Program::new(insns).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_list_of_groups_keeps_exactly_what_it_promises(
        groups in vec(group(), 1..12),
        frames in vec((frame(), 0_usize..110), 1..12),
    ) {
        let program = for_groups(&groups).unwrap();
        let kernel = Kernel::with(&program);
        for (frame, cut) in frames {
            for length in [usize::MAX, cut.max(1)] {
                let mut bytes = frame.bytes();
                bytes.truncate(length);
                let verdict = program.run(&bytes, u32::try_from(bytes.len()).unwrap(), &Aux::default());
                prop_assert_eq!(verdict != 0, wanted(&bytes, &groups), "{:?} {:?} {:?}", &frame, length, &groups);
                prop_assert_eq!(kernel.run(&bytes) != 0, verdict != 0, "the kernel: {:?} {:?}", &frame, length);
            }
        }
    }

    #[test]
    fn the_kernel_agrees_with_our_interpreter(program in pure_program(), bytes in vec(any::<u8>(), 1..80)) {
        let ours = program.run(&bytes, u32::try_from(bytes.len()).unwrap(), &Aux::default());
        let kept = usize::try_from(ours).unwrap().min(bytes.len());
        prop_assert_eq!(Kernel::with(&program).run(&bytes), kept, "{}", program.disassemble());
    }

    /// Opcodes and constants near what is allowed, so that both outcomes are common.
    #[test]
    fn our_checks_refuse_exactly_what_the_kernel_refuses(
        insns in vec((0_u16..0xc0, 0_u8..5, 0_u8..5, prop_oneof![4 => 0_u32..18, 1 => any::<u32>(), 1 => 0xffff_f000_u32..]), 1..8),
        scratch_first in any::<bool>(),
    ) {
        let mut insns: Vec<_> = if scratch_first { vec![(op::ST, 0, 0, 3)] } else { Vec::new() }
            .into_iter()
            .chain(insns)
            .collect();
        insns.push((op::RET, 0, 0, 1));
        let (_sender, receiver) = UnixDatagram::pair().unwrap();
        let theirs = attach_filter(receiver.as_fd(), &insns);
        match Program::try_from(insns.clone()) {
            Ok(_) => prop_assert!(theirs.is_ok(), "only we take {:?}", insns),
            // Three loads and those beside the table (offset 64 and more) need the kernel's packet structures.
            Err(FilterError::Ancillary { .. }) => {}
            Err(error) => prop_assert!(theirs.is_err(), "only we refuse {:?}: {}", insns, error),
        }
    }
}
