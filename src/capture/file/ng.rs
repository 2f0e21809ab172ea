//! pcapng: sections with interfaces of their own, each counting time in its own units.

use super::MAX_PACKET_BYTES;
use super::batch::Record;
use super::format::{Step, Trouble};
use crate::packet::{EpbFlags, LinkType};
use crate::pcapng::read::{
    Block, ByteOrder, Damage, EnhancedPacket, InterfaceDescription, Next, ObsoletePacket, SimplePacket,
    TickUnit, View, next_block,
};
use crate::time::{Stamp, StampClock};
use std::ops::Range;

/// Most interfaces that a file may describe: more come from damage or malice, and each costs memory.
const MAX_INTERFACES: u32 = 65_536;
/// Where a packet's bytes stand in their block: after type, length and the fixed fields.
const ENHANCED_BYTES_AT: usize = 28;
const SIMPLE_BYTES_AT: usize = 12;

/// Where the reading stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Ng {
    order: Option<ByteOrder>,
    /// Interfaces of this section.
    section: Vec<Interface>,
    /// Interfaces of the sections before: the next section's are numbered on from here.
    earlier: u32,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    unit: TickUnit,
    fcs_bytes: u32,
}

impl From<Damage> for Trouble {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage.offset, damage.kind.to_string())
    }
}

impl Ng {
    pub(super) fn step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Trouble> {
        let block = match next_block(bytes, self.order, offset)? {
            Next::Block(block) => block,
            Next::Short { needed } => return Ok(Step::Short { needed }),
        };
        let len = block.total_len();
        match block.view()? {
            View::Section(_) => {
                self.order = Some(block.order);
                self.earlier += self.interfaces_here();
                self.section.clear();
                Ok(Step::Nothing { len })
            }
            View::Interface(description) => self.interface(&block, &description),
            View::Enhanced(packet) => self.enhanced(&block, &packet),
            View::Simple(packet) => self.simple(&block, packet),
            View::Obsolete(packet) => self.obsolete(&block, &packet),
            View::Statistics(_) | View::Names(_) | View::Other(_) => Ok(Step::Nothing { len }),
        }
    }

    fn interfaces_here(&self) -> u32 {
        u32::try_from(self.section.len()).unwrap_or(MAX_INTERFACES)
    }

    fn interface(&mut self, block: &Block<'_>, said: &InterfaceDescription<'_>) -> Result<Step, Trouble> {
        if self.earlier + self.interfaces_here() >= MAX_INTERFACES {
            let what = format!("more than {MAX_INTERFACES} interfaces");
            return Err(Trouble::damaged(block.offset, what));
        }
        let def = said.to_def()?;
        let (unit, fcs_bytes) = (said.tick_unit()?, said.fcs_bytes()?);
        self.section.push(Interface { link: said.link, snaplen: said.snaplen, unit, fcs_bytes });
        Ok(Step::Interface { len: block.total_len(), def })
    }

    /// The section's interface of a number, and its number in the source.
    fn known(&self, index: u32, block: &Block<'_>) -> Result<(Interface, u32), Trouble> {
        let found = usize::try_from(index).ok().and_then(|index| self.section.get(index));
        found.map(|interface| (*interface, self.earlier + index)).ok_or_else(|| {
            let have = self.section.len();
            let what = format!("packet of interface {index}, but its section has described only {have}");
            Trouble::damaged(block.offset, what)
        })
    }

    fn enhanced(&self, block: &Block<'_>, packet: &EnhancedPacket<'_>) -> Result<Step, Trouble> {
        let (of, interface) = self.known(packet.interface, block)?;
        let (flags, lost_before) = packet.flags_and_drops()?;
        let bytes = placed(ENHANCED_BYTES_AT, packet.bytes, block)?;
        let time = of.unit.to_ns(packet.ticks);
        let record = Record {
            bytes,
            wire_len: packet.wire_len,
            stamp: Stamp::new(time.ns, StampClock::FILE),
            interface,
            link: of.link,
            flags: with_fcs(flags, of.fcs_bytes),
            lost_before,
        };
        Ok(Step::Record { len: block.total_len(), record, out_of_range: time.out_of_range })
    }

    fn simple(&self, block: &Block<'_>, packet: SimplePacket<'_>) -> Result<Step, Trouble> {
        let (of, interface) = self.known(0, block)?;
        let bytes = placed(SIMPLE_BYTES_AT, packet.bytes(of.snaplen)?, block)?;
        let record = Record {
            bytes,
            wire_len: packet.wire_len,
            stamp: Stamp::new(0, StampClock::NONE),
            interface,
            link: of.link,
            flags: with_fcs(EpbFlags::NONE, of.fcs_bytes),
            lost_before: 0,
        };
        Ok(Step::Record { len: block.total_len(), record, out_of_range: false })
    }

    fn obsolete(&self, block: &Block<'_>, packet: &ObsoletePacket<'_>) -> Result<Step, Trouble> {
        let (of, interface) = self.known(u32::from(packet.interface), block)?;
        let bytes = placed(ENHANCED_BYTES_AT, packet.bytes, block)?;
        let time = of.unit.to_ns(packet.ticks);
        let record = Record {
            bytes,
            wire_len: packet.wire_len,
            stamp: Stamp::new(time.ns, StampClock::FILE),
            interface,
            link: of.link,
            flags: with_fcs(packet.flags()?, of.fcs_bytes),
            lost_before: packet.drops.map_or(0, u64::from),
        };
        Ok(Step::Record { len: block.total_len(), record, out_of_range: time.out_of_range })
    }
}

/// Where a packet's bytes lie, counted from the block's first.
fn placed(at: usize, bytes: &[u8], block: &Block<'_>) -> Result<Range<usize>, Trouble> {
    if u32::try_from(bytes.len()).is_ok_and(|len| len <= MAX_PACKET_BYTES) {
        return Ok(at..at + bytes.len());
    }
    let what =
        format!("packet of {} captured bytes; the longest there can be is {MAX_PACKET_BYTES}", bytes.len());
    Err(Trouble::damaged(block.offset, what))
}

/// The packet's own word, completed by what its interface says of the check sequence.
const fn with_fcs(flags: EpbFlags, fcs_bytes: u32) -> EpbFlags {
    if flags.fcs_len() == 0 { EpbFlags(flags.0 | fcs_bytes << 5) } else { flags }
}
