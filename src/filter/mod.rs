//! Packet filters: checked classic BPF programs, an interpreter for them, their text
//! forms, and a compiler of our own for lists of multicast groups.
//!
//! Pure: bytes and values in, values out. Expressions are compiled by libpcap
//! (`sys::libpcap`); what comes back is only trusted once [`Program::new`] has checked it
//! as the kernel would. Always true of a [`Program`]: every opcode is known, every jump
//! goes forward to an instruction that exists, no scratch word is read before it is
//! written, the last instruction returns. So [`Program::run`] ends after at most
//! `insns().len()` steps on any bytes. What fails is a typed [`FilterError`] that names
//! the instruction, line or group and the mend; a packet that a program cannot be run on
//! (a load past its end, a division by zero) is rejected, as in the kernel.

mod groups;
mod insn;
mod interp;
mod program;
mod text;

pub use groups::{GroupPort, GroupsError, for_groups};
pub use insn::{Insn, op, skf};
pub use interp::Aux;
pub use program::{FilterError, MAX_INSNS, Program};
