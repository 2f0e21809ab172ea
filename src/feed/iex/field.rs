//! The types of IEX's fields, read from fixed places of a message whose length is known.

use std::fmt;

/// A price as the wire has it: signed, in 1/10,000 dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Price4(pub i64);

impl Price4 {
    /// In 1e-9 dollar; `None` if that does not fit.
    pub const fn nanos(self) -> Option<i64> {
        self.0.checked_mul(100_000)
    }
}

/// A text field without the spaces (or zeros) that pad it.
pub fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// A field at a fixed place. That it lies within the message is checked when the program is compiled.
pub(super) trait Field: Sized {
    /// Width, bytes.
    const WIDTH: usize;
    /// Reads the field at `AT` of a message of `N` bytes.
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self;
    /// Appends `value` as people write it: prices in 1e-9, printable bytes as characters.
    fn describe(self, out: &mut String);
}

/// `W` bytes at `AT`.
const fn bytes<const AT: usize, const W: usize, const N: usize>(message: &[u8; N]) -> [u8; W] {
    const { assert!(AT + W <= N, "the field lies within the message") };
    let mut field = [0; W];
    let mut at = 0;
    while at < W {
        field[at] = message[AT + at];
        at += 1;
    }
    field
}

fn push(out: &mut String, value: fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = fmt::Write::write_fmt(out, value);
}

impl Field for u8 {
    const WIDTH: usize = 1;
    #[inline]
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self {
        bytes::<AT, 1, N>(message)[0]
    }
    fn describe(self, out: &mut String) {
        if self.is_ascii_graphic() {
            out.push(char::from(self));
        } else {
            push(out, format_args!("{self:#04x}"));
        }
    }
}

impl Field for u32 {
    const WIDTH: usize = 4;
    #[inline]
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self {
        Self::from_le_bytes(bytes::<AT, 4, N>(message))
    }
    fn describe(self, out: &mut String) {
        push(out, format_args!("{self}"));
    }
}

impl Field for i64 {
    const WIDTH: usize = 8;
    #[inline]
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self {
        Self::from_le_bytes(bytes::<AT, 8, N>(message))
    }
    fn describe(self, out: &mut String) {
        push(out, format_args!("{self}"));
    }
}

impl Field for Price4 {
    const WIDTH: usize = 8;
    #[inline]
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self {
        Self(i64::read::<AT, N>(message))
    }
    fn describe(self, out: &mut String) {
        match self.nanos() {
            Some(nanos) => push(out, format_args!("{nanos}")),
            None => push(out, format_args!("{}e-4", self.0)),
        }
    }
}

impl<const W: usize> Field for [u8; W] {
    const WIDTH: usize = W;
    #[inline]
    fn read<const AT: usize, const N: usize>(message: &[u8; N]) -> Self {
        bytes::<AT, W, N>(message)
    }
    fn describe(self, out: &mut String) {
        push(out, format_args!("{}", trimmed(&self).escape_ascii()));
    }
}
