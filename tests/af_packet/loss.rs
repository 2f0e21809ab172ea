//! Every packet is handed out or counted, whatever overflows.

use crate::support::{Drained, Sender, drain, frame, in_namespace, opened, options, take};
use wiretape::capture::af_packet::{Mode, RingOptions};
use wiretape::packet::LossPlace;

fn merged(mut a: Drained, b: Drained) -> Drained {
    a.packets.extend(b.packets);
    a.losses.extend(b.losses);
    a.counts = b.counts;
    a
}

#[test]
fn an_overflowing_ring_hands_out_or_counts_every_packet() {
    for mode in [Mode::Latency, Mode::Throughput] {
        in_namespace(move || {
            let mut opened = opened(&RingOptions { mode, ring_bytes: 64 << 10, ..options("rx") });
            let sender = Sender::on("tx");
            // Fill it beyond its brim, read a part, fill it again, several times.
            let mut all = Drained::default();
            let mut sent = 0u32;
            for round in 0..10 {
                for _ in 0..500 {
                    sender.send(&frame(sent, 300));
                    sent += 1;
                }
                all = merged(all, take(&mut opened.ring, 5 + round));
            }
            all = merged(all, drain(&mut opened.ring));

            assert!(all.counts.ring_dropped > 0, "the ring was meant to overflow");
            assert_eq!(all.counts.received, u64::from(sent));
            assert_eq!(all.packets.len() as u64 + all.counts.ring_dropped, u64::from(sent));
            let told: u64 = all.losses.iter().map(|loss| loss.packets).sum();
            assert_eq!(told, all.counts.ring_dropped, "each drop is told once");
            assert!(all.losses.iter().all(|l| l.place == LossPlace::RING && l.from_ns <= l.to_ns));
            let mut last = None;
            for p in &all.packets {
                let number = u32::from_be_bytes(p.bytes[14..18].try_into().unwrap());
                assert!(last < Some(number), "in order, none twice");
                assert_eq!(p.bytes, frame(number, 300));
                last = Some(number);
            }
            let (first_ns, last_ns) =
                (all.packets[0].stamp_ns, all.packets.last().unwrap().arrival_ns + 2_000_000_000);
            assert!(all.losses.iter().all(|l| l.from_ns >= first_ns && l.to_ns <= last_ns));
        });
    }
}

#[test]
fn a_loss_is_carried_by_the_first_packet_that_came_after_it() {
    in_namespace(|| {
        let mut opened = opened(&RingOptions { ring_bytes: 64 << 10, ..options("rx") });
        let sender = Sender::on("tx");
        let room = opened.granted.units;
        for n in 0..room + 10 {
            sender.send(&frame(n, 100));
        }
        let first = match &mut opened.ring {
            wiretape::capture::af_packet::Ring::V2(ring) => {
                use wiretape::capture::{Lease, Source, Take};
                let mut source = ring.source();
                assert!(source.under_pressure());
                for _ in 0..room {
                    let Ok(Take::Lease(lease)) = source.take() else { panic!("the ring is full") };
                    assert_eq!(lease.loss(), None, "these came before the loss");
                }
                assert!(!source.under_pressure());
                sender.send(&frame(room + 10, 100));
                let Ok(Take::Lease(lease)) = source.take() else { panic!("one more came") };
                lease.loss()
            }
            wiretape::capture::af_packet::Ring::V3(_) => None,
        };
        let loss = first.expect("the loss is told with the packet behind it");
        assert_eq!((loss.place, loss.packets), (LossPlace::RING, 10));
        assert!(loss.from_ns > 0 && loss.from_ns < loss.to_ns);
        assert_eq!(drain(&mut opened.ring).losses, [], "and not again");
    });
}

#[test]
fn leases_read_by_another_thread_come_back_while_the_ring_turns() {
    for mode in [Mode::Latency, Mode::Throughput] {
        in_namespace(move || {
            let mut opened = opened(&RingOptions { mode, ring_bytes: 256 << 10, ..options("rx") });
            let sender = Sender::on("tx");
            let sent = 20_000u32;
            let (numbers, counts) = match &mut opened.ring {
                wiretape::capture::af_packet::Ring::V2(ring) => across(&mut ring.source(), &sender, sent),
                wiretape::capture::af_packet::Ring::V3(ring) => across(&mut ring.source(), &sender, sent),
            };
            assert_eq!(counts.received, u64::from(sent));
            assert_eq!(numbers.len() as u64 + counts.ring_dropped, u64::from(sent));
            assert!(numbers.is_sorted_by(|a, b| a < b));
        });
    }
}

/// Takes on this thread, reads on another, sends from a third.
fn across<S: wiretape::capture::Source>(
    source: &mut S,
    sender: &Sender,
    count: u32,
) -> (Vec<u32>, wiretape::capture::SourceCounts) {
    use std::sync::atomic::{AtomicBool, Ordering};
    use wiretape::capture::{Lease, Take};
    let done = AtomicBool::new(false);
    let numbers = std::thread::scope(|s| {
        let (give, leases) = std::sync::mpsc::channel::<S::Lease>();
        s.spawn(|| {
            for n in 0..count {
                sender.send(&frame(n, 60 + (n as usize % 1000)));
            }
            done.store(true, Ordering::Release);
        });
        let reader = s.spawn(move || {
            let mut numbers = Vec::new();
            for mut lease in leases {
                lease.walk(|p| {
                    let number = u32::from_be_bytes(p.bytes[14..18].try_into().unwrap());
                    assert_eq!(p.bytes, frame(number, 60 + (number as usize % 1000)));
                    numbers.push(number);
                    std::ops::ControlFlow::Continue(())
                });
            }
            numbers
        });
        loop {
            if done.load(Ordering::Acquire) {
                source.stop_intake();
            }
            match source.take().unwrap() {
                Take::Lease(lease) => give.send(lease).unwrap(),
                Take::Idle => source.wait(std::time::Duration::from_millis(1)).unwrap(),
                Take::End => break,
            }
        }
        drop(give);
        reader.join().unwrap()
    });
    (numbers, source.counts())
}
