//! The fields of each kind of block, read when asked for.

use super::{Block, Damage, DamageKind, Options, TickUnit};
use crate::packet::{EpbFlags, InterfaceDef, LinkType};
use crate::pcapng::{block, option};

/// A block by its kind.
#[derive(Clone, Debug)]
pub enum View<'a> {
    /// Section Header Block: a new section, with interfaces of its own.
    Section(SectionHeader<'a>),
    /// Interface Description Block: the section's next interface.
    Interface(InterfaceDescription<'a>),
    /// Enhanced Packet Block.
    Enhanced(EnhancedPacket<'a>),
    /// Simple Packet Block.
    Simple(SimplePacket<'a>),
    /// The obsolete Packet Block.
    Obsolete(ObsoletePacket<'a>),
    /// Interface Statistics Block.
    Statistics(InterfaceStatistics<'a>),
    /// Name Resolution Block: its body, unread.
    Names(&'a [u8]),
    /// A block of another type, local ones among them: for skipping.
    Other(u32),
}

impl<'a> Block<'a> {
    /// Reads the fixed fields.
    ///
    /// # Errors
    /// [`Damage`] if they are not all there, or a packet does not fit.
    pub fn view(&self) -> Result<View<'a>, Damage> {
        Ok(match self.block_type {
            block::SECTION_HEADER => View::Section(SectionHeader::read(self)?),
            block::INTERFACE_DESCRIPTION => View::Interface(InterfaceDescription::read(self)?),
            block::ENHANCED_PACKET => View::Enhanced(EnhancedPacket::read(self)?),
            block::SIMPLE_PACKET => View::Simple(SimplePacket::read(self)?),
            block::OBSOLETE_PACKET => View::Obsolete(ObsoletePacket::read(self)?),
            block::INTERFACE_STATISTICS => View::Statistics(InterfaceStatistics::read(self)?),
            block::NAME_RESOLUTION => View::Names(self.body),
            other => View::Other(other),
        })
    }

    fn too_short(&self) -> Damage {
        let kind = DamageKind::BodyTooShort { block_type: self.block_type, body: self.body.len() as u64 };
        Damage { offset: self.offset, kind }
    }
    fn u16_at(&self, at: usize) -> Result<u16, Damage> {
        self.order.u16_at(self.body, at).ok_or_else(|| self.too_short())
    }
    fn u32_at(&self, at: usize) -> Result<u32, Damage> {
        self.order.u32_at(self.body, at).ok_or_else(|| self.too_short())
    }
    /// Two words, the high one first whatever the byte order.
    fn high_low_at(&self, at: usize) -> Result<u64, Damage> {
        Ok(u64::from(self.u32_at(at)?) << 32 | u64::from(self.u32_at(at + 4)?))
    }
    /// A packet's bytes from byte `from` of the body on, and the options behind their padding.
    fn packet_at(&self, from: usize, captured: u32) -> Result<(&'a [u8], Options<'a>), Damage> {
        let room = self.body.get(from..).ok_or_else(|| self.too_short())?;
        // The body's length is a multiple of four, so where the bytes fit, their padding fits.
        let bytes = usize::try_from(captured).ok().and_then(|captured| room.get(..captured));
        let bytes = bytes.ok_or_else(|| self.packet_too_long(captured, room.len()))?;
        Ok((bytes, self.options(from + bytes.len().next_multiple_of(4))))
    }
    fn packet_too_long(&self, captured: u32, room: usize) -> Damage {
        let kind = DamageKind::PacketTooLong { captured, room: room as u64 };
        Damage { offset: self.offset, kind }
    }
}

/// Section Header Block.
#[derive(Clone, Debug)]
pub struct SectionHeader<'a> {
    /// Major version, 1.
    pub major: u16,
    /// Minor version, 0 (or 2, which means the same).
    pub minor: u16,
    /// Bytes in the section behind this block; `None` if its writer did not know.
    pub section_bytes: Option<u64>,
    /// Hardware, system and program that wrote it, comments.
    pub options: Options<'a>,
}

impl<'a> SectionHeader<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        let (major, minor) = (block.u16_at(4)?, block.u16_at(6)?);
        if major != 1 || (minor != 0 && minor != 2) {
            let kind = DamageKind::UnknownVersion { major, minor };
            return Err(Damage { offset: block.body_offset() + 4, kind });
        }
        let section = block.order.u64_at(block.body, 8).ok_or_else(|| block.too_short())?;
        let section_bytes = (section != u64::MAX).then_some(section);
        Ok(Self { major, minor, section_bytes, options: block.options(16) })
    }
}

/// Interface Description Block.
#[derive(Clone, Debug)]
pub struct InterfaceDescription<'a> {
    /// How its packets begin.
    pub link: LinkType,
    /// Longest packet that was kept, bytes; 0 = no limit.
    pub snaplen: u32,
    /// Everything else.
    pub options: Options<'a>,
}

impl<'a> InterfaceDescription<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        let link = LinkType(block.u16_at(0)?);
        Ok(Self { link, snaplen: block.u32_at(4)?, options: block.options(8) })
    }

    /// How it counts time.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn tick_unit(&self) -> Result<TickUnit, Damage> {
        let mut unit = TickUnit::default();
        for option in self.options.clone() {
            let option = option?;
            match option.code {
                option::IF_TSRESOL => unit.tsresol = option.u8()?,
                option::IF_TSOFFSET => unit.offset_s = option.u64()?.cast_signed(),
                _ => {}
            }
        }
        Ok(unit)
    }

    /// Length of the frame check sequence at the end of its packets, bytes; 0 if it does not say.
    ///
    /// The draft counts bits; programs that count bytes exist. No check sequence is 2 or 4 bits long,
    /// so both can be understood.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn fcs_bytes(&self) -> Result<u32, Damage> {
        let Some(option) = self.options.find(option::IF_FCSLEN)? else { return Ok(0) };
        Ok(match option.u8()? {
            2 | 16 => 2,
            4 | 32 => 4,
            _ => 0,
        })
    }

    /// Everything that the rest of the program wants to know of an interface. A hardware address or
    /// speed of a wrong size is left out: it only describes, and is no reason to refuse packets.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn to_def(&self) -> Result<InterfaceDef, Damage> {
        let mut def = InterfaceDef::named("", self.link);
        def.snaplen = self.snaplen;
        for option in self.options.clone() {
            let option = option?;
            match option.code {
                option::IF_NAME => def.name = option.text(),
                option::IF_DESCRIPTION => def.description = option.text(),
                option::IF_HARDWARE => def.hardware = option.text(),
                option::IF_MAC => def.mac = option.array().ok(),
                option::IF_SPEED => def.speed_bps = option.u64().unwrap_or(0),
                option::IF_FILTER => def.filter = filter_text(option.value),
                _ => {}
            }
        }
        Ok(def)
    }
}

