//! Any bytes as pcapng blocks, from the start of a file and from within a section of either byte order: no panic, no
//! byte outside the block, steps that add up; and blocks of our own writer around the same bytes read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::pcapng::read::{Block, Blocks, ByteOrder, Next, OptionView, Options, View, next_block};
use wiretape::pcapng::write::BlockBuilder;

fn options(block: &Block<'_>) {
    for at in 0..block.body.len().min(64) {
        let mut bytes = 0;
        for option in Options::new(&block.body[at..], block.order, block.body_offset()) {
            let Ok(option) = option else { break };
            bytes += 4 + option.value.len();
            drop((option.text(), option.u8(), option.u32(), option.u64(), option.high_low()));
        }
        assert!(bytes <= block.body.len());
    }
}

fn view(block: &Block<'_>) {
    match block.view() {
        Ok(View::Interface(interface)) => {
            drop((interface.to_def(), interface.tick_unit(), interface.fcs_bytes()));
        }
        Ok(View::Enhanced(packet)) => {
            assert!(packet.bytes.len() <= block.body.len());
            _ = packet.flags_and_drops();
        }
        Ok(View::Simple(packet)) => {
            for snaplen in [0, 1, 64, u32::MAX] {
                assert!(packet.bytes(snaplen).map_or(0, <[u8]>::len) <= block.body.len());
            }
        }
        Ok(View::Obsolete(packet)) => _ = packet.flags(),
        Ok(View::Statistics(statistics)) => {
            drop(((4..9).map(|code| statistics.counter(code)).collect::<Vec<_>>(), statistics.time_ticks(2)));
        }
        _ => {}
    }
}

fn walk(mut blocks: Blocks<'_>, from: u64, bytes: &[u8]) {
    let mut at = from;
    while let Some(Ok(block)) = blocks.next() {
        assert_eq!(block.offset, at);
        at += block.total_len() as u64;
        assert!(block.body.len() + 12 <= bytes.len());
        view(&block);
        options(&block);
    }
    assert_eq!(blocks.offset(), at);
}

fn written(bytes: &[u8]) {
    let cut = &bytes[..bytes.len().min(60_000)];
    let mut out = Vec::new();
    BlockBuilder::new(&mut out, 0x0bad).option(1, cut).option(2, b"end").end_options().finish();
    let Ok(Next::Block(block)) = next_block(&out, Some(ByteOrder::Little), 7) else { panic!("our own block") };
    let found: Vec<OptionView<'_>> =
        Options::new(block.body, block.order, block.body_offset()).map(|o| o.expect("our own option")).collect();
    assert_eq!((found[0].value, found[1].value), (cut, &b"end"[..]));
    assert_eq!(found.len(), 2);
}

fuzz_target!(|bytes: &[u8]| {
    walk(Blocks::new(bytes), 0, bytes);
    for order in [ByteOrder::Little, ByteOrder::Big] {
        walk(Blocks::within_section(bytes, 4096, order), 4096, bytes);
    }
    written(bytes);
});
