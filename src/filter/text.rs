//! A program as text: the decimal lines of `tcpdump -ddd` (read and written), the C
//! initialisers of `-dd` and the listing of `-d` (written).
//!
//! Damage in text names its line, from 1.

use super::insn::{Insn, op, skf};
use super::program::{FilterError, MAX_INSNS, Program};
use std::fmt::Write as _;
use std::str::FromStr;

impl Program {
    /// Reads what `tcpdump -ddd` prints: a line with the count, then a line `code jt jf k` per instruction.
    ///
    /// # Errors
    /// [`FilterError::Text`] names the damaged line; else the check that failed.
    pub fn parse_ddd(text: &str) -> Result<Self, FilterError> {
        let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let Some((first, line)) = lines.next() else {
            return damaged(1, "there is no text".to_owned());
        };
        let count: usize = number(line, "the count of instructions", first.trim())?;
        if count > MAX_INSNS {
            return Err(FilterError::TooLong { len: count });
        }
        let mut insns = Vec::with_capacity(count);
        let mut last_line = line;
        for (text, line) in lines {
            if insns.len() == count {
                return damaged(line, format!("more instructions than the {count} that line 1 announces"));
            }
            insns.push(parse_line(line, text)?);
            last_line = line;
        }
        if insns.len() < count {
            let found = insns.len();
            return damaged(last_line, format!("the text ends after {found} of {count} instructions"));
        }
        Self::new(insns)
    }

    /// The program as `tcpdump -ddd` prints it.
    pub fn to_ddd(&self) -> String {
        let mut text = format!("{}\n", self.insns().len());
        for Insn { code, jt, jf, k } in self.insns() {
            let _ = writeln!(text, "{code} {jt} {jf} {k}");
        }
        text
    }

    /// The program as `tcpdump -dd` prints it: initialisers for C.
    pub fn to_c(&self) -> String {
        let mut text = String::new();
        for Insn { code, jt, jf, k } in self.insns() {
            let _ = writeln!(text, "{{ {code:#x}, {jt}, {jf}, {k:#010x} }},");
        }
        text
    }

    /// The program as `tcpdump -d` prints it, for people.
    pub fn disassemble(&self) -> String {
        let mut text = String::new();
        for (index, &insn) in self.insns().iter().enumerate() {
            let (name, operand) = (mnemonic(insn.code), operand(index, insn));
            let _ = if is_conditional(insn.code) {
                let (jt, jf) = (index + 1 + usize::from(insn.jt), index + 1 + usize::from(insn.jf));
                writeln!(text, "({index:03}) {name:<8} {operand:<16} jt {jt}\tjf {jf}")
            } else {
                writeln!(text, "({index:03}) {name:<8} {operand}")
            };
        }
        text
    }
}

fn damaged<T>(line: usize, what: String) -> Result<T, FilterError> {
    Err(FilterError::Text { line, what })
}

fn number<T: FromStr>(line: usize, name: &str, text: &str) -> Result<T, FilterError> {
    // `parse` would take a plus sign, which tcpdump never prints.
    match text.parse() {
        Ok(value) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(value),
        // The text is not ours: quote it escaped, and only its beginning.
        _ => damaged(
            line,
            format!("{name} is not a number in range: {:?}", text.chars().take(20).collect::<String>()),
        ),
    }
}

fn parse_line(line: usize, text: &str) -> Result<Insn, FilterError> {
    let mut fields = text.split_whitespace();
    let mut field = |name: &str| match fields.next() {
        Some(field) => Ok(field),
        None => damaged(line, format!("{name} is missing: an instruction is `code jt jf k`")),
    };
    let insn = Insn {
        code: number(line, "the opcode", field("the opcode")?)?,
        jt: number(line, "jt", field("jt")?)?,
        jf: number(line, "jf", field("jf")?)?,
        k: number(line, "k", field("k")?)?,
    };
    match fields.next() {
        None => Ok(insn),
        Some(_) => damaged(line, "more than the four numbers `code jt jf k`".to_owned()),
    }
}

fn is_conditional(code: u16) -> bool {
    code & op::CLASS_MASK == op::JMP && code != op::JMP_JA
}

