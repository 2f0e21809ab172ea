//! Trading states.
//!
//! | message | action | reason | event | trading, quoting, short sale restricted |
//! |---|---|---|---|---|
//! | trading status `T` | trading | | | Y Y ~ |
//! | `H` | halt | by its reason | | N N ~ |
//! | `P` | pause | | | N ~ ~ |
//! | `O` | pre-cross | by its reason | | N ~ ~ |
//! | operational halt `O` | halt | operational | | N N ~ |
//! | `N` (no longer, or not; a halt by others may stand) | none | operational | | ~ ~ ~ |
//! | short sale test 0, 1 | short sale restriction change | | | ~ ~ N or Y |
//! | security event `O`: opening process complete | trading | scheduled | change of session | ~ ~ ~ |
//! | `C`: closing process complete | post-close | scheduled | change of session | ~ ~ ~ |
//!
//! A status that the specification does not list, and a reason or detail that says more than DBN has words for, go to a side row.

use super::{Iex, Moment};
use crate::events::normalize::common::c;
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::feed::iex::{Message, trimmed};
use dbn::{Schema, StatusAction, StatusMsg, StatusReason, TradingEvent, TriState, rtype};

/// What a status message says in DBN's words.
#[derive(Clone, Copy)]
struct Words {
    action: StatusAction,
    reason: StatusReason,
    event: TradingEvent,
    trading: TriState,
    quoting: TriState,
    short_sale_restricted: TriState,
}

const NOTHING: Words = Words {
    action: StatusAction::None,
    reason: StatusReason::None,
    event: TradingEvent::None,
    trading: TriState::NotAvailable,
    quoting: TriState::NotAvailable,
    short_sale_restricted: TriState::NotAvailable,
};

/// DBN's reason for IEX's, and whether it says all of it; `None` if the specification does not list it.
fn reason_of(reason: &[u8]) -> Option<(StatusReason, bool)> {
    Some(match reason {
        b"" | b"NA" => (StatusReason::None, true),
        b"T1" => (StatusReason::NewsPending, true),
        b"T2" => (StatusReason::NewsReleased, true),
        b"IPO1" | b"IPOD" | b"IPO2" | b"IPO3" => (StatusReason::NewSecurityOffering, false),
        b"MCB1" => (StatusReason::MarketWideHaltLevel1, true),
        b"MCB2" => (StatusReason::MarketWideHaltLevel2, true),
        b"MCB3" => (StatusReason::MarketWideHaltLevel3, true),
        _ => return None,
    })
}

/// A message's words, and whether they say all of it; `None` if its status is not listed.
fn words_of(message: &Message<'_>) -> Option<(Words, bool)> {
    let stopped = Words { trading: TriState::No, ..NOTHING };
    let session =
        Words { reason: StatusReason::Scheduled, event: TradingEvent::ChangeTradingSession, ..NOTHING };
    Some(match message {
        Message::TradingStatus(status) => {
            let (reason, says_all) =
                reason_of(trimmed(&status.reason())).unwrap_or((StatusReason::None, false));
            let words = match status.status() {
                b'T' => Words {
                    action: StatusAction::Trading,
                    trading: TriState::Yes,
                    quoting: TriState::Yes,
                    ..NOTHING
                },
                b'H' => Words { action: StatusAction::Halt, quoting: TriState::No, ..stopped },
                b'P' => Words { action: StatusAction::Pause, ..stopped },
                b'O' => Words { action: StatusAction::PreCross, ..stopped },
                _ => return None,
            };
            (Words { reason, ..words }, says_all)
        }
        Message::OperationalHalt(halt) => {
            let reason = StatusReason::Operational;
            match halt.status() {
                b'O' => {
                    (Words { action: StatusAction::Halt, reason, quoting: TriState::No, ..stopped }, true)
                }
                b'N' => (Words { reason, ..NOTHING }, true),
                _ => return None,
            }
        }
        Message::ShortSale(test) => {
            let short_sale_restricted = match test.status() {
                0 => TriState::No,
                1 => TriState::Yes,
                _ => return None,
            };
            let words = Words { action: StatusAction::SsrChange, short_sale_restricted, ..NOTHING };
            (words, matches!(test.detail(), b' ' | b'N'))
        }
        Message::SecurityEvent(event) => match event.event() {
            b'O' => (Words { action: StatusAction::Trading, ..session }, true),
            b'C' => (Words { action: StatusAction::PostClose, ..session }, true),
            _ => return None,
        },
        _ => return None,
    })
}

impl Iex {
    pub(super) fn status(&mut self, message: &Message<'_>, id: u32, moment: &Moment, out: &mut Output) {
        if let Message::TradingStatus(status) = message
            && reason_of(trimmed(&status.reason())).is_none()
        {
            let reason = i64::from(u32::from_be_bytes(status.reason()));
            out.broken(Rule::FieldUnknown, &moment.arrival, moment.seq, reason);
        }
        let words = words_of(message);
        if let Some((words, _)) = words {
            let record = StatusMsg {
                hd: self.header::<StatusMsg>(rtype::STATUS, id, moment),
                ts_recv: moment.arrival.stamp.ns,
                action: words.action as u16,
                reason: words.reason as u16,
                trading_event: words.event as u16,
                is_trading: c(words.trading as u8),
                is_quoting: c(words.quoting as u8),
                is_short_sell_restricted: c(words.short_sale_restricted as u8),
                ..StatusMsg::default()
            };
            out.put(Schema::Status, &record);
        }
        if !words.is_some_and(|(_, says_all)| says_all) {
            self.other(message, id, moment, out);
        }
    }
}
