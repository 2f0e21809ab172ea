//! A checked program. The checks are those of the kernel's `bpf_check_classic` and
//! `check_load_and_stores`, so what is accepted here the kernel accepts too; three
//! ancillary loads (netlink attributes, payload offset) that need the kernel's own
//! packet structures are refused here.

use super::insn::{Insn, op, skf};
use thiserror::Error;

/// The kernel's `BPF_MAXINSNS`.
pub const MAX_INSNS: usize = 4096;
/// The kernel's `BPF_MEMWORDS`.
pub(super) const SCRATCH_WORDS: u32 = 16;

/// A classic BPF program that passed the checks: it cannot loop, leave its scratch memory or fail to return.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program(Vec<Insn>);

/// Why a program or its text was refused, and where.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FilterError {
    /// Nothing to run.
    #[error("the filter program is empty: even one that accepts everything needs a `ret` instruction")]
    Empty,
    /// More than the kernel takes.
    #[error(
        "the filter program has {len} instructions, the limit is 4096: shorten the expression or split the capture"
    )]
    TooLong {
        /// How many there are.
        len: usize,
    },
    /// Not a classic BPF instruction.
    #[error(
        "instruction {index}: unknown opcode {code:#06x}: only classic BPF as `tcpdump -ddd` prints it can be used"
    )]
    UnknownOpcode {
        /// Which instruction.
        index: usize,
        /// Its opcode.
        code: u16,
    },
    /// A jump leaves the program.
    #[error(
        "instruction {index}: jumps to instruction {target}, but the last one is {last}: the program is cut short or damaged, compile it again"
    )]
    JumpOutOfRange {
        /// Which instruction.
        index: usize,
        /// Where it jumps.
        target: u64,
        /// The last instruction there is.
        last: usize,
    },
    /// `div #0` or `mod #0`.
    #[error("instruction {index}: divides by the constant zero: correct the arithmetic of the expression")]
    DivisionByZero {
        /// Which instruction.
        index: usize,
    },
    /// A constant shift by 32 or more.
    #[error(
        "instruction {index}: shifts by {shift} bits, the limit is 31: correct the arithmetic of the expression"
    )]
    ShiftTooFar {
        /// Which instruction.
        index: usize,
        /// By how much.
        shift: u32,
    },
    /// A scratch index of 16 or more.
    #[error(
        "instruction {index}: uses scratch word M[{word}], there are 16: the program is damaged, compile it again"
    )]
    ScratchIndex {
        /// Which instruction.
        index: usize,
        /// The scratch word.
        word: u32,
    },
    /// A scratch word may be read before it was written.
    #[error(
        "instruction {index}: may read scratch word M[{word}] before it is written: the program is damaged, compile it again"
    )]
    ScratchUninitialised {
        /// Which instruction.
        index: usize,
        /// The scratch word.
        word: u32,
    },
    /// An ancillary load that is unknown or not supported.
    #[error(
        "instruction {index}: loads ancillary data {offset:#010x}, which is not supported: leave that condition out of the expression"
    )]
    Ancillary {
        /// Which instruction.
        index: usize,
        /// The offset that was asked for.
        offset: u32,
    },
    /// The last instruction falls off the end.
    #[error(
        "instruction {index}: the last instruction is not `ret`: the program is cut short, compile it again"
    )]
    NoReturn {
        /// The last instruction.
        index: usize,
    },
    /// Damage in `tcpdump -ddd` text.
    #[error("line {line}: {what}: make the text again with `tcpdump -ddd`")]
    Text {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Program {
    /// Checks `insns` as the kernel does before it attaches a filter.
    ///
    /// # Errors
    /// Names the first instruction that fails, and why.
    pub fn new(insns: Vec<Insn>) -> Result<Self, FilterError> {
        let Some(last) = insns.len().checked_sub(1) else { return Err(FilterError::Empty) };
        if insns.len() > MAX_INSNS {
            return Err(FilterError::TooLong { len: insns.len() });
        }
        for (index, &insn) in insns.iter().enumerate() {
            check_one(index, insn, last)?;
        }
        if insns[last].code & op::CLASS_MASK != op::RET {
            return Err(FilterError::NoReturn { index: last });
        }
        check_scratch(&insns)?;
        Ok(Self(insns))
    }

    /// The instructions.
    pub fn insns(&self) -> &[Insn] {
        &self.0
    }
}

impl TryFrom<Vec<(u16, u8, u8, u32)>> for Program {
    type Error = FilterError;

    fn try_from(raw: Vec<(u16, u8, u8, u32)>) -> Result<Self, FilterError> {
        Self::new(raw.into_iter().map(Insn::from).collect())
    }
}

/// True of the opcodes in the kernel's table (`chk_code_allowed`).
fn known(code: u16) -> bool {
    let fits = |bits: u16| code & !bits & !op::CLASS_MASK == 0;
    match code & op::CLASS_MASK {
        op::LD => matches!(
            code,
            op::LD_W_ABS
                | op::LD_H_ABS
                | op::LD_B_ABS
                | op::LD_W_IND
                | op::LD_H_IND
                | op::LD_B_IND
                | op::LD_LEN
                | op::LD_IMM
                | op::LD_MEM
        ),
        op::LDX => matches!(code, op::LDX_LEN | op::LDX_MSH | op::LDX_IMM | op::LDX_MEM),
        op::ST | op::STX => fits(0),
        op::ALU => {
            let operation = code & op::OPERATION_MASK;
            // `neg` has no operand, so no X form.
            fits(op::OPERATION_MASK | op::X)
                && operation <= op::XOR
                && (operation != op::NEG || code & op::X == 0)
        }
        op::JMP => {
            let operation = code & op::OPERATION_MASK;
            fits(op::OPERATION_MASK | op::X)
                && operation <= op::JSET
                && (operation != op::JA || code & op::X == 0)
        }
        op::RET => code == op::RET || code == op::RET_A,
        _ => code == op::TAX || code == op::TXA,
    }
}

fn check_one(index: usize, insn: Insn, last: usize) -> Result<(), FilterError> {
    let Insn { code, jt, jf, k } = insn;
    if !known(code) {
        return Err(FilterError::UnknownOpcode { index, code });
    }
    match code & op::CLASS_MASK {
        op::LD if code & op::MODE_MASK == op::ABS => check_ancillary(index, k),
        op::LD | op::LDX if code & op::MODE_MASK == op::MEM => check_word(index, k),
        op::ST | op::STX => check_word(index, k),
        op::ALU if code & op::X == 0 => check_operand(index, code & op::OPERATION_MASK, k),
        op::JMP if code == op::JMP_JA => check_target(index, k, last),
        op::JMP => check_target(index, u32::from(jt.max(jf)), last),
        _ => Ok(()),
    }
}

fn check_ancillary(index: usize, offset: u32) -> Result<(), FilterError> {
    let supported = offset < skf::AD_OFF
        || (offset <= skf::VLAN_TPID
            && offset.is_multiple_of(4)
            && !matches!(offset, skf::NLATTR | skf::NLATTR_NEST | skf::PAY_OFFSET));
    if supported { Ok(()) } else { Err(FilterError::Ancillary { index, offset }) }
}

fn check_word(index: usize, word: u32) -> Result<(), FilterError> {
    if word < SCRATCH_WORDS { Ok(()) } else { Err(FilterError::ScratchIndex { index, word }) }
}

fn check_operand(index: usize, operation: u16, k: u32) -> Result<(), FilterError> {
    match operation {
        op::DIV | op::MOD if k == 0 => Err(FilterError::DivisionByZero { index }),
        op::LSH | op::RSH if k >= 32 => Err(FilterError::ShiftTooFar { index, shift: k }),
        _ => Ok(()),
    }
}

fn check_target(index: usize, skip: u32, last: usize) -> Result<(), FilterError> {
    let target = index as u64 + 1 + u64::from(skip);
    if target <= last as u64 { Ok(()) } else { Err(FilterError::JumpOutOfRange { index, target, last }) }
}

/// Follows which scratch words are written on every way to an instruction (jumps only
/// go forward, so one pass in order is enough) and refuses reads of others.
///
/// Runs after [`check_one`]: indexes and targets are in range.
fn check_scratch(insns: &[Insn]) -> Result<(), FilterError> {
    const EVERYTHING: u16 = u16::MAX;
    // Per instruction, the words written on all jumps that lead to it.
    let mut by_jump = vec![EVERYTHING; insns.len()];
    let mut written = 0_u16;
    for (index, insn) in insns.iter().enumerate() {
        written &= by_jump[index];
        let word = 1_u16.checked_shl(insn.k).unwrap_or(0);
        let mut jump = |skip: u32| {
            if let Some(mask) = usize::try_from(skip).ok().and_then(|skip| by_jump.get_mut(index + 1 + skip))
            {
                *mask &= written;
            }
        };
        match insn.code & op::CLASS_MASK {
            op::ST | op::STX => written |= word,
            op::LD | op::LDX if insn.code & op::MODE_MASK == op::MEM && written & word == 0 => {
                return Err(FilterError::ScratchUninitialised { index, word: insn.k });
            }
            op::JMP => {
                if insn.code == op::JMP_JA {
                    jump(insn.k);
                } else {
                    jump(u32::from(insn.jt));
                    jump(u32::from(insn.jf));
                }
                // The next instruction is only reached by jumps, whose masks are above.
                written = EVERYTHING;
            }
            // The kernel lets `ret` pass its mask on too; what follows a return is reached by
            // jumps alone, and keeping the mask only makes the check stricter, as there.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(insns: &[Insn]) -> FilterError {
        Program::new(insns.to_vec()).unwrap_err()
    }

    const RET: Insn = Insn::new(op::RET, 1);

    #[test]
    fn exactly_the_kernels_opcodes_are_known() {
        // chk_code_allowed: 10 ALU × {K,X} + neg, 9 LD, 4 LDX, st, stx, tax, txa, ret k, ret a, ja, 4 jumps × {K,X}.
        let count = (0..=u16::MAX).filter(|&code| known(code)).count();
        assert_eq!(count, 10 * 2 + 1 + 9 + 4 + 2 + 2 + 2 + 1 + 4 * 2);
        assert!(!known(op::RET | op::X), "the kernel knows no `ret x`");
    }

    #[test]
    fn each_refusal_names_the_instruction() {
        assert_eq!(refused(&[]), FilterError::Empty);
        assert_eq!(refused(&vec![RET; 4097]), FilterError::TooLong { len: 4097 });
        assert!(Program::new(vec![RET; 4096]).is_ok());
        assert_eq!(refused(&[Insn::new(0xffff, 0)]), FilterError::UnknownOpcode { index: 0, code: 0xffff });
        assert_eq!(refused(&[RET, Insn::new(op::TAX, 0)]), FilterError::NoReturn { index: 1 });
        let div = Insn::new(op::ALU | op::DIV, 0);
        assert_eq!(refused(&[div, RET]), FilterError::DivisionByZero { index: 0 });
        let shift = Insn::new(op::ALU | op::LSH, 32);
        assert_eq!(refused(&[shift, RET]), FilterError::ShiftTooFar { index: 0, shift: 32 });
        assert_eq!(refused(&[Insn::new(op::ST, 16), RET]), FilterError::ScratchIndex { index: 0, word: 16 });
        let nlattr = Insn::new(op::LD_W_ABS, skf::NLATTR);
        assert_eq!(refused(&[nlattr, RET]), FilterError::Ancillary { index: 0, offset: skf::NLATTR });
        let odd = Insn::new(op::LD_W_ABS, skf::AD_OFF + 1);
        assert_eq!(refused(&[odd, RET]), FilterError::Ancillary { index: 0, offset: skf::AD_OFF + 1 });
    }

    #[test]
    fn jumps_must_land_on_an_instruction() {
        let out = |index, target, last| FilterError::JumpOutOfRange { index, target, last };
        assert_eq!(refused(&[Insn::new(op::JMP_JA, 1), RET]), out(0, 2, 1));
        // A "backward" jump is a huge forward one: it must not wrap around.
        assert_eq!(refused(&[RET, Insn::new(op::JMP_JA, u32::MAX), RET]), out(1, 1 + (1 << 32), 2));
        assert_eq!(refused(&[Insn::jump(op::JMP | op::JEQ, 0, 0, 1), RET]), out(0, 2, 1));
    }

    #[test]
    fn scratch_must_be_written_on_every_way_to_a_read() {
        let read = Insn::new(op::LD_MEM, 3);
        let write = Insn::new(op::ST, 3);
        let fork = Insn::jump(op::JMP | op::JEQ, 0, 0, 1);
        assert!(Program::new(vec![write, read, RET]).is_ok());
        assert_eq!(refused(&[read, RET]), FilterError::ScratchUninitialised { index: 0, word: 3 });
        // One branch writes, the other does not.
        assert_eq!(
            refused(&[fork, write, read, RET]),
            FilterError::ScratchUninitialised { index: 2, word: 3 }
        );
        assert!(Program::new(vec![write, fork, write, read, RET]).is_ok());
    }
}
