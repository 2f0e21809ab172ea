//! Order books built from order messages: every live order, and each instrument's price levels.
//!
//! Pure, bounded, deterministic: what a book answers depends on the messages alone. What cannot be (an execution of an
//! order never added, more taken than is there) is answered as a [`Fault`], never a panic.
//!
//! [`Orders`] holds live orders by their number, [`Book`] one instrument's price levels, [`Books`] joins both so that
//! the sum over the orders of a level is the level. Orders and instruments are numbers here; what they are called is the caller's affair.

mod books;
mod levels;
mod orders;

pub use books::{Books, MAX_INSTRUMENTS};
pub use levels::{Book, Level, MAX_LEVELS};
pub use orders::Orders;

/// A side of a book.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Who buys: the highest price is the best.
    Bid,
    /// Who sells: the lowest price is the best.
    Ask,
}

impl Side {
    /// The one that trades with it.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }
    const fn index(self) -> usize {
        match self {
            Self::Bid => 0,
            Self::Ask => 1,
        }
    }
}

/// A live order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// Instrument, as the caller numbers them.
    pub instrument: u32,
    /// Side.
    pub side: Side,
    /// Price in 1e-9.
    pub price: i64,
    /// What is left of it.
    pub quantity: u64,
}

/// Part or all of an order was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reduced {
    /// The order as it was before.
    pub before: Order,
    /// What is left; 0 = the order is gone.
    pub left: u64,
}

/// Why an operation could not be done as asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No live order has this number. Nothing was changed.
    Unknown,
    /// A live order has this number already. Nothing was changed.
    Duplicate,
    /// More was to be taken than was left of the order (told here as it was). It is gone.
    Negative(Order),
    /// No room for the order, for its price level or for its instrument: it was not added.
    Full,
}
