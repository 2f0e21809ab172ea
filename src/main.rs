//! The engine program: words in, capture, report out. All work is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    wiretape::cli::engine_run::main().into()
}
