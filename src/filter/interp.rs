//! Runs a checked program over one packet, with the kernel's semantics: 32-bit wrapping
//! arithmetic, shifts by the low five bits of X, rejection on a load past the end of
//! the bytes or a division by zero.
//!
//! No allocation, no panic. Each step moves forward, so it ends.

use super::insn::{Insn, op, skf};
use super::program::{Program, SCRATCH_WORDS};
use crate::packet::{EpbFlags, LinkType, Packet};

/// What a program may ask about a packet beyond its bytes; what a file does not know stays 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Aux {
    /// Tag control information of a VLAN tag that was stripped from the bytes.
    pub vlan_tci: Option<u16>,
    /// Its tag protocol identifier.
    pub vlan_tpid: u16,
    /// `EtherType` of the packet.
    pub protocol: u16,
    /// `PACKET_HOST` 0, `_BROADCAST` 1, `_MULTICAST` 2, `_OTHERHOST` 3, `_OUTGOING` 4.
    pub pkttype: u8,
    /// Kernel index of the interface.
    pub ifindex: u32,
    /// `ARPHRD_*` of the interface.
    pub hatype: u16,
    /// Mark of the packet.
    pub mark: u32,
    /// Receive queue.
    pub queue: u32,
    /// Receive hash.
    pub rxhash: u32,
    /// CPU.
    pub cpu: u32,
    /// What `random` loads give: fixed, so that a replay decides as the run before.
    pub random: u32,
    /// Where the network header begins, bytes.
    pub network_offset: u32,
}

impl Aux {
    /// What can be said of a packet from a file or a tape, whose bytes hold their VLAN tags.
    pub fn of(packet: &Packet<'_>) -> Self {
        let (network_offset, protocol) = network(packet.link, packet.bytes);
        Self {
            protocol,
            pkttype: packet_type(packet.flags),
            hatype: u16::from(packet.link == LinkType::ETHERNET),
            network_offset,
            ..Self::default()
        }
    }
}

/// Offset of the network header and the `EtherType` before it.
fn network(link: LinkType, bytes: &[u8]) -> (u32, u16) {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    let word =
        |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b));
    match link {
        LinkType::ETHERNET => (14, word(12)),
        LinkType::LINUX_SLL => (16, word(14)),
        LinkType::LINUX_SLL2 => (20, word(0)),
        LinkType::IPV6 => (0, IPV6),
        LinkType::RAW if bytes.first().is_some_and(|b| b >> 4 == 6) => (0, IPV6),
        LinkType::RAW | LinkType::IPV4 => (0, IPV4),
        LinkType::NULL | LinkType::LOOP => (4, 0),
        _ => (0, 0),
    }
}

fn packet_type(flags: EpbFlags) -> u8 {
    const RECEPTION: u32 = 7 << 2;
    if flags.is_outbound() {
        return 4;
    }
    match flags.0 & RECEPTION {
        EpbFlags::BROADCAST => 1,
        EpbFlags::MULTICAST => 2,
        EpbFlags::PROMISCUOUS => 3,
        _ => 0,
    }
}

struct Machine<'a> {
    a: u32,
    x: u32,
    scratch: [u32; SCRATCH_WORDS as usize],
    bytes: &'a [u8],
    wire_len: u32,
    aux: &'a Aux,
}

impl Program {
    /// Runs the program: 0 = reject, else how many bytes to keep.
    ///
    /// `wire_len` is what `len` in an expression means; loads see only `bytes`.
    pub fn run(&self, bytes: &[u8], wire_len: u32, aux: &Aux) -> u32 {
        let mut machine = Machine { a: 0, x: 0, scratch: [0; SCRATCH_WORDS as usize], bytes, wire_len, aux };
        machine.execute(self.insns()).unwrap_or(0)
    }

    /// True if the program keeps this packet, whose bytes are taken as they stand, tags included.
    pub fn accepts(&self, packet: &Packet<'_>) -> bool {
        self.run(packet.bytes, packet.wire_len, &Aux::of(packet)) != 0
    }
}

