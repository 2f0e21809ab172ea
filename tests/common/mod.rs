//! What the bigger tests share: finding what they need, and a network of their own.
//!
//! A test that needs root, a tool or the shared files skips itself with a line on stderr
//! where they are absent, but fails where `CI` is `true`: there, a skip would hide a hole.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::path::PathBuf;
use std::process::Command;
use wiretape::lab::net::Lab;

/// Says that a test is skipped, or panics in CI.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "would be skipped, which CI does not allow: {why}");
    eprintln!("skipped: {why}");
}

/// The directory of shared captures and feeds: `WIRETAPE_SHARED`, or `../shared` beside the checkout.
pub fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("WIRETAPE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let found = dir.is_dir();
    if !found {
        skip(&format!("no directory {}; set WIRETAPE_SHARED", dir.display()));
    }
    found.then_some(dir)
}

/// True if the test may go on as root.
pub fn need_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("needs root");
    }
    root
}

/// True if the program can be run.
pub fn need_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        skip(&format!("needs {name}"));
    }
    found
}

/// Runs `body` in a thread with a network namespace of its own that holds a veth pair (frames sent into
/// [`Lab::SENDER`] come out of [`Lab::RECEIVER`]; both up, silent, MTU 9216). Threads and programs that
/// `body` starts live there too; `/sys/class/net` shows it. It vanishes with the last of them, so join them.
///
/// Network namespaces belong to threads, so tests in one program run beside each other. Skips without root.
pub fn run_in_netns<T: Send>(body: impl FnOnce(&mut Lab) -> T + Send) -> Option<T> {
    if !need_root() {
        return None;
    }
    let run = || {
        let mut lab = match Lab::enter() {
            Ok(lab) => lab,
            Err(error) => {
                skip(&error.to_string());
                return None;
            }
        };
        Some(body(&mut lab))
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
