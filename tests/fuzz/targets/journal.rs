//! Any bytes as a segment: read strictly, read over damage, jumped about in, verified. No panic, no endless loop.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::journal::index::{RangeReader, TimeRange};
use wiretape::journal::reader::{OnDamage, Opening, ReadOptions, SegmentReader, SegmentStep, Tape};
use wiretape::journal::verify::{VerifyOptions, verify};

fuzz_target!(|bytes: &[u8]| {
    // One directory a process, used over and over.
    let dir = std::env::temp_dir().join(format!("wiretape-fuzz-journal-{}", std::process::id()));
    let path = dir.join("q00-000000.pcapng");
    if std::fs::create_dir_all(&dir).is_err() || std::fs::write(&path, bytes).is_err() {
        return;
    }
    for opening in [Opening::Auto, Opening::Sealed] {
        let Ok(mut segment) = SegmentReader::open(&path, opening) else { continue };
        // A step goes on by at least one block, damage included, so this ends.
        loop {
            match segment.step() {
                Ok(SegmentStep::Record) => drop(segment.record()),
                Ok(SegmentStep::Nothing | SegmentStep::End) => break,
                Err(_) if segment.skip_damage().unwrap_or(false) => {}
                Err(_) => break,
            }
        }
        assert!(segment.position() <= segment.len_bytes());
    }
    let Ok(tape) = Tape::open(&dir) else { return };
    let skip = ReadOptions { on_damage: OnDamage::Skip, ..ReadOptions::default() };
    if let Ok(mut range) = RangeReader::open(&tape, TimeRange::new(1..u64::MAX / 2), skip) {
        while range.step().unwrap_or(false) {}
    }
    let report = verify(&dir, &VerifyOptions::default(), &mut |_| {});
    assert!(report.is_ok());
});
