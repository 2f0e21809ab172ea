//! Whatever is done to a sealed journal, `verify` finds it and names it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod journal_tape;

use journal_tape::{Segment, one_of_each};
use proptest::prelude::*;
use std::path::Path;
use wiretape::journal::manifest::hex;
use wiretape::journal::verify::{ProblemKind, State, VerifyOptions, VerifyReport, verify};

fn check(dir: &Path) -> VerifyReport {
    verify(dir, &VerifyOptions::default(), &mut |_| {}).unwrap()
}

/// Three sealed segments of queue 0 and one of queue 1.
fn journal(dir: &Path) {
    for (index, first) in [(0, 0), (1, 6), (2, 12)] {
        one_of_each(0, index, first).seal(dir);
    }
    one_of_each(1, 0, 0).seal(dir);
}

fn kinds(report: &VerifyReport) -> Vec<ProblemKind> {
    report.problems.iter().map(|p| p.kind).collect()
}

#[test]
fn an_untouched_journal_is_good() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let report = check(dir.path());
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(report.packets, 24);
    assert_eq!(report.segments.len(), 4);
    assert!(report.segments.iter().all(|s| s.state == State::Sealed && s.verified_bytes == s.size_bytes));
    let sizes: u64 = report.segments.iter().map(|s| s.size_bytes).sum();
    assert_eq!(report.verified_bytes, sizes);
}

#[test]
fn each_single_flipped_bit_of_a_segment_is_found_in_the_block_it_lies_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = one_of_each(0, 0, 0);
    let path = segment.seal(dir.path());
    let whole = segment.bytes;
    let starts = block_starts(&whole);
    for at in 0..whole.len() {
        let start = *starts.iter().rfind(|start| **start <= at).unwrap() as u64;
        for bit in [0, 3, 7] {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            std::fs::write(&path, changed).unwrap();
            let report = check(dir.path());
            let first = report.problems.first().unwrap_or_else(|| panic!("byte {at} bit {bit} not found"));
            assert_eq!(
                (first.kind, first.offset),
                (ProblemKind::Block, Some(start)),
                "byte {at} bit {bit}: {first:?}"
            );
            assert!(kinds(&report).contains(&ProblemKind::Hash), "byte {at} bit {bit}");
        }
    }
}

fn block_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![];
    let mut at = 0;
    while at < bytes.len() {
        starts.push(at);
        at += u32::from_le_bytes(*bytes[at + 4..].first_chunk().unwrap()) as usize;
    }
    starts
}

#[test]
fn a_flipped_byte_in_an_anchor_or_a_pad_is_found_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = Segment::new(0, 0, 0);
    for n in 0..40 {
        segment.packet(100 + n, &vec![9; 60_000]);
    }
    let path = segment.seal(dir.path());
    assert!(check(dir.path()).is_good());
    let mib = 1 << 20;
    let pad = *block_starts(&segment.bytes).iter().rfind(|start| **start < mib).unwrap();
    for (at, start) in (mib..mib + 72).map(|at| (at, mib)).chain([
        (pad, pad),
        (pad + 5, pad),
        (pad + 999, pad),
        (mib - 7, pad),
    ]) {
        let mut changed = segment.bytes.clone();
        changed[at] ^= 0x10;
        std::fs::write(&path, changed).unwrap();
        let report = check(dir.path());
        assert_eq!(report.problems[0].offset, Some(start as u64), "byte {at}");
    }
}

#[test]
fn a_segment_truncated_anywhere_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut segment = one_of_each(0, 0, 0);
    let path = segment.seal(dir.path());
    for len in 0..segment.bytes.len() {
        std::fs::write(&path, &segment.bytes[..len]).unwrap();
        let report = check(dir.path());
        assert!(kinds(&report).contains(&ProblemKind::Size), "cut at {len}: {:?}", report.problems);
        assert!(kinds(&report).contains(&ProblemKind::Block), "cut at {len}: {:?}", report.problems);
        assert!(report.problems.iter().all(|p| p.file == "q00-000000.pcapng"));
    }
    let longer = [segment.bytes.as_slice(), &[0; 8]].concat();
    std::fs::write(&path, longer).unwrap();
    assert!(kinds(&check(dir.path())).contains(&ProblemKind::Size));
}

#[test]
fn a_removed_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    std::fs::remove_file(dir.path().join("q00-000001.pcapng")).unwrap();
    let report = check(dir.path());
    assert_eq!(kinds(&report), [ProblemKind::Missing]);
    assert_eq!(report.problems[0].file, "q00-000001.pcapng");
}

#[test]
fn swapped_segments_are_both_named() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let path = |n: u32| dir.path().join(format!("q00-00000{n}.pcapng"));
    std::fs::rename(path(0), dir.path().join("x")).unwrap();
    std::fs::rename(path(1), path(0)).unwrap();
    std::fs::rename(dir.path().join("x"), path(1)).unwrap();
    let report = check(dir.path());
    for name in ["q00-000000.pcapng", "q00-000001.pcapng"] {
        let own: Vec<_> = report.problems.iter().filter(|p| p.file == name).collect();
        assert!(
            own.iter().any(|p| p.kind == ProblemKind::Block && p.what.contains("by its header")),
            "{own:?}"
        );
        assert!(own.iter().any(|p| p.kind == ProblemKind::Hash), "{own:?}");
    }
}

