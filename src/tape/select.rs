//! Which packets a tool looks at: a stretch of time, verdicts, a direction, a filter, a count.

use super::input::Span;
use super::outcome::TapeError;
use super::when::{When, resolve_range};
use crate::filter::{Insn, Program};
use crate::packet::{EpbFlags, Judgement, LinkType, Packet, Verdict};
use crate::sys::libpcap::Libpcap;
use std::ops::Range;

/// Which packets, as asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Not before this.
    pub begin: Option<When>,
    /// Before this.
    pub end: Option<When>,
    /// One of these verdicts; empty = any.
    pub verdicts: Vec<Verdict>,
    /// Which way.
    pub direction: Direction,
    /// Which bytes.
    pub filter: FilterSpec,
    /// At most so many.
    pub count: Option<u64>,
}

/// Which way packets went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    In,
    /// Sent by the recording host.
    Out,
    /// Either, or not known.
    #[default]
    Both,
}

/// A filter, as it was given.
#[derive(Clone, Debug, Default)]
pub enum FilterSpec {
    /// None: everything passes.
    #[default]
    None,
    /// Words in tcpdump's language; compiled for each link type that is met.
    Expression(String),
    /// A program, compiled elsewhere.
    Program(Program),
}

impl Selection {
    /// True if its times are relative to those of the input.
    pub fn needs_span(&self) -> bool {
        self.begin.is_some_and(When::is_relative) || self.end.is_some_and(When::is_relative)
    }
}

/// A selection at work.
pub struct Chooser<'s> {
    selection: &'s Selection,
    stamps_ns: Range<u64>,
    /// Compiled so far: a capture seldom has more than one link type.
    compiled: Vec<(LinkType, Program)>,
    libpcap: Option<Libpcap>,
}

impl std::fmt::Debug for Chooser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chooser").field("selection", self.selection).finish_non_exhaustive()
    }
}

impl<'s> Chooser<'s> {
    /// A chooser for an input of this span.
    ///
    /// # Errors
    /// [`TapeError`] if no time lies between begin and end, or libpcap is needed and missing.
    pub fn new(selection: &'s Selection, span: Span) -> Result<Self, TapeError> {
        let stamps_ns = resolve_range(selection.begin, selection.end, span.first_ns, span.last_ns)?;
        let libpcap = match selection.filter {
            FilterSpec::Expression(_) => {
                Some(Libpcap::load().map_err(|error| TapeError::Refused(error.to_string()))?)
            }
            FilterSpec::None | FilterSpec::Program(_) => None,
        };
        Ok(Self { selection, stamps_ns, compiled: Vec::new(), libpcap })
    }

    /// The stamps that are wanted.
    pub const fn stamps_ns(&self) -> &Range<u64> {
        &self.stamps_ns
    }

    /// True if the packet is wanted.
    ///
    /// # Errors
    /// [`TapeError::Refused`] if the filter does not compile for the packet's link type.
    pub fn wants(&mut self, packet: &Packet<'_>, judgement: Judgement) -> Result<bool, TapeError> {
        let s = self.selection;
        if !self.stamps_ns.contains(&packet.stamp.ns)
            || !(s.verdicts.is_empty() || s.verdicts.contains(&judgement.verdict))
            || !goes(s.direction, packet.flags)
        {
            return Ok(false);
        }
        match &s.filter {
            FilterSpec::None => Ok(true),
            FilterSpec::Program(program) => Ok(program.accepts(packet)),
            FilterSpec::Expression(words) => Ok(self.program(packet.link, words)?.accepts(packet)),
        }
    }

    /// After the last packet: an expression that met none has still to be one.
    ///
    /// # Errors
    /// [`TapeError::Refused`] if it does not compile.
    pub fn finish(mut self) -> Result<(), TapeError> {
        if let FilterSpec::Expression(words) = &self.selection.filter
            && self.compiled.is_empty()
        {
            self.program(LinkType::ETHERNET, words)?;
        }
        Ok(())
    }

    fn program(&mut self, link: LinkType, words: &str) -> Result<&Program, TapeError> {
        let known = self.compiled.iter().position(|(known, _)| *known == link);
        let at = if let Some(at) = known {
            at
        } else {
            let program = self.compile(link, words)?;
            self.compiled.push((link, program));
            self.compiled.len() - 1
        };
        Ok(&self.compiled[at].1)
    }

    fn compile(&self, link: LinkType, words: &str) -> Result<Program, TapeError> {
        let wrong = |why: String| TapeError::Refused(format!("filter `{words}`: {why}"));
        let Some(libpcap) = &self.libpcap else { return Err(wrong("libpcap is not loaded".to_owned())) };
        let raw = libpcap.compile_dead(link.0, 0, words).map_err(wrong)?;
        let insns = raw.into_iter().map(|(code, jt, jf, k)| Insn { code, jt, jf, k }).collect();
        Program::new(insns).map_err(|error| wrong(error.to_string()))
    }
}

fn goes(direction: Direction, flags: EpbFlags) -> bool {
    match direction {
        Direction::Both => true,
        Direction::In => flags.is_inbound(),
        Direction::Out => flags.is_outbound(),
    }
}
