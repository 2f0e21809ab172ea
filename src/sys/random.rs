//! `getrandom(2)`: identifiers that no other capture has.

use std::io;

/// Random bytes from the kernel.
///
/// # Errors
/// What `getrandom(2)` says (a kernel before 3.17, or a filter that forbids it).
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut out = [0_u8; N];
    let mut filled = 0;
    while filled < N {
        let rest = &mut out[filled..];
        // SAFETY: `rest` is live and writable for its whole length during the call.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(n) => filled += n,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(out)
}
