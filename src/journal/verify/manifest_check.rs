//! The manifest by itself: readable lines, a chain that holds, the expected head.

use super::{ProblemKind, Run};
use crate::journal::manifest::{BadLine, Entry, FILE_NAME, Manifest, hex};
use crate::journal::reader::ReadError;
use std::collections::HashSet;
use std::io;
use std::path::Path;

impl Run<'_> {
    /// Reads and checks the manifest. None if there is none (nothing was ever sealed, or it was removed).
    pub(super) fn read_manifest(&mut self, directory: &Path) -> Result<Option<Manifest>, ReadError> {
        let path = directory.join(FILE_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_head(None);
                return Ok(None);
            }
            Err(error) => return Err(ReadError::Io { path, error }),
        };
        let manifest = self.parse_as_far_as_possible(&bytes);
        if manifest.whole_bytes < bytes.len() as u64 && self.report.problem_count == 0 {
            let what = "the last line has no end: it was cut, or is being written".to_owned();
            self.problem(ProblemKind::Manifest, FILE_NAME, Some(manifest.whole_bytes), what);
        }
        self.check_chain(&manifest, &bytes);
        self.check_names(&manifest, &bytes);
        self.report.manifest_lines = manifest.lines.len() as u64;
        self.report.head = Some(manifest.head());
        self.check_head(Some(manifest.head()));
        Ok(Some(manifest))
    }

    /// All lines before the first that cannot be read.
    fn parse_as_far_as_possible(&mut self, bytes: &[u8]) -> Manifest {
        let BadLine { number, what } = match Manifest::parse(bytes) {
            Ok(manifest) => return manifest,
            Err(bad) => bad,
        };
        let at = line_offset(bytes, number);
        let what = format!("line {number} cannot be read: {what}");
        self.problem(ProblemKind::Manifest, FILE_NAME, Some(at), what);
        let before = usize::try_from(at).ok().and_then(|at| bytes.get(..at)).unwrap_or_default();
        Manifest::parse(before).unwrap_or_default()
    }

    fn check_chain(&mut self, manifest: &Manifest, bytes: &[u8]) {
        for line in manifest.lines.iter().filter(|line| !line.chain_holds) {
            let what = format!(
                "line {}: the chain value does not follow from the line before: a line was changed, removed or moved",
                line.number
            );
            self.problem(ProblemKind::Chain, FILE_NAME, Some(line_offset(bytes, line.number)), what);
        }
    }

    /// A segment is sealed once, and retired once and only behind that.
    fn check_names(&mut self, manifest: &Manifest, bytes: &[u8]) {
        let (mut sealed, mut retired) = (HashSet::new(), HashSet::new());
        for line in &manifest.lines {
            let what = match &line.entry {
                Entry::Sealed(s) if !sealed.insert(s.name.as_str()) => format!("{} is sealed twice", s.name),
                Entry::Retired(r) if !retired.insert(r.name.as_str()) => {
                    format!("{} is retired twice", r.name)
                }
                Entry::Retired(r) if !sealed.contains(r.name.as_str()) => {
                    format!("{} is retired, but was never sealed", r.name)
                }
                _ => continue,
            };
            let what = format!("line {}: {what}", line.number);
            self.problem(ProblemKind::Manifest, FILE_NAME, Some(line_offset(bytes, line.number)), what);
        }
    }

    fn check_head(&mut self, head: Option<[u8; 32]>) {
        let Some(expected) = self.options.expected_head else { return };
        if head == Some(expected) {
            return;
        }
        let there = head.map_or("there is no manifest".to_owned(), |head| format!("it is {}", hex(&head)));
        let what = format!("the head was expected to be {}, but {there}", hex(&expected));
        self.problem(ProblemKind::Head, FILE_NAME, None, what);
    }
}

/// Offset of a line, numbered from 1.
fn line_offset(bytes: &[u8], number: usize) -> u64 {
    let before = bytes.split_inclusive(|b| *b == b'\n').take(number.saturating_sub(1));
    before.map(|line| line.len() as u64).sum()
}
