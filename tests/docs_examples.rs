//! The documents show nothing that does not work: blocks marked `sh run` are run, and every command line of ours in
//! any block is one that the programs understand.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use clap::Parser as _;
use common::run_in_netns;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiretape::cli::engine::Engine;
use wiretape::cli::tape::TapeArgs;

/// A fenced block of a document.
struct Block {
    /// File and line, for messages.
    place: String,
    /// What stands behind the opening fence.
    info: String,
    lines: Vec<String>,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (vec![root.join("README.md")], vec![root.join("docs")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn blocks(path: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut found, mut open) = (vec![], None::<Block>);
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                let place = format!("{}:{}", path.display(), at + 1);
                open = Some(Block { place, info: info.trim().to_owned(), lines: vec![] });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", path.display());
    found
}

/// A line as a shell splits it, up to a pipe, a redirection, a background sign or a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (vec![], None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '&' | ';') => break,
            (None, '#') if word.is_none() => break,
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What the programs say to a command line of theirs; `None` if it is of another program.
fn misunderstood(line: &str) -> Option<String> {
    let mut words = words(line.trim_start().trim_start_matches("$ "));
    if words.first().is_some_and(|word| word == "sudo") {
        words.remove(0);
    }
    let name = words.first()?.rsplit('/').next()?.to_owned();
    // Prose in a text block ("tape is …") names no command; a wrong command in a real line is one word, alone or before an option.
    let error = match name.as_str() {
        "wiretape" => Engine::try_parse_from(&words).err(),
        "tape" => TapeArgs::try_parse_from(&words).err(),
        _ => None,
    }?;
    error.use_stderr().then(|| error.to_string())
}

#[test]
fn every_command_line_in_the_documents_is_understood() {
    let (mut checked, mut wrong) = (0, vec![]);
    for block in documents().iter().flat_map(|path| blocks(path)) {
        for line in &block.lines {
            checked += usize::from(line.contains("tape "));
            if let Some(error) = misunderstood(line) {
                wrong.push(format!("{}: {line}\n{error}", block.place));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 5, "only {checked} lines looked at");
}

#[test]
fn a_command_line_that_no_program_understands_is_noticed() {
    assert!(misunderstood("sudo wiretape capture -i eth0 --no-such-option").is_some());
    assert!(misunderstood("tape reed j | head").is_some());
    assert!(misunderstood("$ tape read j -c 5 'udp port 53' | wc -l --no-such  # five").is_none());
    assert!(misunderstood("tshark --no-such").is_none());
}

/// True if `line` holds what `wanted` says; `…` stands for anything.
fn shows(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    wanted.trim().split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn run(block: &Block, dir: &Path) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_tape")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path))).unwrap();
    let script = format!("exec 2>&1\nset -e\n{}\n", block.lines.join("\n"));
    let output = Command::new("sh").arg("-c").arg(script).env("PATH", path).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {}\n{text}", block.place, output.status);
    text
}

/// The blocks of one document run one after the other in one directory, in a network of their own.
#[test]
fn every_example_marked_as_such_runs_and_shows_what_is_said() {
    let mut ran = 0;
    for path in documents() {
        let blocks = blocks(&path);
        if !blocks.iter().any(|block| block.info == "sh run") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut before = None;
        let done = run_in_netns(|_| {
            for block in &blocks {
                if block.info == "sh run" {
                    before = Some(run(block, dir.path()));
                    ran += 1;
                } else if let (Some(text), "text") = (before.take(), block.info.as_str()) {
                    for wanted in block.lines.iter().filter(|line| !line.trim().is_empty()) {
                        let found = text.lines().any(|line| shows(line, wanted));
                        assert!(found, "{}: no line shows {wanted:?} in\n{text}", block.place);
                    }
                }
            }
        });
        if done.is_none() {
            return;
        }
    }
    assert!(ran > 0, "no document has an example to run");
}
