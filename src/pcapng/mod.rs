//! pcapng as the draft defines it: numbers shared by the reader and the writer.
//!
//! Pure: bytes in, values out. Block layouts are described beside the code that
//! reads ([`read`]) or writes them; draft-ietf-opsawg-pcapng is the authority.

pub mod read;
pub mod write;

/// The byte-order magic of a Section Header Block, as a number.
pub const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Block type, total length, total length again: the bytes that every block has around its body.
pub const BLOCK_OVERHEAD_BYTES: usize = 12;

/// Block types.
pub mod block {
    /// Interface Description Block.
    pub const INTERFACE_DESCRIPTION: u32 = 1;
    /// Packet Block: obsolete, still found in old files.
    pub const OBSOLETE_PACKET: u32 = 2;
    /// Simple Packet Block: no stamp, always of interface 0.
    pub const SIMPLE_PACKET: u32 = 3;
    /// Name Resolution Block.
    pub const NAME_RESOLUTION: u32 = 4;
    /// Interface Statistics Block.
    pub const INTERFACE_STATISTICS: u32 = 5;
    /// Enhanced Packet Block.
    pub const ENHANCED_PACKET: u32 = 6;
    /// Section Header Block. Reads the same in both byte orders.
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    /// Types with this bit set are for local use: readers that do not know them skip them.
    pub const LOCAL_BIT: u32 = 0x8000_0000;
}

/// Option codes. A code means different things in different blocks, hence the prefixes.
pub mod option {
    /// `opt_endofopt`: no option follows.
    pub const END: u16 = 0;
    /// `opt_comment`, in every block.
    pub const COMMENT: u16 = 1;
    /// Codes with this bit set are for local use.
    pub const LOCAL_BIT: u16 = 0x8000;

    /// `shb_hardware`.
    pub const SHB_HARDWARE: u16 = 2;
    /// `shb_os`.
    pub const SHB_OS: u16 = 3;
    /// `shb_userappl`.
    pub const SHB_USERAPPL: u16 = 4;

    /// `if_name`.
    pub const IF_NAME: u16 = 2;
    /// `if_description`.
    pub const IF_DESCRIPTION: u16 = 3;
    /// `if_MACaddr`, 6 bytes.
    pub const IF_MAC: u16 = 6;
    /// `if_speed`, bits a second, u64.
    pub const IF_SPEED: u16 = 8;
    /// `if_tsresol`, 1 byte: a negative power of ten, or of two if the top bit is set.
    pub const IF_TSRESOL: u16 = 9;
    /// `if_filter`: a byte of kind (0 = libpcap's language), then the filter.
    pub const IF_FILTER: u16 = 11;
    /// `if_os`.
    pub const IF_OS: u16 = 12;
    /// `if_fcslen`, 1 byte.
    pub const IF_FCSLEN: u16 = 13;
    /// `if_tsoffset`, seconds to add to each stamp, i64.
    pub const IF_TSOFFSET: u16 = 14;
    /// `if_hardware`.
    pub const IF_HARDWARE: u16 = 15;

    /// `epb_flags`, u32.
    pub const EPB_FLAGS: u16 = 2;
    /// `epb_dropcount`, u64.
    pub const EPB_DROPCOUNT: u16 = 4;
    /// `pack_flags` of the obsolete Packet Block, u32; means what `epb_flags` means.
    pub const PACK_FLAGS: u16 = 2;

    /// `isb_starttime`, two u32 (high, low) in the interface's units.
    pub const ISB_STARTTIME: u16 = 2;
    /// `isb_endtime`, two u32 (high, low) in the interface's units.
    pub const ISB_ENDTIME: u16 = 3;
    /// `isb_ifrecv`, u64.
    pub const ISB_IFRECV: u16 = 4;
    /// `isb_ifdrop`, u64.
    pub const ISB_IFDROP: u16 = 5;
    /// `isb_filteraccept`, u64.
    pub const ISB_FILTERACCEPT: u16 = 6;
    /// `isb_osdrop`, u64.
    pub const ISB_OSDROP: u16 = 7;
    /// `isb_usrdeliv`, u64.
    pub const ISB_USRDELIV: u16 = 8;
}
