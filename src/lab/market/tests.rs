use super::*;
use crate::feed::itch50::fits_exactly;

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

const MIDNIGHT_NS: u64 = 86_400_000_000_000_000;

/// A book of its own: order → (stock, buy, shares left, price).
#[derive(Default)]
struct Naive(HashMap<u64, (u64, bool, u64, u64)>);

impl Naive {
    fn crossed(&self, stock: u64) -> bool {
        let of = |buy| {
            self.0.values().filter(move |order| order.0 == stock && order.1 == buy).map(|order| order.3)
        };
        of(true).max().zip(of(false).min()).is_some_and(|(bid, ask)| bid >= ask)
    }
    /// Says what is wrong with the message, if something is.
    fn take(&mut self, m: &[u8]) -> Option<&'static str> {
        let (stock, reference) = (number(&m[1..3]), number(&m[11..19.min(m.len())]));
        match m[0] {
            b'A' | b'F' => {
                let order = (stock, m[19] == b'B', number(&m[20..24]), number(&m[32..36]));
                return self.0.insert(reference, order).map(|_| "number in use");
            }
            b'D' => return self.0.remove(&reference).map_or(Some("unknown"), |_| None),
            b'U' => {
                let Some(old) = self.0.remove(&reference) else { return Some("unknown") };
                let order = (old.0, old.1, number(&m[27..31]), number(&m[31..35]));
                return self.0.insert(number(&m[19..27]), order).map(|_| "number in use");
            }
            b'E' | b'C' | b'X' => {
                let Some(order) = self.0.get_mut(&reference) else { return Some("unknown") };
                let shares = number(&m[19..23]);
                if shares == 0 {
                    return Some("zero");
                }
                let Some(left) = order.2.checked_sub(shares) else {
                    self.0.remove(&reference);
                    return Some("overdrawn");
                };
                order.2 = left;
                if left == 0 {
                    self.0.remove(&reference);
                }
            }
            _ => {}
        }
        None
    }
}

#[test]
fn orders_are_never_overdrawn_books_never_crossed_and_times_never_step_back() {
    let mut market = Market::new(3, 5, MIDNIGHT_NS);
    let mut naive = Naive::default();
    let (mut seen, mut last_time) = (HashMap::<u8, u32>::new(), 0);
    for step in 0..100_000 {
        let mut m = Vec::new();
        let now_ns = MIDNIGHT_NS + step * 1_000;
        market.say(Wish::Any, now_ns, &mut m);
        assert!(fits_exactly(&m), "{}", m[0] as char);
        *seen.entry(m[0]).or_default() += 1;
        assert_eq!(number(&m[5..11]), step * 1_000);
        assert!(number(&m[5..11]) >= last_time);
        last_time = number(&m[5..11]);
        assert_eq!(naive.take(&m), None, "message {step}, {}", m[0] as char);
        assert!(!step.is_multiple_of(50) || !naive.crossed(number(&m[1..3])), "message {step}");
    }
    let mut kinds: Vec<char> = seen.keys().map(|kind| char::from(*kind)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds.iter().collect::<String>(), "ACDEFHIPQRSUX", "every kind occurs");
    assert!((40_000..55_000).contains(&seen[&b'A']) && (25_000..45_000).contains(&seen[&b'D']), "{seen:?}");
}

#[test]
fn each_wish_is_one_fault_and_the_market_is_sound_again_after_it() {
    let wishes = [
        (Wish::OrderUnknown, Some("unknown")),
        (Wish::OrderDuplicate, Some("number in use")),
        (Wish::QuantityNegative, Some("overdrawn")),
        (Wish::QuantityZero, Some("zero")),
        (Wish::Neutral, None),
        (Wish::TimeImpossible, None),
    ];
    for seed in 0..20 {
        let mut market = Market::new(seed, 3, MIDNIGHT_NS);
        let mut naive = Naive::default();
        let mut say = |market: &mut Market, wish| {
            let mut m = Vec::new();
            market.say(wish, MIDNIGHT_NS + 5, &mut m);
            assert!(fits_exactly(&m));
            (naive.take(&m), m, naive.crossed(1) || naive.crossed(2) || naive.crossed(3))
        };
        while !market.is_open() {
            assert_eq!(say(&mut market, Wish::Any).0, None);
        }
        for (wish, wrong) in wishes {
            let (found, message, _) = say(&mut market, wish);
            assert_eq!(found, wrong, "{wish:?}");
            assert_eq!(number(&message[5..11]) == IMPOSSIBLE_NS, wish == Wish::TimeImpossible);
            for _ in 0..200 {
                assert_eq!(say(&mut market, Wish::Any).0, None, "after {wish:?}");
            }
        }
        assert!(say(&mut market, Wish::Cross).2);
        for _ in 0..200 {
            assert!(say(&mut market, Wish::Any).2, "it stays crossed");
        }
        assert!(!say(&mut market, Wish::Uncross).2);
        market.reopen();
        naive = Naive::default();
        for _ in 0..500 {
            let mut m = Vec::new();
            market.say(Wish::Any, MIDNIGHT_NS, &mut m);
            assert_eq!(naive.take(&m), None, "orders of the old session are not named");
        }
    }
}