fn mnemonic(code: u16) -> &'static str {
    let size = code & op::SIZE_MASK;
    let mode = code & op::MODE_MASK;
    match code & op::CLASS_MASK {
        op::LD if size == op::H => "ldh",
        op::LD if size == op::B => "ldb",
        op::LD => "ld",
        op::LDX if mode == op::MSH => "ldxb",
        op::LDX => "ldx",
        op::ST => "st",
        op::STX => "stx",
        op::ALU => match code & op::OPERATION_MASK {
            op::ADD => "add",
            op::SUB => "sub",
            op::MUL => "mul",
            op::DIV => "div",
            op::MOD => "mod",
            op::OR => "or",
            op::AND => "and",
            op::XOR => "xor",
            op::LSH => "lsh",
            op::RSH => "rsh",
            _ => "neg",
        },
        op::JMP => match code & op::OPERATION_MASK {
            op::JEQ => "jeq",
            op::JGT => "jgt",
            op::JGE => "jge",
            op::JSET => "jset",
            _ => "ja",
        },
        op::RET => "ret",
        _ if code == op::TXA => "txa",
        _ => "tax",
    }
}

fn operand(index: usize, insn: Insn) -> String {
    let k = insn.k;
    // libpcap prints offsets, distances and most constants with C's %d.
    let signed = k.cast_signed();
    match insn.code & op::CLASS_MASK {
        op::LD | op::LDX => match insn.code & op::MODE_MASK {
            op::ABS => ancillary_name(k).map_or_else(|| format!("[{signed}]"), |name| format!("[{name}]")),
            op::IND => format!("[x + {signed}]"),
            op::MEM => format!("M[{k}]"),
            op::LEN => "#pktlen".to_owned(),
            op::MSH => format!("4*([{signed}]&0xf)"),
            _ => format!("#{k:#x}"),
        },
        op::ST | op::STX => format!("M[{k}]"),
        op::ALU => match insn.code & op::OPERATION_MASK {
            op::NEG => String::new(),
            _ if insn.code & op::X != 0 => "x".to_owned(),
            op::AND | op::OR | op::XOR => format!("#{k:#x}"),
            _ => format!("#{signed}"),
        },
        // In range: the checks of `Program` bound the distance.
        op::JMP if insn.code == op::JMP_JA => format!("{}", index as u64 + 1 + u64::from(k)),
        op::JMP if insn.code & op::X != 0 => "x".to_owned(),
        op::JMP => format!("#{k:#x}"),
        op::RET if insn.code == op::RET => format!("#{signed}"),
        _ => String::new(),
    }
}

/// libpcap's names of the ancillary loads.
fn ancillary_name(offset: u32) -> Option<&'static str> {
    Some(match offset {
        skf::PROTOCOL => "proto",
        skf::PKTTYPE => "type",
        skf::IFINDEX => "ifidx",
        skf::MARK => "mark",
        skf::QUEUE => "queue",
        skf::HATYPE => "hatype",
        skf::RXHASH => "rxhash",
        skf::CPU => "cpu",
        skf::ALU_XOR_X => "xor_x",
        skf::VLAN_TAG => "vlan_tci",
        skf::VLAN_TAG_PRESENT => "vlanp",
        skf::RANDOM => "random",
        skf::VLAN_TPID => "vlan_tpid",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: &str = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n";

    #[test]
    fn tcpdump_text_is_read_and_written_unchanged() {
        let program = Program::parse_ddd(IP).unwrap();
        assert_eq!(program.to_ddd(), IP);
        assert_eq!(program.to_c().lines().nth(1), Some("{ 0x15, 0, 1, 0x00000800 },"));
        assert_eq!(
            program.disassemble(),
            "(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n"
        );
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let line_of = |text: &str| match Program::parse_ddd(text) {
            Err(FilterError::Text { line, what }) => (line, what),
            other => panic!("{text:?} gave {other:?}"),
        };
        assert_eq!(line_of("").0, 1);
        assert_eq!(line_of("x\n").0, 1);
        assert_eq!(line_of("2\n6 0 0 0\n").0, 2, "too few");
        assert_eq!(line_of("1\n6 0 0 0\n\n6 0 0 0\n").0, 4, "too many, with an empty line between");
        assert_eq!(line_of("2\n6 0 0 0\n6 0 0\n").0, 3);
        assert_eq!(line_of("1\n6 0 0 0 0\n").0, 2);
        assert_eq!(line_of("1\n6 256 0 0\n"), (2, "jt is not a number in range: \"256\"".to_owned()));
        assert_eq!(line_of("1\n6 0 0 -1\n").0, 2);
        assert_eq!(line_of("1\n6 0 0 +1\n").0, 2);
        assert_eq!(
            Program::parse_ddd("99999999999\n").unwrap_err(),
            FilterError::TooLong { len: 99_999_999_999 }
        );
        assert_eq!(Program::parse_ddd("1\n7 0 0 0\n").unwrap_err(), FilterError::NoReturn { index: 0 });
    }
}