impl Machine<'_> {
    /// None = reject.
    fn execute(&mut self, insns: &[Insn]) -> Option<u32> {
        let mut next = 0_usize;
        loop {
            // The checks make sure that there is one; if not, the packet is rejected.
            let insn = *insns.get(next)?;
            next += 1;
            match insn.code & op::CLASS_MASK {
                op::LD => self.a = self.load(insn)?,
                op::LDX => self.x = self.load_index(insn)?,
                op::ST => self.store(insn.k, self.a)?,
                op::STX => self.store(insn.k, self.x)?,
                op::ALU => self.a = alu(insn.code & op::OPERATION_MASK, self.a, self.operand(insn))?,
                op::JMP => next += usize::try_from(self.skip(insn)).ok()?,
                op::RET => return Some(if insn.code == op::RET_A { self.a } else { insn.k }),
                _ if insn.code == op::TXA => self.a = self.x,
                _ => self.x = self.a,
            }
        }
    }

    fn load(&self, insn: Insn) -> Option<u32> {
        match insn.code & op::MODE_MASK {
            op::ABS if insn.k >= skf::AD_OFF => self.ancillary(insn.k),
            op::ABS => self.fetch(insn.k, insn.code & op::SIZE_MASK),
            op::IND => self.fetch(self.x.wrapping_add(insn.k), insn.code & op::SIZE_MASK),
            op::MEM => self.scratch.get(usize::try_from(insn.k).ok()?).copied(),
            op::LEN => Some(self.wire_len),
            _ => Some(insn.k),
        }
    }

    fn load_index(&self, insn: Insn) -> Option<u32> {
        match insn.code & op::MODE_MASK {
            op::MSH => Some((self.fetch(insn.k, op::B)? & 0xf) << 2),
            op::MEM => self.scratch.get(usize::try_from(insn.k).ok()?).copied(),
            op::LEN => Some(self.wire_len),
            _ => Some(insn.k),
        }
    }

    /// Reads network-order bytes at a plain offset, or from the network or link-layer header on.
    fn fetch(&self, offset: u32, size: u16) -> Option<u32> {
        let at = match offset {
            0..0x8000_0000 => offset,
            skf::NET_OFF.. => self.aux.network_offset.checked_add(offset - skf::NET_OFF)?,
            skf::LL_OFF.. => offset - skf::LL_OFF,
            _ => return None,
        };
        let rest = self.bytes.get(usize::try_from(at).ok()?..)?;
        match size {
            op::W => rest.first_chunk().map(|b| u32::from_be_bytes(*b)),
            op::H => rest.first_chunk().map(|b| u32::from(u16::from_be_bytes(*b))),
            _ => rest.first().map(|b| u32::from(*b)),
        }
    }

    /// The kernel ignores the size of these loads.
    fn ancillary(&self, offset: u32) -> Option<u32> {
        let aux = self.aux;
        Some(match offset {
            skf::PROTOCOL => u32::from(aux.protocol),
            skf::PKTTYPE => u32::from(aux.pkttype),
            skf::IFINDEX => aux.ifindex,
            skf::MARK => aux.mark,
            skf::QUEUE => aux.queue,
            skf::HATYPE => u32::from(aux.hatype),
            skf::RXHASH => aux.rxhash,
            skf::CPU => aux.cpu,
            skf::ALU_XOR_X => self.a ^ self.x,
            skf::VLAN_TAG => u32::from(aux.vlan_tci.unwrap_or(0)),
            skf::VLAN_TAG_PRESENT => u32::from(aux.vlan_tci.is_some()),
            skf::RANDOM => aux.random,
            skf::VLAN_TPID => u32::from(aux.vlan_tpid),
            _ => return None,
        })
    }

    fn store(&mut self, word: u32, value: u32) -> Option<()> {
        *self.scratch.get_mut(usize::try_from(word).ok()?)? = value;
        Some(())
    }

    fn operand(&self, insn: Insn) -> u32 {
        if insn.code & op::X == 0 { insn.k } else { self.x }
    }

    /// How many instructions a jump skips.
    fn skip(&self, insn: Insn) -> u32 {
        let operand = self.operand(insn);
        let holds = match insn.code & op::OPERATION_MASK {
            op::JEQ => self.a == operand,
            op::JGT => self.a > operand,
            op::JGE => self.a >= operand,
            op::JSET => self.a & operand != 0,
            _ => return insn.k,
        };
        u32::from(if holds { insn.jt } else { insn.jf })
    }
}

