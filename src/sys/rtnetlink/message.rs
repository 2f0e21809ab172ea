//! Netlink messages as bytes: a small encoder, and checked readers.
//!
//! Host byte order, everything aligned to four bytes (netlink(7), rtnetlink(7)).
//! Pure; what the kernel answers is checked like any other input.

#![expect(clippy::host_endian_bytes, reason = "netlink is in the host's byte order by definition")]

/// Length of `struct nlmsghdr`.
pub(super) const HEADER_LEN: usize = 16;

/// `NLMSG_ERROR`: an acknowledgement (errno 0) or a refusal.
pub(super) const KIND_ERROR: u16 = 2;

const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const ATTR_NESTED: u16 = 0x8000;
const EXT_ACK_MESSAGE: u16 = 1;

/// Rounds up to netlink's alignment.
const fn align(len: usize) -> usize {
    (len + 3) & !3
}

/// A request under construction. Lengths are patched in when they are known.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(super) fn new(kind: u16, flags: u16, sequence: u32) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]); // port id: the kernel fills in ours
        Self { bytes }
    }

    /// `struct ifinfomsg`: index 0 = named by attribute or to be made; `flags` are set where `mask` has a bit.
    pub(super) fn interface(mut self, index: u32, flags: u32, mask: u32) -> Self {
        self.bytes.extend([0; 4]); // family, pad, device type
        self.bytes.extend(index.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(mask.to_ne_bytes());
        self
    }

    /// `struct ifaddrmsg`, scope global.
    pub(super) fn address(mut self, family: u8, prefix_bits: u8, flags: u8, index: u32) -> Self {
        self.bytes.extend([family, prefix_bits, flags, 0]);
        self.bytes.extend(index.to_ne_bytes());
        self
    }

    pub(super) fn bytes_attr(mut self, kind: u16, value: &[u8]) -> Self {
        let start = self.open(kind);
        self.bytes.extend(value);
        self.close(start);
        self
    }

    pub(super) fn u32_attr(self, kind: u16, value: u32) -> Self {
        self.bytes_attr(kind, &value.to_ne_bytes())
    }

    pub(super) fn str_attr(self, kind: u16, value: &str) -> Self {
        let mut terminated = value.as_bytes().to_vec();
        terminated.push(0);
        self.bytes_attr(kind, &terminated)
    }

    /// An attribute whose value is whatever `inner` appends.
    pub(super) fn nested(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.open(kind | ATTR_NESTED);
        let mut this = inner(self);
        this.close(start);
        this
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        // An attribute of ours is a name or a number: far below 64 KiB.
        let len = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes.resize(align(self.bytes.len()), 0);
    }

    /// The message, ready to be sent.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}

/// One message of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram; ends at the first one whose length cannot be true.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_at(rest, 0)?).ok()?;
        let body = rest.get(HEADER_LEN..len)?;
        let message =
            Message { kind: u16_at(rest, 4)?, flags: u16_at(rest, 6)?, sequence: u32_at(rest, 8)?, body };
        rest = rest.get(align(len)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes of a region; ends at the first one whose length cannot be true.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !ATTR_NESTED;
        let value = rest.get(4..len)?;
        rest = rest.get(align(len)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Of a [`KIND_ERROR`] message: the errno (0 = acknowledged) and the kernel's own explanation, if it gave one.
pub(super) fn acknowledgement(message: &Message<'_>) -> Option<(i32, Option<String>)> {
    let errno = u32_at(message.body, 0)?.cast_signed().checked_neg()?;
    let mut explanation = None;
    if message.flags & FLAG_ACK_TLVS != 0 {
        let echoed = usize::try_from(u32_at(message.body, 4)?).ok()?;
        // The request comes back in front of the attributes: all of it, or only its header.
        let skip = 4 + if message.flags & FLAG_CAPPED != 0 { HEADER_LEN } else { align(echoed) };
        explanation = attributes(message.body.get(skip..)?)
            .find(|&(kind, _)| kind == EXT_ACK_MESSAGE)
            .map(|(_, text)| String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
    }
    Some((errno, explanation))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_reads_back_as_it_was_built() {
        let bytes = Request::new(16, 5, 7)
            .interface(3, 1, 1)
            .str_attr(3, "wt0")
            .nested(18, |r| r.str_attr(1, "veth").u32_attr(2, 9))
            .finish();
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (16, 5, 7));
        let outer: Vec<_> = attributes(&all[0].body[16..]).collect();
        assert_eq!(outer[0], (3, b"wt0\0".as_slice()));
        let inner: Vec<_> = attributes(outer[1].1).collect();
        assert_eq!(inner, [(1, b"veth\0".as_slice()), (2, 9u32.to_ne_bytes().as_slice())]);
    }

    #[test]
    fn a_refusal_carries_its_errno_and_the_kernels_words() {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend(Request::new(16, 5, 7).finish());
        let body = Request { bytes: body }.str_attr(EXT_ACK_MESSAGE, "name taken").bytes;
        let message =
            Message { kind: KIND_ERROR, flags: FLAG_CAPPED | FLAG_ACK_TLVS, sequence: 7, body: &body };
        assert_eq!(acknowledgement(&message), Some((17, Some("name taken".to_owned()))));
    }

    proptest! {
        #[test]
        fn no_reply_can_make_the_reader_panic_or_run_on(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = acknowledgement(&message);
                prop_assert!(attributes(message.body).count() <= bytes.len());
            }
        }
    }
}
