//! How wide a terminal is.

use std::os::fd::{AsFd, AsRawFd as _};

mod ioctl {
    nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);
}

/// Columns of the terminal behind `fd`; `None` if it is none, or does not say.
pub fn columns(fd: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `fd` is open for the whole call, `size` is a live winsize of the layout that TIOCGWINSZ fills.
    unsafe { ioctl::window_size(fd.as_fd().as_raw_fd(), &raw mut size) }.ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_terminal_has_no_columns() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(super::columns(&file), None);
    }

    #[test]
    fn a_terminal_says_its_columns() {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: 97, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(&size, None).unwrap();
        assert_eq!(super::columns(&pair.slave), Some(97));
    }
}
