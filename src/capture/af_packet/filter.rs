//! The program that the kernel runs before a packet reaches the ring: the user's
//! filter, with direction and snap length built in.

use super::{Direction, OpenError, RingOptions};
use crate::sys::packet_socket::PacketSocket;
use crate::sys::socket_filter::{self, Instruction};
use std::os::fd::AsFd;
use std::{io, mem};

/// `ret #k` and `ret a`.
const RETURN_K: u16 = 0x06;
/// `ldb [k]`.
const LOAD_BYTE: u16 = 0x30;
/// `ld #k`.
const LOAD_CONSTANT: u16 = 0x00;
/// `jeq #k, jt, jf`.
const JUMP_EQUAL: u16 = 0x15;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: the direction, out of the packet's metadata.
const PACKET_TYPE: u32 = 0xffff_f004;
const OUTGOING: u32 = 4;
const _: () = assert!(libc::PACKET_OUTGOING == 4);
const EVERYTHING: u32 = u32::MAX;

/// The program for `options`, or `None` if all packets are to be let in whole. `filter_incoming` asks it to turn
/// away what this host sent, for kernels (or fanout groups) that cannot be told otherwise.
pub(super) fn program(options: &RingOptions, filter_incoming: bool) -> Option<Vec<Instruction>> {
    let snaplen = if options.snaplen == 0 { EVERYTHING } else { options.snaplen };
    let mut program = match options.direction {
        Direction::Out => direction_prefix(true),
        Direction::In if filter_incoming => direction_prefix(false),
        Direction::In | Direction::Both => Vec::new(),
    };
    match &options.filter {
        Some(filter) => program.extend(filter.iter().map(|insn| cut_return(*insn, snaplen))),
        None if program.is_empty() && snaplen == EVERYTHING => return None,
        None => program.push((RETURN_K, 0, 0, snaplen)),
    }
    Some(program)
}

/// Lets through what was sent (or was not), and leaves the accumulator as a program finds it: zero.
fn direction_prefix(want_outgoing: bool) -> Vec<Instruction> {
    let (if_outgoing, otherwise) = if want_outgoing { (1, 0) } else { (0, 1) };
    vec![
        (LOAD_BYTE, 0, 0, PACKET_TYPE),
        (JUMP_EQUAL, if_outgoing, otherwise, OUTGOING),
        (RETURN_K, 0, 0, 0),
        (LOAD_CONSTANT, 0, 0, 0),
    ]
}

/// A filter answers how many bytes it wants: no more than the snap length.
const fn cut_return(insn: Instruction, snaplen: u32) -> Instruction {
    let (code, jt, jf, k) = insn;
    if code == RETURN_K && k > snaplen { (code, jt, jf, snaplen) } else { insn }
}

/// Lets nothing in any more.
pub(super) fn reject_all(socket: &PacketSocket) -> io::Result<()> {
    socket_filter::attach(socket.as_fd(), &[(RETURN_K, 0, 0, 0)])
}

/// Attaches the program, or one that lets all in.
pub(super) fn attach(
    socket: &PacketSocket,
    program: Option<&[Instruction]>,
    interface: &str,
) -> Result<(), OpenError> {
    let program = program.unwrap_or(&[(RETURN_K, 0, 0, EVERYTHING)]);
    if program.len() > socket_filter::MAX_INSTRUCTIONS {
        return Err(OpenError::FilterTooLong { instructions: program.len() });
    }
    socket_filter::attach(socket.as_fd(), program).map_err(|error| {
        let bytes = mem::size_of_val(program);
        OpenError::Filter { interface: interface.to_owned(), instructions: program.len(), bytes, error }
    })
}

#[cfg(test)]
mod tests {
    use super::{OUTGOING, PACKET_TYPE, program};
    use crate::capture::af_packet::{Direction, RingOptions};

    fn options(direction: Direction, snaplen: u32) -> RingOptions {
        RingOptions { snaplen, direction, ..RingOptions::new("lo") }
    }

    #[test]
    fn no_program_is_installed_if_everything_is_wanted() {
        assert_eq!(program(&options(Direction::In, 0), false), None);
        assert_eq!(program(&options(Direction::Both, 0), true), None);
    }

    #[test]
    fn the_snap_length_caps_what_a_filter_answers() {
        let mut options = options(Direction::In, 96);
        options.filter = Some(vec![(0x06, 0, 0, 262_144), (0x06, 0, 0, 0), (0x06, 0, 0, 64)]);
        let built = program(&options, false).unwrap();
        assert_eq!(built.iter().map(|i| i.3).collect::<Vec<_>>(), [96, 0, 64]);
    }

    #[test]
    fn outgoing_means_outgoing_alone() {
        let built = program(&options(Direction::Out, 0), false).unwrap();
        assert_eq!(built[0].3, PACKET_TYPE);
        assert_eq!(built[1], (0x15, 1, 0, OUTGOING), "jumps over the rejection if it was sent");
        assert_eq!(built[2], (0x06, 0, 0, 0));
        let built = program(&options(Direction::In, 0), true).unwrap();
        assert_eq!(built[1], (0x15, 0, 1, OUTGOING));
    }
}
