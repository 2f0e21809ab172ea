//! An order flow as busy feeds have it: 8,000 stocks of very unequal popularity, prices that crowd near the best, a million live
//! orders, most of which are deleted soon after they were added.
//!
//! Of 1,000 messages 437 add (7 with a participant), 420 delete, 80 replace, 25 execute, 10 cancel in part, 20 tell an imbalance,
//! 5 trade against a hidden order, 3 execute at another price. The shares are chosen, not counted from a day's file.

use std::net::Ipv4Addr;
use wiretape::feed::itch50::messages::{
    AddOrder, AddOrderMpid, Common, Imbalance, Message, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedPrice, OrderReplace, StockDirectory, Trade,
};
use wiretape::feed::moldudp64::Encoder;
use wiretape::lab::random::SplitMix64;
use wiretape::wire::build::{UdpFrame, multicast_mac, udp_frame};

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(233, 54, 12, 111);
pub(crate) const PORT: u16 = 26_477;
/// Ethernet, IPv4 and UDP.
pub(crate) const HEADERS: usize = 14 + 20 + 8;

const STOCKS: u32 = 8_000;
/// 2026-11-23 14:30 UTC, 9:30 in New York.
const OPEN_NS: u64 = 1_795_444_200_000_000_000;
const OPEN_SINCE_MIDNIGHT_NS: u64 = (9 * 60 + 30) * 60 * 1_000_000_000;
const FULL_PAYLOAD: usize = 1_400;

/// Packets one behind the other: stamp (8 bytes), length (4), frame.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: u64,
    pub(crate) live: usize,
}

