//! The manners of both programs and their answers to bad input, each promise with the built programs.
//!
//! Most tests make their own network namespace (root), so that they run beside each other.

#![expect(clippy::unwrap_used, reason = "a test's helper that fails is a test that fails")]

#[path = "../common/mod.rs"]
mod common;
mod support;

mod bad_input;
mod ends;
mod files;
mod filters;
mod journal;
mod options;
mod output;
mod signals;
