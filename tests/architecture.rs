//! The plan of the house holds: floors, where `unsafe` lives, what pure modules reach for, and
//! what the small privileged engine depends on.

#![expect(clippy::unwrap_used, reason = "tests")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules by floor; a module names only lower floors, and neighbours do not see each other.
const FLOORS: &[&[&str]] = &[
    &["sys", "time"],
    &["clock", "metrics", "packet"],
    &["book", "feed", "filter", "pcapng", "ring", "wire"],
    &["capture", "journal", "validate"],
    &["events"],
    &["lab", "pipeline", "replay", "tape"],
    &["cli", "config", "demo"],
];

/// Neighbours that may see each other, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("sys", "time", "sys gives times in the units that time defines"),
    ("cli", "config", "raw words name a configuration file; checking them reads it"),
    ("cli", "demo", "the command line starts the demo"),
];

/// Modules that take bytes and give values: no files, sockets, clocks or threads.
const PURE: &[&str] = &["wire", "book", "feed", "filter", "validate", "time", "packet", "pcapng"];
const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::process",
    "crate::sys",
    "std::time::Instant",
    "SystemTime",
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push((module, path, text));
            }
        }
    }
    assert!(found.len() > 40, "the sources were found");
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The code without comments and without the unit tests at its end (tests may join what the house keeps apart).
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let body = text.split("\n#[cfg(test)]").next().unwrap_or(text);
    body.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(n, line)| (n + 1, line))
}

#[test]
fn a_module_names_only_lower_floors() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        let Some(own) = floor(&module) else { continue };
        for (number, line) in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + 7..];
                // A macro's `$crate` and grouped imports are read name by name.
                let names: Vec<&str> = if let Some(group) = rest.strip_prefix('{') {
                    group
                        .split(',')
                        .map(|n| n.trim().split(':').next().unwrap_or("").trim_end_matches('}'))
                        .collect()
                } else {
                    vec![rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")]
                };
                for name in names {
                    let Some(other) = floor(name) else { continue };
                    let excused = ALLOWED.iter().any(|(a, b, _)| *a == module && *b == name);
                    if name != module && other >= own && !excused {
                        wrong.push(format!(
                            "{}:{number}: {module} (floor {own}) names {name} (floor {other})",
                            path.display()
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `eprintln!` panics when nobody reads standard error any more, and a panic ends a capture: `cli::common::say` does not.
#[test]
fn nothing_panics_because_standard_error_is_closed() {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    let tools = fs::read_dir(tools).unwrap().map(|entry| entry.unwrap().path());
    let tools = tools.map(|path| (String::from("tools"), path.clone(), fs::read_to_string(path).unwrap()));
    for (_, path, text) in sources().into_iter().chain(tools) {
        if path.ends_with("tests.rs") {
            continue;
        }
        for (number, line) in code(&text) {
            assert!(!line.contains("eprint"), "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn every_module_has_its_floor() {
    for (module, path, _) in sources() {
        let known = floor(&module).is_some() || module == "lib" || module == "main";
        assert!(known, "{} stands on no floor", path.display());
    }
}

#[test]
fn unsafe_stands_only_in_sys() {
    for (module, path, text) in sources() {
        if module == "sys" {
            continue;
        }
        for (number, line) in code(&text) {
            let word = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            assert!(!word, "{}:{number}: unsafe outside sys: {line}", path.display());
        }
    }
    let tape = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/tape.rs")).unwrap();
    assert!(!tape.contains("unsafe"));
}

#[test]
fn pure_modules_reach_for_nothing_outside() {
    for (module, path, text) in sources() {
        if !PURE.contains(&module.as_str()) {
            continue;
        }
        for (number, line) in code(&text) {
            for word in IMPURE_WORDS {
                assert!(
                    !line.contains(word),
                    "{}:{number}: {module} is pure but says {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_engine_alone_does_not_carry_what_only_the_analysis_needs() {
    let tree = |args: &[&str]| {
        let out = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .args(args)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let (engine, all) = (tree(&["--no-default-features"]), tree(&[]));
    for analysis_only in ["indicatif", "clap_complete", "clap_mangen", "parquet", "zstd"] {
        assert!(all.contains(&format!("{analysis_only} v")), "{analysis_only} is in the full tree");
        assert!(!engine.contains(&format!("{analysis_only} v")), "{analysis_only} is in the engine's tree");
    }
}

#[test]
fn no_c_compiler_is_needed() {
    let tree = |args: &[&str]| {
        let out = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--no-default-features",
            ])
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .args(args)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let all = tree(&[]);
    assert!(all.contains("libc v"));
    for c_builder in ["cmake v", "pkg-config v", "bindgen v"] {
        assert!(!all.lines().any(|line| line.starts_with(c_builder)), "{c_builder} is in the engine's tree");
    }
    // blake3 brings `cc` along but does not call it with its feature `pure`.
    let wanting_cc = tree(&["--invert", "cc", "--depth", "1"]);
    for line in wanting_cc.lines().filter(|l| !l.is_empty() && !l.starts_with("cc v") && !l.starts_with('['))
    {
        assert!(line.starts_with("blake3 v"), "{line} builds C");
    }
    let features = tree(&["--format", "{p} {f}"]);
    let blake3 = features.lines().find(|l| l.starts_with("blake3 v")).unwrap();
    assert!(blake3.contains("pure"), "{blake3}");
}

/// Paths of the repository's code that a text names: `src/…`, `tests/…`, `tools/…`, without what is only a pattern.
fn named_paths(text: &str) -> Vec<String> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "_-./*{<".contains(c);
    let words = text.split(|c| !is_inside(c));
    let code = words.filter(|w| ["src/", "tests/", "tools/"].iter().any(|root| w.starts_with(root)));
    let whole = code.filter(|w| !w.contains(['*', '{', '<'])).map(|w| w.trim_end_matches(['.', '/']));
    whole.map(str::to_owned).collect()
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let mut named = 0;
    for document in documents {
        for path in named_paths(&fs::read_to_string(&document).unwrap()) {
            assert!(root.join(&path).exists(), "{} names {path}, which does not exist", document.display());
            named += 1;
        }
    }
    assert!(named > 20, "the documents were read");
}
