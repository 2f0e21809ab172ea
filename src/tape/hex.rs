//! Bytes in hex, with or without ASCII, exactly as tcpdump's `-x` and `-X` lay them out.

use std::fmt::Write;

/// Bytes on a line.
const LINE_BYTES: usize = 16;
/// Columns that a line's hex takes: eight groups of five.
const HEX_COLUMNS: usize = LINE_BYTES / 2 * 5;

/// Appends `bytes` as lines of hex, each ended.
pub fn dump(out: &mut String, bytes: &[u8], ascii: bool) {
    for (index, line) in bytes.chunks(LINE_BYTES).enumerate() {
        let _ = write!(out, "\t0x{:04x}: ", index * LINE_BYTES);
        for pair in line.chunks(2) {
            out.push(' ');
            for byte in pair {
                let _ = write!(out, "{byte:02x}");
            }
        }
        if ascii {
            let used: usize = line.chunks(2).map(|pair| 1 + 2 * pair.len()).sum();
            let _ = write!(out, "{:width$}  ", "", width = HEX_COLUMNS - used);
            out.extend(line.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }));
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_tcpdump_writes_them() {
        let bytes: Vec<u8> = (0x30..0x43).collect();
        let mut plain = String::new();
        dump(&mut plain, &bytes, false);
        assert_eq!(plain, "\t0x0000:  3031 3233 3435 3637 3839 3a3b 3c3d 3e3f\n\t0x0010:  4041 42\n");
        let mut ascii = String::new();
        dump(&mut ascii, &bytes, true);
        assert_eq!(
            ascii,
            "\t0x0000:  3031 3233 3435 3637 3839 3a3b 3c3d 3e3f  0123456789:;<=>?\n\
             \t0x0010:  4041 42                                  @AB\n"
        );
    }
}