impl Image {
    pub(crate) fn packets(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (stamp, tail) = rest.split_first_chunk::<8>()?;
            let (length, tail) = tail.split_first_chunk::<4>()?;
            let (frame, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = tail;
            Some((u64::from_le_bytes(*stamp), frame))
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Packing {
    /// One to seven messages a packet.
    Few,
    /// As many as fit.
    Full,
}

#[derive(Clone, Copy)]
struct Live {
    number: u64,
    locate: u16,
    bid: bool,
    shares: u32,
}

pub(crate) struct Flow {
    random: SplitMix64,
    packing: Packing,
    live: Vec<Live>,
    next_order: u64,
    next_seq: u64,
    now_ns: u64,
    payload: Vec<u8>,
    message: Vec<u8>,
}

impl Flow {
    pub(crate) fn new(packing: Packing) -> Self {
        Self {
            random: SplitMix64::new(20_261_123),
            packing,
            live: Vec::new(),
            next_order: 1_000,
            next_seq: 1,
            now_ns: 0,
            payload: Vec::new(),
            message: Vec::new(),
        }
    }

    /// The directory, and orders until `orders` live.
    pub(crate) fn fill(&mut self, orders: usize) -> Image {
        let mut locate = 0;
        let stocks = STOCKS as usize;
        self.image(stocks + orders, |flow, at| {
            if at < stocks {
                locate += 1;
                let common = flow.common(locate);
                let stock = symbol(locate);
                StockDirectory { common, stock, round_lot: 100, ..StockDirectory::default() }
                    .encode(&mut flow.message);
            } else {
                flow.add(false);
            }
        })
    }

    /// So many messages of an ordinary mix.
    pub(crate) fn day(&mut self, messages: usize) -> Image {
        self.image(messages, |flow, _| match flow.random.between(0, 999) {
            0..430 => flow.add(false),
            430..437 => flow.add(true),
            437..857 => flow.delete(),
            857..937 => flow.replace(),
            937..962 => flow.execute(),
            962..972 => flow.cancel(),
            972..992 => flow.imbalance(),
            992..997 => flow.trade(),
            _ => flow.execute_price(),
        })
    }

    fn image(&mut self, messages: usize, mut next: impl FnMut(&mut Self, usize)) -> Image {
        let mut image = Image { bytes: Vec::new(), messages: messages as u64, live: 0 };
        let mut at = 0;
        while at < messages {
            let most = if self.packing == Packing::Full { u32::MAX } else { self.random.between(1, 7) };
            let mut payload = std::mem::take(&mut self.payload);
            payload.clear();
            let mut encoder = Encoder::begin(&mut payload, *b"BENCH00001", self.next_seq);
            let mut count = 0;
            while count < most && encoder.len() < FULL_PAYLOAD && at < messages {
                self.message.clear();
                next(self, at);
                encoder.message(&self.message);
                (count, at) = (count + 1, at + 1);
            }
            self.next_seq += u64::from(encoder.finish());
            self.put(&mut image.bytes, &payload);
            self.payload = payload;
        }
        image.live = self.live.len();
        image
    }

    fn put(&self, image: &mut Vec<u8>, payload: &[u8]) {
        let frame = UdpFrame {
            src_mac: [2; 6],
            dst_mac: multicast_mac(GROUP.into()),
            vlan: None,
            src: "206.200.127.138:49653".parse().expect("an address"),
            dst: (GROUP, PORT).into(),
            ttl: 8,
        };
        image.extend_from_slice(&(OPEN_NS + self.now_ns + 20_000).to_le_bytes());
        let length = u32::try_from(HEADERS + payload.len()).expect("a datagram is short");
        image.extend_from_slice(&length.to_le_bytes());
        udp_frame(image, &frame, payload).expect("a datagram is short");
    }

    fn common(&mut self, locate: u16) -> Common {
        self.now_ns += u64::from(self.random.between(50, 2_000));
        Common { locate, tracking: 0, timestamp_ns: OPEN_SINCE_MIDNIGHT_NS + self.now_ns }
    }

    /// Few stocks are in most messages: the product of three evenly spread numbers.
    fn stock(&mut self) -> u16 {
        let product =
            (0..3).fold(u64::from(STOCKS), |so_far, _| (so_far * (self.random.next_u64() >> 40)) >> 24);
        u16::try_from(product + 1).expect("few stocks")
    }

    /// A price that does not cross: most within some ticks of the best, some far away.
    fn price(&mut self, locate: u16, bid: bool) -> u32 {
        let middle = 100_000 + u32::from(locate) * 300;
        let wide = if self.random.between(0, 19) == 0 { 400 } else { 12 };
        let ticks = 1 + self.random.between(0, wide) * self.random.between(0, 100) / 100;
        if bid { middle - ticks * 100 } else { middle + ticks * 100 }
    }

    fn add(&mut self, with_mpid: bool) {
        let (locate, bid) = (self.stock(), self.random.between(0, 1) == 0);
        let (common, price) = (self.common(locate), self.price(locate, bid));
        let (side, shares) = (if bid { b'B' } else { b'S' }, 100 * self.random.between(1, 10));
        let (order, stock) = (self.next_order, symbol(locate));
        self.next_order += u64::from(self.random.between(1, 3));
        self.live.push(Live { number: order, locate, bid, shares });
        if with_mpid {
            let mpid = *b"WIRE";
            AddOrderMpid { common, order, side, shares, stock, price, mpid }.encode(&mut self.message);
        } else {
            AddOrder { common, order, side, shares, stock, price }.encode(&mut self.message);
        }
    }

    /// Which live order something happens to: three of four times one of the newest.
    fn pick(&mut self) -> usize {
        let recent = if self.random.between(0, 3) > 0 { 4_000 } else { usize::MAX };
        let span = u32::try_from(self.live.len().min(recent)).expect("fewer orders");
        self.live.len() - 1 - self.random.between(0, span - 1) as usize
    }

    fn delete(&mut self) {
        let at = self.pick();
        let Live { number, locate, .. } = self.live.swap_remove(at);
        OrderDelete { common: self.common(locate), order: number }.encode(&mut self.message);
    }

    fn replace(&mut self) {
        let at = self.pick();
        let old = self.live.swap_remove(at);
        let (common, price) = (self.common(old.locate), self.price(old.locate, old.bid));
        let new_order = self.next_order;
        self.next_order += 1;
        self.live.push(Live { number: new_order, ..old });
        OrderReplace { common, old_order: old.number, new_order, shares: old.shares, price }
            .encode(&mut self.message);
    }

    /// Takes from a live order: answers it as it was and how much.
    fn take(&mut self) -> (Live, u32) {
        let at = self.pick();
        let order = self.live[at];
        let shares = if order.shares > 100 { 100 } else { order.shares };
        if shares == order.shares {
            self.live.swap_remove(at);
        } else {
            self.live[at].shares -= shares;
        }
        (order, shares)
    }

    fn execute(&mut self) {
        let (order, shares) = self.take();
        let common = self.common(order.locate);
        OrderExecuted { common, order: order.number, shares, match_number: common.timestamp_ns }
            .encode(&mut self.message);
    }

    fn execute_price(&mut self) {
        let (order, shares) = self.take();
        let (common, price) = (self.common(order.locate), self.price(order.locate, order.bid));
        let (order, match_number) = (order.number, common.timestamp_ns);
        OrderExecutedPrice { common, order, shares, match_number, printable: b'Y', price }
            .encode(&mut self.message);
    }

    fn cancel(&mut self) {
        let (order, shares) = self.take();
        OrderCancel { common: self.common(order.locate), order: order.number, shares }
            .encode(&mut self.message);
    }

    fn trade(&mut self) {
        let locate = self.stock();
        let (common, price) = (self.common(locate), self.price(locate, true));
        let (stock, match_number) = (symbol(locate), common.timestamp_ns);
        Trade { common, order: 0, side: b'B', shares: 100, stock, price, match_number }
            .encode(&mut self.message);
    }

    fn imbalance(&mut self) {
        let locate = self.stock();
        let (common, near) = (self.common(locate), self.price(locate, true));
        let stock = symbol(locate);
        let (paired, imbalance, direction, cross, variation) = (5_000, 300, b'B', b'O', b'L');
        Imbalance {
            common,
            paired,
            imbalance,
            direction,
            stock,
            far: near,
            near,
            reference: near,
            cross,
            variation,
        }
        .encode(&mut self.message);
    }
}

fn symbol(locate: u16) -> [u8; 8] {
    let mut symbol = *b"S       ";
    for (at, place) in [1_000, 100, 10, 1].into_iter().enumerate() {
        symbol[at + 1] = b'0' + u8::try_from(locate / place % 10).unwrap_or(0);
    }
    symbol
}
