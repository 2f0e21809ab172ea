//! Any bytes as an MDP 3.0 packet, and as the blocks of each template: judged, read, made into events without a panic; blocks lie
//! within their message; what was read and is exact is written back byte for byte; every record has its whole length.
//!
//! Input: a byte of choices, then a packet. Odd choices mend the message headers first, so that the fuzzer need not find them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use wiretape::events::normalize::{Normalizer, normalizer};
use wiretape::events::output::{Arrival, Output};
use wiretape::feed::mdp3::encode::Encoder;
use wiretape::feed::mdp3::layout::Kind;
use wiretape::feed::mdp3::sbe::{MESSAGE_HEADER_LEN, Message, Record};
use wiretape::feed::mdp3::templates::TEMPLATES;
use wiretape::feed::mdp3::{HEADER_LEN, Mdp3};
use wiretape::feed::{FeedConfig, FeedProtocol, MessageKind, Protocol};
use wiretape::time::{Stamp, StampClock};

/// Makes the packet's messages ones of known templates, by the bytes that stand where their ids would.
fn mend(packet: &mut [u8]) {
    let mut at = HEADER_LEN;
    while let Some(header) = packet.get_mut(at..at + MESSAGE_HEADER_LEN) {
        let size = u16::from_le_bytes([header[0], header[1]]).max(MESSAGE_HEADER_LEN as u16);
        let template = &TEMPLATES[usize::from(header[4]) % TEMPLATES.len()];
        let version = (5 + u16::from(header[8]) % 10).clamp(template.since, template.until);
        let root = template.root.length(version) + u16::from(header[2] & 3);
        for (place, word) in header.chunks_exact_mut(2).zip([size, root, template.id, 1, version]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        at += usize::from(size);
    }
}

fn copy(encoder: &mut Encoder<'_>, record: &Record<'_>, fields: &'static [wiretape::feed::mdp3::layout::Field]) {
    for field in fields {
        let Some(bytes) = record.bytes(field) else { continue };
        assert_eq!(bytes.len(), usize::from(field.ty.bytes));
        assert!(record.text(field).len() <= bytes.len());
        let _ = (record.int(field), record.bits(field), record.nano(field));
        let mut wide = [0; 8];
        let set = match field.ty.kind {
            Kind::Text => encoder.set_text(field.name, bytes),
            _ => {
                wide[..bytes.len()].copy_from_slice(bytes);
                encoder.set(field.name, u64::from_le_bytes(wide))
            }
        };
        assert!(set, "{}", field.name);
    }
}

/// Reads everything, and writes it again: what is exact has the same length, and reads as the same.
fn message(bytes: &[u8]) {
    let parsed = Message::parse(bytes);
    let known = matches!(Mdp3.check(bytes), Ok(MessageKind::Known));
    assert_eq!(known, matches!(parsed, Ok(Some(_))));
    let Ok(Some(message)) = parsed else { return };
    let mut written = Vec::new();
    let mut encoder = Encoder::begin(&mut written, message.template, message.version());
    copy(&mut encoder, &message.root(), message.template.root.fields);
    for entries in message.groups() {
        let group = entries.group;
        for entry in entries {
            assert!(encoder.entry(group.name));
            copy(&mut encoder, &entry, group.entry.fields);
        }
    }
    let size = encoder.finish();
    if message.fits_exactly() {
        assert_eq!(size, bytes.len());
    }
    let again = Message::parse(&written).expect("ours is sound").expect("and known");
    assert!(again.fits_exactly());
    let fields = message.template.root.fields;
    assert!(fields.iter().all(|field| again.root().bytes(field) == message.root().bytes(field)));
}

struct Bench {
    normalizer: Box<dyn Normalizer>,
    out: Output,
    packets: u32,
}

fn bench() -> Bench {
    let feed = FeedConfig::one_line("cme", FeedProtocol::CmeMdp3, [224, 0, 31, 1].into(), 1);
    let normalizer = normalizer(&feed).expect("CME has one");
    Bench { normalizer, out: Output::new(&feed), packets: 0 }
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(bench());
}

fn events(packet: &[u8], choices: u8) {
    let Ok(frame) = Mdp3.frame(packet, packet.len()) else { return };
    BENCH.with_borrow_mut(|bench| {
        bench.packets += 1;
        if bench.packets % 1024 == 0 {
            // Instruments that were defined do not pile up.
            *bench = self::bench();
        }
        let arrival = Arrival { stamp: Stamp::new(1 << 60, StampClock(choices >> 4)), line: 0 };
        if choices & 2 != 0 {
            bench.normalizer.gap(&arrival, &mut bench.out);
        }
        bench.normalizer.packet(&arrival, &frame, u32::from(choices >> 2 & 1), &mut bench.out);
        if choices & 8 != 0 {
            bench.normalizer.reset(&arrival, &mut bench.out);
        }
        for stream in &mut bench.out.streams {
            let mut rest = &stream[..];
            while let Some(&words) = rest.first() {
                rest = rest.split_at_checked(usize::from(words) * 4).expect("a whole record").1;
            }
            stream.clear();
        }
        assert!(bench.out.side.is_empty() || bench.out.side.ends_with(b"\n"));
        bench.out.side.clear();
    });
}

fuzz_target!(|data: &[u8]| {
    let Some((&choices, packet)) = data.split_first() else { return };
    let mut packet = packet.to_vec();
    if choices & 1 != 0 {
        mend(&mut packet);
    }
    let _ = Mdp3.recognises(&packet, packet.len() + usize::from(choices), 0);
    if let Ok(frame) = Mdp3.frame(&packet, packet.len()) {
        assert_eq!(frame.messages().count(), frame.header.messages as usize);
        frame.messages().for_each(message);
    }
    events(&packet, choices);
});
