//! Messages that have no record: their fields as text, by the table's names.

use super::plan::Plan;
use super::{At, Cme};
use crate::events::output::Output;
use crate::events::side::SideRow;
use crate::feed::mdp3::layout::{Field, Kind};
use crate::feed::mdp3::sbe::{Decimal, Message, Record};
use std::fmt::Write as _;

impl Cme {
    /// A row of the root, and one of each entry of each group.
    pub(super) fn other(&mut self, message: &Message<'_>, plan: &Plan, at: &At<'_>, out: &mut Output) {
        let root = message.root();
        let id = self.id(&root, plan.root.id);
        self.row(&root, message.template.root.fields, id, at, out);
        for entries in message.groups() {
            let fields = entries.group.entry.fields;
            for entry in entries {
                self.row(&entry, fields, id, at, out);
            }
        }
    }

    /// One block's fields; those that are null are left out, decimals are in 1e-9.
    pub(super) fn row(
        &mut self,
        record: &Record<'_>,
        fields: &[Field],
        id: u32,
        at: &At<'_>,
        out: &mut Output,
    ) {
        self.text.clear();
        for field in fields {
            let space = if self.text.is_empty() { "" } else { " " };
            let name = field.name;
            // Writing into a string does not fail.
            let _ = match (field.ty.kind, record.nano(field)) {
                (Kind::Text, _) if record.text(field).is_empty() => Ok(()),
                (Kind::Text, _) => {
                    write!(self.text, "{space}{name}={}", record.text(field).escape_ascii())
                }
                (_, Decimal::Nano(nano)) if field.ty.exponent != 0 => {
                    write!(self.text, "{space}{name}={nano}")
                }
                _ => match (record.int(field), record.bits(field)) {
                    (Some(number), _) => write!(self.text, "{space}{name}={number}"),
                    (None, Some(bits)) => write!(self.text, "{space}{name}={bits}"),
                    (None, None) => Ok(()),
                },
            };
        }
        let (at_ns, ts_event) = (at.arrival.stamp.ns, at.ts_event);
        let (message, fields) = (at.name, self.text.as_str());
        out.side(&SideRow::Other { at_ns, ts_event, instrument_id: id, seq: at.seq, message, fields });
    }
}
