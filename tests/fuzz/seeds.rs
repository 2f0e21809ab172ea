//! Writes seed inputs for the fuzz targets into `corpus/NAME/` beside this file, from capture files and journals.
//!
//! `cargo run --manifest-path tests/fuzz/Cargo.toml --example seeds -- DIRECTORY…`: every small pcap, pcapng,
//! segment, manifest and TOML file under the directories becomes an input of each target that reads such bytes.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use wiretape::capture::file::{FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, Take};
use wiretape::filter::{GroupPort, Program, for_groups};
use wiretape::packet::Packet;
use wiretape::wire::dissect;

/// Larger files make slow inputs.
const MOST_BYTES: u64 = 16_384;
/// Segments of one input of the IEX target.
const SEGMENTS: usize = 12;
/// Packets of one file in an input of the judge.
const MOST_PACKETS: usize = 8;
/// The link types of targets/judge.rs, by their place there.
const LINKS: [u16; 10] = [1, 0, 101, 108, 113, 228, 229, 276, 12, 147];

/// Layouts as targets/sequenced.rs reads them: NYSE XDP, ICE iMpact, MIAX MACH (its sequence as 4 bytes).
const LAYOUTS: [[u8; 16]; 3] = [
    [1, 0x84, 0, 0x23, 0, 0x88, 0x8c, 0, 0xca, 0x9a, 0x3b, 0, 0x22, 1, 0, 0],
    [0, 0x82, 0x40, 0x46, 0, 0x8c, 0, 0x40, 0x42, 0x0f, 0, 0, 0, 0, 0, 0],
    [3, 0x80, 0x2b, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 0x2a, 0, 1, 0],
];

struct Seeds {
    corpus: PathBuf,
    count: usize,
}

impl Seeds {
    fn put(&mut self, target: &str, bytes: &[u8]) -> io::Result<()> {
        let dir = self.corpus.join(target);
        fs::create_dir_all(&dir)?;
        self.count += 1;
        fs::write(dir.join(format!("seed-{:05}", self.count)), bytes)
    }

    fn tree(&mut self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                self.tree(&entry?.path())?;
            }
            return Ok(());
        }
        if path.to_string_lossy().contains("iex-") {
            self.iex(path)?;
        }
        if path.metadata()?.len() > MOST_BYTES {
            return Ok(());
        }
        let bytes = fs::read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_segment = name.starts_with('q') && name.ends_with(".pcapng");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pcapng") if is_segment => self.put("journal", &bytes),
            Some("pcap" | "pcapng") => self.capture(path, &bytes),
            Some("toml") => self.put("config", &bytes),
            None if name == "manifest" => self.put("manifest", &bytes),
            _ => Ok(()),
        }
    }

    fn capture(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.put("pcap_file", bytes)?;
        self.put("pcapng_blocks", bytes)?;
        // Recognise, and the configured feeds, with room for three streams.
        let (mut judged, mut payloads, mut packets) = (vec![0xc7], Vec::new(), 0);
        each_packet(path, |packet| {
            packets += 1;
            let link = LINKS.iter().position(|link| *link == packet.link.0);
            let link = link.and_then(|at| u8::try_from(at).ok()).or_else(|| u8::try_from(packet.link.0).ok());
            let length = u16::try_from(packet.bytes.len());
            if let (Some(link), Ok(length), true) = (link, length, packets <= MOST_PACKETS) {
                judged.extend([link, 0, 0, 0]);
                judged.extend(length.to_le_bytes());
                judged.extend(packet.bytes);
                payloads.push(dissect(packet).payload.to_vec());
            }
        });
        self.put("judge", &judged)?;
        for target in ["feed", "pitch"] {
            payloads.iter().try_for_each(|payload| self.put(target, payload))?;
        }
        payloads.iter().try_for_each(|payload| self.put("cme", &[&[0], &payload[..]].concat()))?;
        for layout in LAYOUTS {
            let mut series = layout.to_vec();
            for payload in &payloads {
                let begin = payload.get(..payload.len().min(64)).unwrap_or_default();
                series.extend([u8::try_from(begin.len()).unwrap_or(0)]);
                series.extend(begin);
            }
            self.put("sequenced", &series)?;
        }
        Ok(())
    }

    /// Segments of a capture, one by one and in series: from all over the file, since a day's begin has directories and
    /// states, its middle quotes and trades.
    fn iex(&mut self, path: &Path) -> io::Result<()> {
        let mut segments = Vec::new();
        each_packet(path, |packet| segments.push(dissect(packet).payload.to_vec()));
        let step = segments.len() / 64 + 1;
        for series in segments.chunks(SEGMENTS).step_by(step.div_ceil(SEGMENTS)) {
            let mut input = Vec::new();
            for segment in series {
                input.extend(u16::try_from(segment.len()).unwrap_or(0).to_le_bytes());
                input.extend(segment);
            }
            self.put("iex", &input)?;
            series.first().map_or(Ok(()), |segment| self.put("iex", segment))?;
        }
        Ok(())
    }

    fn program(&mut self, program: &Program) -> io::Result<()> {
        self.put("ddd", program.to_ddd().as_bytes())?;
        let Ok(count) = u8::try_from(program.insns().len()) else { return Ok(()) };
        let mut bytes = vec![count];
        for insn in program.insns() {
            bytes.extend(insn.code.to_le_bytes());
            bytes.extend([insn.jt, insn.jf]);
            bytes.extend(insn.k.to_le_bytes());
        }
        bytes.extend([0x45; 60]);
        self.put("bpf", &bytes)
    }
}

fn each_packet(path: &Path, mut body: impl FnMut(&Packet<'_>)) {
    let Some(path) = path.to_str() else { return };
    let Ok(mut source) = FileSource::open(FileOptions { path: path.to_owned(), ..FileOptions::default() })
    else {
        return;
    };
    while let Ok(Take::Lease(mut lease)) = source.take() {
        lease.walk(|packet| {
            body(&packet);
            ControlFlow::Continue(())
        });
    }
}

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut seeds = Seeds { corpus, count: 0 };
    for directory in std::env::args_os().skip(1) {
        seeds.tree(Path::new(&directory))?;
    }
    let group = |group: &str, port, source: Option<&str>| GroupPort {
        group: group.parse().expect("an address"),
        port,
        source: source.map(|source| source.parse().expect("an address")),
    };
    let groups =
        [group("239.1.2.3", None, None), group("233.54.12.111", Some(26477), Some("206.200.127.138"))];
    for groups in [&groups[..1], &groups[..]] {
        if let Ok(program) = for_groups(groups) {
            seeds.program(&program)?;
        }
    }
    println!("{} inputs in {}", seeds.count, seeds.corpus.display());
    Ok(())
}
