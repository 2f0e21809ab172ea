//! Raw attempts at what a locked-down thread must not be able to do. Each answers whether it was possible,
//! and takes back what it did.

/// `socket(AF_INET, SOCK_DGRAM)`.
pub fn opens_a_socket() -> bool {
    // SAFETY: no memory is passed; a descriptor that comes back is ours and closed.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        if fd >= 0 {
            libc::close(fd);
        }
        fd >= 0
    }
}

/// `fork`.
pub fn forks() -> bool {
    // SAFETY: the child leaves at once without touching anything; the parent waits for it.
    unsafe {
        match libc::fork() {
            0 => libc::_exit(0),
            -1 => false,
            pid => {
                libc::waitpid(pid, std::ptr::null_mut(), 0);
                true
            }
        }
    }
}

/// `execve` of a file that does not exist: allowed, it would say `ENOENT`.
pub fn execs() -> bool {
    let nothing: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: the path is a C string and both arrays end with a null pointer; on success it would not return.
    let rc = unsafe { libc::execve(c"/nonexistent/wiretape".as_ptr(), nothing.as_ptr(), nothing.as_ptr()) };
    rc == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
}

/// `ptrace(PTRACE_ATTACH)` of a process that does not exist: allowed, it would say `ESRCH`.
pub fn traces() -> bool {
    // SAFETY: no memory is passed; there is no such process.
    let rc = unsafe { libc::ptrace(libc::PTRACE_ATTACH, i32::MAX, 0, 0) };
    rc == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// `mmap` with `PROT_EXEC`.
pub fn maps_executable() -> bool {
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping touches no other memory; it is unmapped again.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return false;
        }
        libc::munmap(at, 4096);
        true
    }
}

/// `setuid(0)`.
pub fn becomes_root() -> bool {
    // SAFETY: no memory is passed.
    unsafe { libc::setuid(0) == 0 }
}

/// `mount` of a tmpfs on a directory that does not exist: allowed, it would say `ENOENT`.
pub fn mounts() -> bool {
    let (source, target) = (c"none".as_ptr(), c"/nonexistent/wiretape".as_ptr());
    // SAFETY: C strings and a null pointer for the data; the target does not exist.
    let rc = unsafe { libc::mount(source, target, c"tmpfs".as_ptr(), 0, std::ptr::null()) };
    rc == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
}
