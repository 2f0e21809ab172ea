//! Any bytes as a manifest: an error with a line number, or lines that are written back as they were read. The chain
//! holds where, and only where, BLAKE3 says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiretape::journal::manifest::{GENESIS, Manifest, body, hex, next_chain};

fuzz_target!(|bytes: &[u8]| {
    let manifest = match Manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(bad) => {
            assert!(bad.number >= 1 && bad.number <= bytes.split(|b| *b == b'\n').count());
            return;
        }
    };
    let (mut before, mut written) = (GENESIS, String::new());
    for line in &manifest.lines {
        let body = body(&line.entry);
        assert_eq!(line.chain_holds, next_chain(&before, &body) == line.chain);
        before = line.chain;
        written += &format!("{body} {}\n", hex(&line.chain));
    }
    assert_eq!(manifest.head(), before);
    let whole = usize::try_from(manifest.whole_bytes).expect("no longer than the input");
    assert_eq!(written.as_bytes(), &bytes[..whole]);
    assert!(manifest.kept().len() <= manifest.names().count());

    // And a line made of the same entries, chained rightly, always holds.
    let (mut chain, mut made) = (GENESIS, String::new());
    for line in &manifest.lines {
        let body = body(&line.entry);
        chain = next_chain(&chain, &body);
        made += &format!("{body} {}\n", hex(&chain));
    }
    let again = Manifest::parse(made.as_bytes()).expect("what was written can be read");
    assert!(again.lines.iter().all(|line| line.chain_holds));
});