#[test]
fn an_added_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut extra = one_of_each(0, 3, 18);
    extra.end(0);
    extra.write(dir.path());
    let report = check(dir.path());
    assert_eq!(kinds(&report), [ProblemKind::Extra]);
    assert_eq!(report.problems[0].file, "q00-000003.pcapng");
}

#[test]
fn a_segment_taken_out_with_its_line_leaves_a_hole_in_the_numbers() {
    let dir = tempfile::tempdir().unwrap();
    one_of_each(0, 0, 0).seal(dir.path());
    one_of_each(0, 2, 12).seal(dir.path());
    let report = check(dir.path());
    assert_eq!(kinds(&report), [ProblemKind::Sequence]);
    assert_eq!(report.problems[0].file, "q00-000002.pcapng");
}

#[test]
fn each_edit_of_the_manifest_is_found() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let path = dir.path().join("manifest");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [0, 4] {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            std::fs::write(&path, changed).unwrap();
            assert!(!check(dir.path()).is_good(), "byte {at} bit {bit}");
        }
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    for without in 0..lines.len() {
        let rest: Vec<&[u8]> =
            lines.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, l)| *l).collect();
        std::fs::write(&path, rest.concat()).unwrap();
        assert!(!check(dir.path()).is_good(), "line {without} removed");
    }
    std::fs::write(&path, [lines[1], lines[0], lines[2], lines[3]].concat()).unwrap();
    assert!(kinds(&check(dir.path())).contains(&ProblemKind::Chain));
    std::fs::remove_file(&path).unwrap();
    let head = VerifyOptions { expected_head: Some([1; 32]), ..VerifyOptions::default() };
    assert!(!verify(dir.path(), &head, &mut |_| {}).unwrap().is_good());
}

#[test]
fn segments_removed_with_their_lines_are_found_by_an_expected_head() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let head = check(dir.path()).head.unwrap();
    let options = VerifyOptions { expected_head: Some(head), ..VerifyOptions::default() };
    assert!(verify(dir.path(), &options, &mut |_| {}).unwrap().is_good());
    let path = dir.path().join("manifest");
    let whole = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    std::fs::write(&path, lines[..3].concat()).unwrap();
    std::fs::remove_file(dir.path().join("q01-000000.pcapng")).unwrap();
    let report = verify(dir.path(), &options, &mut |_| {}).unwrap();
    assert_eq!(kinds(&report), [ProblemKind::Head]);
    assert!(report.problems[0].what.contains(&hex(&head)));
}

#[test]
fn a_segment_rewritten_with_fresh_crcs_is_found_by_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let path = one_of_each(0, 0, 0).seal(dir.path());
    let mut forged = one_of_each(0, 0, 0);
    forged.end(2);
    std::fs::write(path, &forged.bytes).unwrap();
    let report = check(dir.path());
    assert_eq!(kinds(&report), [ProblemKind::Hash]);
    assert!(report.problems[0].what.contains("every block holds"));
}

#[test]
fn a_live_segment_is_verified_as_far_as_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    one_of_each(0, 0, 0).seal(dir.path());
    let live = one_of_each(0, 1, 6);
    let path = live.write_live(dir.path(), 4 << 20);
    let report = check(dir.path());
    assert!(report.is_good(), "{:?}", report.problems);
    let segment = &report.segments[1];
    assert_eq!((segment.state, segment.packets), (State::Live, 6));
    assert_eq!(segment.verified_bytes, live.bytes.len() as u64);
    let mut torn = std::fs::read(&path).unwrap();
    torn[live.bytes.len() - 30] ^= 1;
    std::fs::write(&path, torn).unwrap();
    assert_eq!(check(dir.path()).problems[0].file, live.name());
}

#[test]
fn a_single_segment_is_verified_by_its_structure() {
    let dir = tempfile::tempdir().unwrap();
    let path = one_of_each(0, 0, 0).seal(dir.path());
    let copy = dir.path().join("copy.pcapng");
    std::fs::copy(path, &copy).unwrap();
    let report = check(&copy);
    assert!(report.is_good(), "{:?}", report.problems);
    assert_eq!(report.segments[0].state, State::Unlisted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_bytes_verification_ends_without_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = one_of_each(0, 0, 0);
        let path = segment.seal(dir.path());
        let mut bytes = segment.bytes.clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        prop_assert_eq!(check(dir.path()).is_good(), bytes == segment.bytes);
        // Without its line nothing says that it is finished: read as live.
        std::fs::remove_file(dir.path().join("manifest")).unwrap();
        check(dir.path());
    }
}
