//! Any bytes as a segment: read strictly, read over damage, jumped about in, verified. No panic, no endless loop.
//! Then once more with every CRC made right, so that what lies behind the CRC is reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use wiretape::journal::format::{SEGMENT_HEADER, block_crc, crc_from_end, crc_seed};
use wiretape::journal::index::{RangeReader, TimeRange};
use wiretape::journal::reader::{OnDamage, Opening, ReadOptions, SegmentReader, SegmentStep, Tape};
use wiretape::journal::verify::{VerifyOptions, verify};

/// Where a segment header block holds the segment's id.
const ID_AT: usize = 12;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Gives every block that is framed at all the CRC of its bytes.
fn mend(bytes: &mut [u8]) {
    let (mut at, mut id) = (0, 0);
    while let (Some(block_type), Some(length)) = (word(bytes, at), word(bytes, at + 4)) {
        let length = length as usize;
        let Some(block) = bytes.get_mut(at..at.saturating_add(length)).filter(|b| b.len() >= 16) else { return };
        if block_type == SEGMENT_HEADER {
            id = word(block, ID_AT).unwrap_or(0);
        }
        let crc = block_crc(block, block_type, crc_seed(block_type, id));
        let crc_at = block.len() - crc_from_end(block_type);
        block[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        at += length;
    }
}

fn read(dir: &Path, bytes: &[u8]) {
    let path = dir.join("q00-000000.pcapng");
    if std::fs::write(&path, bytes).is_err() {
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
        drop((segment.last_anchor(), segment.end_by_tail()));
    }
    let Ok(tape) = Tape::open(dir) else { return };
    let skip = ReadOptions { on_damage: OnDamage::Skip, ..ReadOptions::default() };
    if let Ok(mut range) = RangeReader::open(&tape, TimeRange::new(1..u64::MAX / 2), skip) {
        while range.step().unwrap_or(false) {}
    }
    let report = verify(dir, &VerifyOptions::default(), &mut |_| {});
    assert!(report.is_ok());
}

fuzz_target!(|bytes: &[u8]| {
    // One directory a process, used over and over.
    let dir = std::env::temp_dir().join(format!("wiretape-fuzz-journal-{}", std::process::id()));
    if std::fs::create_dir_all(&dir).is_err() {
        return;
    }
    read(&dir, bytes);
    let mut mended = bytes.to_vec();
    mend(&mut mended);
    read(&dir, &mended);
});
