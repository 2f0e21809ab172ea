//! How a template is described: fields, blocks and groups as constants, and what follows from them for each schema version.

/// What the bytes of a field are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Unsigned, little-endian; enumerations and bit sets too.
    Unsigned,
    /// Signed, little-endian.
    Signed,
    /// Characters, padded at the end.
    Text,
}

/// The type of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Type {
    /// What its bytes are.
    pub kind: Kind,
    /// How many there are.
    pub bytes: u8,
    /// The value is the number times ten to the power of this: the constant exponent of a decimal, else 0.
    pub exponent: i8,
    /// The bits that say "no value", as an unsigned number of the field's width.
    pub null: Option<u64>,
}

/// One field of a block. Constant fields of the schema take no bytes and are not listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its FIX name; members of a composite have the composite's name, a dot and their own.
    pub name: &'static str,
    /// Where it begins in its block, bytes.
    pub offset: u16,
    /// What it is.
    pub ty: Type,
    /// First schema version that has it; 0 = as long as its block.
    pub since: u16,
}

impl Field {
    /// The offset behind its last byte.
    pub const fn end(&self) -> u16 {
        self.offset + self.ty.bytes as u16
    }
}

/// Gives fields that follow one another their offsets.
pub(super) const fn laid<const N: usize>(list: [(&'static str, Type, u16); N]) -> [Field; N] {
    let empty = Type { kind: Kind::Text, bytes: 0, exponent: 0, null: None };
    let mut fields = [Field { name: "", offset: 0, ty: empty, since: 0 }; N];
    let (mut at, mut offset) = (0, 0);
    while at < N {
        let (name, ty, since) = list[at];
        fields[at] = Field { name, offset, ty, since };
        offset += ty.bytes as u16;
        at += 1;
    }
    fields
}

/// A block of fields: a message's root, or an entry of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its fields, by offset. What a later version adds stands at the end.
    pub fields: &'static [Field],
    /// The block is padded to this length, bytes; 0 = not padded.
    pub padded: u16,
}

impl Block {
    /// How many bytes the fields of a version reach: less cannot be read.
    pub const fn needs(&self, version: u16) -> u16 {
        let (mut at, mut end) = (0, 0);
        while at < self.fields.len() {
            if self.fields[at].since <= version {
                end = self.fields[at].end();
            }
            at += 1;
        }
        end
    }

    /// The block length that the schema of a version states.
    pub const fn length(&self, version: u16) -> u16 {
        let needs = self.needs(version);
        if needs > self.padded { needs } else { self.padded }
    }

    /// The field of a name. To be done once, not per message.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// What stands before the entries of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dimension {
    /// `groupSize`: block length `u16`, count `u8`.
    Bytes3,
    /// `groupSize8Byte`: block length `u16`, 5 bytes of padding, count `u8`.
    Bytes8,
}

impl Dimension {
    /// Its length, bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes3 => 3,
            Self::Bytes8 => 8,
        }
    }
}

/// A repeating group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its FIX name.
    pub name: &'static str,
    /// First schema version that has it; 0 = as long as its template.
    pub since: u16,
    /// What stands before its entries.
    pub dimension: Dimension,
    /// One entry.
    pub entry: Block,
}

/// One message template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Template {
    /// Its number in the SBE header.
    pub id: u16,
    /// Its name in the schema.
    pub name: &'static str,
    /// First schema version that has it, of those that are described.
    pub since: u16,
    /// Last schema version that has it; `u16::MAX` = still there.
    pub until: u16,
    /// What it is about.
    pub about: About,
    /// The root block.
    pub root: Block,
    /// Its groups, in their order.
    pub groups: &'static [Group],
}

impl Template {
    /// True if the schema of this version has it.
    pub const fn is_in(&self, version: u16) -> bool {
        self.since <= version && version <= self.until
    }

    /// The groups that a version has, with their places in [`Template::groups`].
    pub fn groups_in(&self, version: u16) -> impl Iterator<Item = (usize, &'static Group)> + use<> {
        self.groups.iter().enumerate().filter(move |(_, group)| group.since <= version)
    }

    /// Place and group of a name. To be done once, not per message.
    pub fn group(&self, name: &str) -> Option<(usize, &'static Group)> {
        self.groups.iter().enumerate().find(|(_, group)| group.name == name)
    }
}

/// What a template is about, whatever its version: how its fields are to be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The sender lives.
    Heartbeat,
    /// Session control of the replay service.
    Admin,
    /// Every book of the channel is empty from here on.
    ChannelReset,
    /// Price levels, and the orders behind them.
    Book,
    /// Orders.
    OrderBook,
    /// Trades.
    Trades,
    /// Open, high, low, best quotes of the session.
    SessionStatistics,
    /// Settlement, cleared volume, open interest.
    DailyStatistics,
    /// Price limits.
    Limits,
    /// Traded volume.
    Volume,
    /// State of an instrument or a group of them.
    Status,
    /// What a book and its statistics are.
    Snapshot,
    /// What an order book is.
    OrderSnapshot,
    /// An instrument.
    Definition(Instrument),
    /// Something else: read by its names.
    Other,
}

/// What a definition defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instrument {
    /// A future.
    Future,
    /// An option.
    Option,
    /// A spread or combination.
    Spread,
    /// A bond or bill.
    FixedIncome,
    /// A repo.
    Repo,
    /// A foreign-exchange instrument.
    Fx,
}
