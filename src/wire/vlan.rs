//! VLAN tags (IEEE 802.1Q, 802.1ad, and the old 0x9100), outermost first.

use super::span::{Span, Stop, be16};
use crate::packet::Verdict;

/// Customer tag, 802.1Q.
pub const TPID_CTAG: u16 = 0x8100;
/// Service tag, 802.1ad.
pub const TPID_STAG: u16 = 0x88a8;
/// The tag that switches used for QinQ before 802.1ad.
pub const TPID_OLD_QINQ: u16 = 0x9100;
/// Most tags that the decoder follows.
pub const MAX_TAGS: usize = 4;
/// Length of a tag after its TPID: TCI and the next type.
const TAG_LEN: usize = 4;

/// One tag.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VlanTag {
    /// Tag protocol identifier.
    pub tpid: u16,
    /// Tag control information: priority (3 bits), drop eligible (1), VLAN id (12).
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN id.
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }
    /// The priority code point.
    pub const fn pcp(self) -> u16 {
        self.tci >> 13
    }
    /// The drop-eligible bit.
    pub const fn dei(self) -> bool {
        self.tci & 0x1000 != 0
    }
}

/// The tags of a frame, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VlanTags {
    tags: [VlanTag; MAX_TAGS],
    len: usize,
}

impl VlanTags {
    /// Outermost first.
    pub fn iter(&self) -> impl Iterator<Item = VlanTag> + '_ {
        self.tags.iter().copied().take(self.len)
    }
    /// How many.
    pub const fn len(&self) -> usize {
        self.len
    }
    /// True if the frame is untagged.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, tag: VlanTag) -> Result<(), Stop> {
        let slot = self.tags.get_mut(self.len).ok_or(Stop::Bad(Verdict::TOO_MANY_TAGS))?;
        *slot = tag;
        self.len += 1;
        Ok(())
    }
}

/// True if `ethertype` announces a tag.
pub const fn is_tpid(ethertype: u16) -> bool {
    matches!(ethertype, TPID_CTAG | TPID_STAG | TPID_OLD_QINQ)
}

/// Passes every tag from `ethertype` on; answers the type behind the last one. What was read stays in `tags`.
///
/// # Errors
/// `VLAN_TRUNCATED`, `TOO_MANY_TAGS`, or snapped.
pub fn enter<'a>(tags: &mut VlanTags, ethertype: u16, span: Span<'a>) -> Result<(u16, Span<'a>), Stop> {
    let (mut ethertype, mut span) = (ethertype, span);
    while is_tpid(ethertype) {
        let tag = span.header::<TAG_LEN>(Verdict::VLAN_TRUNCATED)?;
        tags.push(VlanTag { tpid: ethertype, tci: be16(tag, 0) })?;
        ethertype = be16(tag, 2);
        span = span.after(TAG_LEN);
    }
    Ok((ethertype, span))
}
