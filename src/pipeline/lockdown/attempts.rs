//! What no thread must be able to do once it is locked down, as attempts: `--check-lockdown` makes them in every thread.

use crate::sys::attempts as raw;

/// Something forbidden.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What it is.
    pub name: &'static str,
    try_it: fn() -> bool,
}

impl Attempt {
    /// Tries it: true if it was possible.
    pub fn succeeds(&self) -> bool {
        (self.try_it)()
    }
}

/// Everything that is tried.
pub fn forbidden() -> impl Iterator<Item = Attempt> {
    let attempt = |name, try_it| Attempt { name, try_it };
    [
        attempt("reading a foreign file", || std::fs::File::open("/etc/passwd").is_ok()),
        attempt("listing a foreign directory", || std::fs::read_dir("/").is_ok()),
        attempt("writing a foreign file", || std::fs::File::create("/tmp/wiretape-lockdown-check").is_ok()),
        attempt("opening a socket", raw::opens_a_socket),
        attempt("connecting", || {
            std::net::TcpStream::connect(("127.0.0.1", 9))
                .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
        }),
        attempt("running a program", raw::forks),
        attempt("replacing the program", raw::execs),
        attempt("tracing a process", raw::traces),
        attempt("mapping memory that can be executed", raw::maps_executable),
        attempt("becoming root again", raw::becomes_root),
        attempt("mounting", raw::mounts),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_lockdown_the_attempts_are_possible() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let refused: Vec<&str> =
            forbidden().filter(|attempt| !attempt.succeeds()).map(|attempt| attempt.name).collect();
        assert!(refused.is_empty(), "an attempt that cannot succeed proves nothing: {refused:?}");
        std::fs::remove_file("/tmp/wiretape-lockdown-check").unwrap();
    }
}
