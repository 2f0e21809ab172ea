//! Writes packets and messages, driven by the same table that reads them: for tests and generated feeds.

use super::layout::{Block, Dimension, Field, Template};
use super::sbe::MESSAGE_HEADER_LEN;
use super::templates::SCHEMA_ID;

/// Writes a packet header; messages follow.
pub fn packet(into: &mut Vec<u8>, sequence: u32, sent_ns: u64) {
    into.extend_from_slice(&sequence.to_le_bytes());
    into.extend_from_slice(&sent_ns.to_le_bytes());
}

/// Bytes that blocks are longer than the template's version states: what a later version would add.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Growth {
    /// In the root.
    pub root: u16,
    /// In each entry of each group.
    pub entry: u16,
}

/// Writes one message. Fields that are not set are null, or 0 where the field has no null; text is spaces.
#[derive(Debug)]
pub struct Encoder<'v> {
    into: &'v mut Vec<u8>,
    template: &'static Template,
    version: u16,
    growth: Growth,
    /// Where the message begins.
    start: usize,
    /// Where the block that is being written begins, and what it is.
    block_at: usize,
    block: &'static Block,
    /// Groups begun, by place: where the dimension of the last one stands.
    begun: usize,
    dimension_at: usize,
}

impl<'v> Encoder<'v> {
    /// Begins a message of a template in a version; its root comes first.
    pub fn begin(into: &'v mut Vec<u8>, template: &'static Template, version: u16) -> Self {
        Self::begin_grown(into, template, version, Growth::default())
    }

    /// The same with longer blocks.
    pub fn begin_grown(
        into: &'v mut Vec<u8>,
        template: &'static Template,
        version: u16,
        growth: Growth,
    ) -> Self {
        let start = into.len();
        let block_length = template.root.length(version) + growth.root;
        // The size is filled in at the end.
        for word in [0, block_length, template.id, SCHEMA_ID, version] {
            into.extend_from_slice(&word.to_le_bytes());
        }
        let block_at = start + MESSAGE_HEADER_LEN;
        let block = &template.root;
        let mut encoder =
            Self { into, template, version, growth, start, block_at, block, begun: 0, dimension_at: 0 };
        encoder.fill(growth.root);
        encoder
    }

    /// Appends the current block, empty.
    fn fill(&mut self, growth: u16) {
        let length = usize::from(self.block.length(self.version) + growth);
        self.into.resize(self.block_at + length, 0);
        for field in self.block.fields {
            let (at, bytes) = (usize::from(field.offset), usize::from(field.ty.bytes));
            let at = self.block_at + at;
            let Some(place) = self.into.get_mut(at..at + bytes).filter(|_| field.since <= self.version)
            else {
                continue;
            };
            match field.ty.null {
                Some(null) => place.copy_from_slice(null.to_le_bytes().get(..bytes).unwrap_or_default()),
                None if field.ty.kind == super::layout::Kind::Text => place.fill(b' '),
                None => {}
            }
        }
    }

    fn place(&mut self, name: &str) -> Option<(&mut [u8], &'static Field)> {
        let field = self.block.field(name).filter(|field| field.since <= self.version)?;
        let at = self.block_at + usize::from(field.offset);
        Some((self.into.get_mut(at..at + usize::from(field.ty.bytes))?, field))
    }

    /// Sets a field of the current block to the low bits of `bits`; false if the block has no such field in this version.
    pub fn set(&mut self, name: &str, bits: u64) -> bool {
        let Some((place, _)) = self.place(name) else { return false };
        for (to, from) in place.iter_mut().zip(bits.to_le_bytes()) {
            *to = from;
        }
        true
    }

    /// Sets a field of the current block to characters, cut or padded with zeros; false if the block has no such field.
    pub fn set_text(&mut self, name: &str, text: &[u8]) -> bool {
        let Some((place, _)) = self.place(name) else { return false };
        place.fill(0);
        for (to, from) in place.iter_mut().zip(text) {
            *to = *from;
        }
        true
    }

    /// Begins an entry of a group, which becomes the current block; false if this version has no such group, if a later group was begun, or
    /// if the group is full.
    pub fn entry(&mut self, group: &str) -> bool {
        let Some((place, group)) = self.template.group(group) else { return false };
        if group.since > self.version || place + 1 < self.begun {
            return false;
        }
        while self.begun <= place {
            self.dimension();
        }
        let count_at = self.dimension_at + group.dimension.bytes() - 1;
        let Some(count) = self.into.get_mut(count_at) else { return false };
        let Some(more) = count.checked_add(1) else { return false };
        *count = more;
        self.block_at = self.into.len();
        self.block = &group.entry;
        self.fill(self.growth.entry);
        true
    }

    /// Writes the dimension of the next group, with no entries.
    fn dimension(&mut self) {
        let Some(group) = self.template.groups.get(self.begun) else { return };
        self.begun += 1;
        if group.since > self.version {
            return;
        }
        self.dimension_at = self.into.len();
        let block_length = group.entry.length(self.version) + self.growth.entry;
        self.into.extend_from_slice(&block_length.to_le_bytes());
        let rest = match group.dimension {
            Dimension::Bytes3 => 1,
            Dimension::Bytes8 => 6,
        };
        self.into.resize(self.into.len() + rest, 0);
    }

    /// Writes the dimensions of the groups that have no entries, and the message's size: that is what it answers. A message of
    /// more than 65,535 bytes cannot be written: it is taken back, and the answer is 0.
    pub fn finish(mut self) -> usize {
        while self.begun < self.template.groups.len() {
            self.dimension();
        }
        let size = self.into.len() - self.start;
        let Ok(size16) = u16::try_from(size) else {
            self.into.truncate(self.start);
            return 0;
        };
        if let Some(place) = self.into.get_mut(self.start..self.start + 2) {
            place.copy_from_slice(&size16.to_le_bytes());
        }
        size
    }
}