/// The filter as text: only kind 0 is text, and some writers leave the kind out.
fn filter_text(value: &[u8]) -> String {
    let text = match value {
        // 1 is compiled code, which nobody typed.
        [1, ..] => &[],
        [0, text @ ..] | text => text,
    };
    String::from_utf8_lossy(text).into_owned()
}

/// Enhanced Packet Block.
#[derive(Clone, Debug)]
pub struct EnhancedPacket<'a> {
    /// Which of the section's interfaces.
    pub interface: u32,
    /// Time in the interface's ticks.
    pub ticks: u64,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// Flags, drop count, comments, local ones.
    pub options: Options<'a>,
}

impl<'a> EnhancedPacket<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        let captured = block.u32_at(12)?;
        let wire_len = block.u32_at(16)?;
        let (bytes, options) = block.packet_at(20, captured)?;
        Ok(Self { interface: block.u32_at(0)?, ticks: block.high_low_at(4)?, bytes, wire_len, options })
    }

    /// `epb_flags` and `epb_dropcount`; none and 0 where they are absent.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn flags_and_drops(&self) -> Result<(EpbFlags, u64), Damage> {
        let (mut flags, mut drops) = (EpbFlags::NONE, 0);
        for option in self.options.clone() {
            let option = option?;
            match option.code {
                option::EPB_FLAGS => flags = EpbFlags(option.u32()?),
                option::EPB_DROPCOUNT => drops = option.u64()?,
                _ => {}
            }
        }
        Ok((flags, drops))
    }
}