/// None = division by zero.
fn alu(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => a.wrapping_add(operand),
        op::SUB => a.wrapping_sub(operand),
        op::MUL => a.wrapping_mul(operand),
        op::DIV => a.checked_div(operand)?,
        op::MOD => a.checked_rem(operand)?,
        op::OR => a | operand,
        op::AND => a & operand,
        op::XOR => a ^ operand,
        op::LSH => a.wrapping_shl(operand),
        op::RSH => a.wrapping_shr(operand),
        _ => a.wrapping_neg(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, StampClock};

    fn run(insns: &[Insn], bytes: &[u8], aux: &Aux) -> u32 {
        Program::new(insns.to_vec()).unwrap().run(bytes, 1000, aux)
    }

    /// The value that one load leaves in A.
    fn loaded(code: u16, k: u32, aux: &Aux) -> u32 {
        run(&[Insn::new(code, k), Insn::new(op::RET_A, 0)], &[0x12, 0x34, 0x56, 0x78, 0x9a], aux)
    }

    #[test]
    fn loads_are_network_order_and_stop_at_the_last_byte() {
        let aux = Aux { network_offset: 1, ..Aux::default() };
        assert_eq!(loaded(op::LD_W_ABS, 1, &aux), 0x3456_789a);
        assert_eq!(loaded(op::LD_W_ABS, 2, &aux), 0);
        assert_eq!(loaded(op::LD_H_ABS, 3, &aux), 0x789a);
        assert_eq!(loaded(op::LD_H_ABS, 4, &aux), 0);
        assert_eq!(loaded(op::LD_B_ABS, 4, &aux), 0x9a);
        assert_eq!(loaded(op::LD_B_ABS, 5, &aux), 0);
        assert_eq!(loaded(op::LD_LEN, 0, &aux), 1000);
        assert_eq!(loaded(op::LD_B_ABS, skf::NET_OFF + 1, &aux), 0x56);
        assert_eq!(loaded(op::LD_B_ABS, skf::LL_OFF + 1, &aux), 0x34);
        assert_eq!(loaded(op::LD_B_ABS, 0x8000_0000, &aux), 0);
    }

    #[test]
    fn ancillary_loads_answer_from_what_is_known() {
        let aux = Aux { vlan_tci: Some(0x2005), vlan_tpid: 0x88a8, pkttype: 4, ifindex: 7, ..Aux::default() };
        assert_eq!(loaded(op::LD_B_ABS, skf::VLAN_TAG, &aux), 0x2005, "the size of the load does not cut it");
        assert_eq!(loaded(op::LD_B_ABS, skf::VLAN_TAG_PRESENT, &aux), 1);
        assert_eq!(loaded(op::LD_H_ABS, skf::VLAN_TPID, &aux), 0x88a8);
        assert_eq!(loaded(op::LD_H_ABS, skf::PKTTYPE, &aux), 4);
        assert_eq!(loaded(op::LD_W_ABS, skf::IFINDEX, &aux), 7);
        assert_eq!(loaded(op::LD_W_ABS, skf::VLAN_TAG_PRESENT, &Aux::default()), 0);
    }

    #[test]
    fn arithmetic_wraps_masks_shifts_and_rejects_division_by_zero() {
        assert_eq!(alu(op::ADD, u32::MAX, 2), Some(1));
        assert_eq!(alu(op::SUB, 0, 1), Some(u32::MAX));
        assert_eq!(alu(op::MUL, 1 << 31, 2), Some(0));
        assert_eq!(alu(op::LSH, 1, 33), Some(2));
        assert_eq!(alu(op::RSH, 4, 33), Some(2));
        assert_eq!(alu(op::NEG, 1, 0), Some(u32::MAX));
        assert_eq!(alu(op::MOD, 7, 0), None);
        let by_x = [Insn::new(op::LD_IMM, 8), Insn::new(op::ALU | op::DIV | op::X, 0), Insn::new(op::RET, 9)];
        assert_eq!(run(&by_x, &[], &Aux::default()), 0);
    }

    #[test]
    fn an_outbound_packet_is_seen_as_outgoing() {
        let packet = Packet {
            bytes: &[0; 20],
            wire_len: 20,
            stamp: Stamp::new(0, StampClock::NONE),
            arrival_ns: 0,
            interface: 0,
            link: LinkType::ETHERNET,
            flags: EpbFlags(EpbFlags::OUTBOUND),
            marks: crate::packet::Marks::default(),
            gso_size: 0,
            lost_before: 0,
        };
        let outbound = [
            Insn::new(op::LD_H_ABS, skf::PKTTYPE),
            Insn::jump(op::JMP | op::JEQ, 4, 0, 1),
            Insn::new(op::RET, 1),
            Insn::new(op::RET, 0),
        ];
        let program = Program::new(outbound.to_vec()).unwrap();
        assert!(program.accepts(&packet));
        assert!(!program.accepts(&Packet { flags: EpbFlags::NONE, ..packet }));
    }
}
