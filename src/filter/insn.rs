//! One classic BPF instruction, and the numbers it is made of
//! (`linux/bpf_common.h`, `linux/filter.h`).

/// One instruction, as `struct sock_filter` lays it out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Insn {
    /// Class, size, mode or operation: see [`op`].
    pub code: u16,
    /// Instructions to skip if a condition holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The constant: an offset, an operand, a scratch index or a jump distance.
    pub k: u32,
}

impl Insn {
    /// An instruction that does not branch.
    pub const fn new(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// A conditional jump.
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}

impl From<(u16, u8, u8, u32)> for Insn {
    fn from((code, jt, jf, k): (u16, u8, u8, u32)) -> Self {
        Self { code, jt, jf, k }
    }
}

impl From<Insn> for (u16, u8, u8, u32) {
    fn from(insn: Insn) -> Self {
        (insn.code, insn.jt, insn.jf, insn.k)
    }
}

/// Every opcode that the kernel's `chk_code_allowed` lets in.
#[expect(missing_docs, reason = "the names are the kernel's mnemonics; docs would repeat them")]
pub mod op {
    pub const CLASS_MASK: u16 = 0x07;
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;

    pub const SIZE_MASK: u16 = 0x18;
    pub const W: u16 = 0x00;
    pub const H: u16 = 0x08;
    pub const B: u16 = 0x10;

    pub const MODE_MASK: u16 = 0xe0;
    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
    pub const MSH: u16 = 0xa0;

    pub const OPERATION_MASK: u16 = 0xf0;
    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const MOD: u16 = 0x90;
    pub const XOR: u16 = 0xa0;

    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;

    /// The operand is X, not k.
    pub const X: u16 = 0x08;
    /// `ret`: the value is A, not k.
    pub const RET_A: u16 = RET | 0x10;
    pub const TAX: u16 = MISC;
    pub const TXA: u16 = MISC | 0x80;

    pub const LD_W_ABS: u16 = LD | W | ABS;
    pub const LD_H_ABS: u16 = LD | H | ABS;
    pub const LD_B_ABS: u16 = LD | B | ABS;
    pub const LD_W_IND: u16 = LD | W | IND;
    pub const LD_H_IND: u16 = LD | H | IND;
    pub const LD_B_IND: u16 = LD | B | IND;
    pub const LD_LEN: u16 = LD | W | LEN;
    pub const LD_IMM: u16 = LD | IMM;
    pub const LD_MEM: u16 = LD | MEM;
    pub const LDX_LEN: u16 = LDX | W | LEN;
    pub const LDX_MSH: u16 = LDX | B | MSH;
    pub const LDX_IMM: u16 = LDX | IMM;
    pub const LDX_MEM: u16 = LDX | MEM;
    pub const JMP_JA: u16 = JMP | JA;
}

/// Special offsets of packet loads: the kernel's `SKF_*`, as the unsigned numbers that stand in `k`.
pub mod skf {
    /// Loads from here on do not read bytes but what the kernel knows of the packet.
    pub const AD_OFF: u32 = 0xffff_f000;
    /// Loads from here on count from the network header.
    pub const NET_OFF: u32 = 0xfff0_0000;
    /// Loads from here on count from the link-layer header.
    pub const LL_OFF: u32 = 0xffe0_0000;

    /// `EtherType` of the packet, host order.
    pub const PROTOCOL: u32 = AD_OFF;
    /// To whom it was addressed: `PACKET_HOST` and so on.
    pub const PKTTYPE: u32 = AD_OFF + 4;
    /// Index of the interface.
    pub const IFINDEX: u32 = AD_OFF + 8;
    /// Netlink attribute: refused here.
    pub const NLATTR: u32 = AD_OFF + 12;
    /// Nested netlink attribute: refused here.
    pub const NLATTR_NEST: u32 = AD_OFF + 16;
    /// The mark set by netfilter.
    pub const MARK: u32 = AD_OFF + 20;
    /// The receive queue.
    pub const QUEUE: u32 = AD_OFF + 24;
    /// `ARPHRD_*` of the interface.
    pub const HATYPE: u32 = AD_OFF + 28;
    /// The receive hash.
    pub const RXHASH: u32 = AD_OFF + 32;
    /// The CPU that runs the filter.
    pub const CPU: u32 = AD_OFF + 36;
    /// Not a load: A ^= X.
    pub const ALU_XOR_X: u32 = AD_OFF + 40;
    /// The tag control information that was stripped.
    pub const VLAN_TAG: u32 = AD_OFF + 44;
    /// 1 if a tag was stripped.
    pub const VLAN_TAG_PRESENT: u32 = AD_OFF + 48;
    /// Offset of the payload behind the transport header: refused here.
    pub const PAY_OFFSET: u32 = AD_OFF + 52;
    /// A random number.
    pub const RANDOM: u32 = AD_OFF + 56;
    /// The tag protocol identifier that was stripped.
    pub const VLAN_TPID: u32 = AD_OFF + 60;
}
