//! MPLS label stacks (RFC 3032), passed over. What follows the bottom label is not named
//! on the wire: its first nibble is taken as an IP version, as routers do (RFC 4928).

use super::span::{Span, Stop};
use crate::packet::Verdict;

/// EtherType of MPLS unicast.
pub const TYPE_UNICAST: u16 = 0x8847;
/// EtherType of MPLS with upstream-assigned labels, once "multicast".
pub const TYPE_UPSTREAM: u16 = 0x8848;
/// Most labels that the decoder follows.
pub const MAX_LABELS: u8 = 16;
/// Length of a label stack entry: label (20 bits), class (3), bottom (1), TTL (8).
const ENTRY_LEN: usize = 4;

/// True if `ethertype` announces a label stack.
pub const fn is_mpls(ethertype: u16) -> bool {
    matches!(ethertype, TYPE_UNICAST | TYPE_UPSTREAM)
}

/// Passes the label stack, counting in `labels`; answers what follows the bottom label.
///
/// # Errors
/// `MPLS_TRUNCATED`, `TOO_MANY_TAGS`, or snapped.
pub fn enter<'a>(labels: &mut u8, span: Span<'a>) -> Result<Span<'a>, Stop> {
    let mut span = span;
    loop {
        let entry = span.header::<ENTRY_LEN>(Verdict::MPLS_TRUNCATED)?;
        if *labels == MAX_LABELS {
            return Err(Stop::Bad(Verdict::TOO_MANY_TAGS));
        }
        *labels += 1;
        span = span.after(ENTRY_LEN);
        if entry[2] & 1 != 0 {
            return Ok(span);
        }
    }
}