/// Simple Packet Block: no time, no options, always of the section's first interface.
#[derive(Clone, Copy, Debug)]
pub struct SimplePacket<'a> {
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// The captured bytes with their padding: how many are packet depends on the interface.
    padded: &'a [u8],
    offset: u64,
}

impl<'a> SimplePacket<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        let padded = block.body.get(4..).ok_or_else(|| block.too_short())?;
        Ok(Self { wire_len: block.u32_at(0)?, padded, offset: block.offset })
    }

    /// The captured bytes, given the snap length of the section's first interface.
    ///
    /// # Errors
    /// [`DamageKind::PacketTooLong`] if the block is too short for them.
    pub fn bytes(&self, snaplen: u32) -> Result<&'a [u8], Damage> {
        let captured = if snaplen == 0 { self.wire_len } else { self.wire_len.min(snaplen) };
        let bytes = usize::try_from(captured).ok().and_then(|captured| self.padded.get(..captured));
        let room = self.padded.len() as u64;
        bytes.ok_or(Damage { offset: self.offset, kind: DamageKind::PacketTooLong { captured, room } })
    }
}

/// The obsolete Packet Block.
#[derive(Clone, Debug)]
pub struct ObsoletePacket<'a> {
    /// Which of the section's interfaces.
    pub interface: u16,
    /// Packets lost between the one before and this; `None` if the writer did not know.
    pub drops: Option<u16>,
    /// Time in the interface's ticks.
    pub ticks: u64,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// Flags, comments.
    pub options: Options<'a>,
}

impl<'a> ObsoletePacket<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        let captured = block.u32_at(12)?;
        let wire_len = block.u32_at(16)?;
        let (bytes, options) = block.packet_at(20, captured)?;
        let drops = block.u16_at(2)?;
        let drops = (drops != u16::MAX).then_some(drops);
        let (interface, ticks) = (block.u16_at(0)?, block.high_low_at(4)?);
        Ok(Self { interface, drops, ticks, bytes, wire_len, options })
    }

    /// `pack_flags`; none if absent.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn flags(&self) -> Result<EpbFlags, Damage> {
        let mut flags = EpbFlags::NONE;
        for option in self.options.clone() {
            let option = option?;
            if option.code == option::PACK_FLAGS {
                flags = EpbFlags(option.u32()?);
            }
        }
        Ok(flags)
    }
}

/// Interface Statistics Block.
#[derive(Clone, Debug)]
pub struct InterfaceStatistics<'a> {
    /// Which of the section's interfaces.
    pub interface: u32,
    /// When the numbers were read, in the interface's ticks.
    pub ticks: u64,
    /// The numbers; their codes are the `ISB_…` ones of [`option`].
    pub options: Options<'a>,
}

impl<'a> InterfaceStatistics<'a> {
    fn read(block: &Block<'a>) -> Result<Self, Damage> {
        Ok(Self { interface: block.u32_at(0)?, ticks: block.high_low_at(4)?, options: block.options(12) })
    }

    /// The counter of a code, e.g. [`option::ISB_OSDROP`].
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn counter(&self, code: u16) -> Result<Option<u64>, Damage> {
        self.options.find(code)?.map(|option| option.u64()).transpose()
    }
    /// The time of a code ([`option::ISB_STARTTIME`], [`option::ISB_ENDTIME`]), in the interface's ticks.
    ///
    /// # Errors
    /// [`Damage`] in the options.
    pub fn time_ticks(&self, code: u16) -> Result<Option<u64>, Damage> {
        self.options.find(code)?.map(|option| option.high_low()).transpose()
    }
}
