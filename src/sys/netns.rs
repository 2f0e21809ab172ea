//! Network namespaces: a private set of interfaces for a process or a thread.
//!
//! `unshare(2)` with `CLONE_NEWNET` gives the calling *thread* an empty network;
//! it and the threads that it starts later live there, all others stay where they
//! were, and the namespace and every interface in it vanish with the last of them.
//! Without privilege a user namespace comes first ([`enter`]), and the kernel makes
//! one only for a single-threaded process: so call it before any thread exists.
//!
//! `/sys/class/net` shows the namespace of the *mount*, not of the reader. So a
//! private mount namespace with a fresh sysfs goes along where it is permitted;
//! [`Entered::own_sysfs`] says whether it was. `/proc/sys/net` and
//! `/proc/thread-self/net` follow the reader and need nothing.
//!
//! When a step fails, the error names the step, the setting that forbids it and the mend.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::ffi::CStr;
use std::fs;
use std::io;

/// Why there is no private network.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Neither privilege nor a user namespace was to be had.
    #[error(
        "cannot make a private network: the kernel refused a user namespace ({errno}){knob}; \
         run it with sudo instead"
    )]
    Refused {
        /// What the kernel said.
        errno: Errno,
        /// The setting that forbids it, if one was found.
        knob: String,
    },
    /// The process has threads already, and it is not privileged.
    #[error(
        "cannot make a private network: a user namespace must be made before the first thread starts; \
         run it with sudo, or earlier"
    )]
    Threads,
    /// The identity could not be carried over into the user namespace.
    #[error("cannot make a private network: writing {file}: {error}{knob}; run it with sudo instead")]
    Map {
        /// The file under `/proc/self`.
        file: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
        /// The setting that forbids it, if one was found.
        knob: String,
    },
}

/// What was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// A user namespace was needed: the caller is root only in here.
    pub by_user_namespace: bool,
    /// `/sys/class/net` shows this namespace's interfaces.
    pub own_sysfs: bool,
}

/// Moves the calling thread (a single-threaded process: all of it) into a network of its own.
///
/// Privileged callers may be threads of a larger process; the others must call this
/// before they start a thread.
///
/// # Errors
/// [`NetnsError`], naming the knob that forbids it.
pub fn enter() -> Result<Entered, NetnsError> {
    let net = CloneFlags::CLONE_NEWNET;
    if unshare(net).is_ok() {
        let own_sysfs = unshare(CloneFlags::CLONE_NEWNS).is_ok() && mount_fresh_sysfs().is_ok();
        return Ok(Entered { by_user_namespace: false, own_sysfs });
    }
    // Read before the change: afterwards both are the overflow id until they are mapped.
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | net).map_err(|errno| match errno {
        Errno::EINVAL => NetnsError::Threads,
        errno => NetnsError::Refused { errno, knob: knob() },
    })?;
    // The kernel takes a group map from the unprivileged only once setgroups is given up.
    write_map("/proc/self/setgroups", "deny")?;
    write_map("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write_map("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    let own_sysfs = unshare(CloneFlags::CLONE_NEWNS).is_ok() && mount_fresh_sysfs().is_ok();
    Ok(Entered { by_user_namespace: true, own_sysfs })
}

fn write_map(file: &'static str, text: &str) -> Result<(), NetnsError> {
    fs::write(file, text).map_err(|error| NetnsError::Map { file, error, knob: knob() })
}

/// The first known setting that forbids user namespaces, as a half-sentence; empty if none does.
fn knob() -> String {
    const KNOBS: [(&str, &str, &str); 3] = [
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
    ];
    for (name, forbidding, mend) in KNOBS {
        let file = format!("/proc/sys/{}", name.replace('.', "/"));
        if fs::read_to_string(file).is_ok_and(|value| value.trim() == forbidding) {
            return format!(" because {name} is {forbidding} (`sysctl {name}={mend}` would allow it)");
        }
    }
    String::new()
}

/// Mounts a sysfs of the current network namespace over `/sys`. Only in a mount namespace of one's own.
fn mount_fresh_sysfs() -> Result<(), Errno> {
    // First stop mounts from spreading back to the host.
    mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"sysfs", c"/sys", c"sysfs", libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC)
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: the three strings are NUL-terminated and outlive the call; a null data pointer is
    // allowed for both uses; the kernel only reads them.
    let rc = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) };
    Errno::result(rc).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::rtnetlink::Rtnetlink;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, Uid, fork, setgroups, setresgid, setresuid};

    /// Runs `body` in a forked, and so single-threaded, child; answers its exit code.
    fn in_child(body: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child runs `body` and ends by _exit, without unwinding into the test harness
        // and without its exit handlers; glibc lets a forked child allocate.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(99);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
                WaitStatus::Exited(_, code) => code,
                other => panic!("{other:?}"),
            },
        }
    }

    fn become_nobody() {
        if Uid::effective().is_root() {
            let nobody = 65534;
            setgroups(&[]).unwrap();
            setresgid(nobody.into(), nobody.into(), nobody.into()).unwrap();
            setresuid(nobody.into(), nobody.into(), nobody.into()).unwrap();
            // A change of identity hides /proc/self from its new owner, which a program that was
            // started unprivileged does not meet.
            // SAFETY: takes plain numbers and touches no memory.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
        }
    }

    #[test]
    fn an_unprivileged_process_gets_a_network_or_is_told_which_knob_forbids_it() {
        let code = in_child(|| {
            become_nobody();
            match enter() {
                Ok(entered) => {
                    assert!(entered.by_user_namespace);
                    assert!(Uid::effective().is_root(), "root in here");
                    let mut netlink = Rtnetlink::open().unwrap();
                    netlink.create_veth("na", "nb", 1500).unwrap();
                    crate::sys::packet_send::FrameSocket::open("na", false).unwrap();
                    i32::from(entered.own_sysfs)
                }
                Err(error) => {
                    eprintln!("{error}");
                    assert!(error.to_string().contains("sudo"), "{error}");
                    2
                }
            }
        });
        eprintln!(
            "unprivileged: {}",
            ["entered", "entered, own sysfs", "refused"][usize::try_from(code).unwrap()]
        );
    }

    #[test]
    fn an_unprivileged_process_with_threads_is_told_to_ask_earlier() {
        let code = in_child(|| {
            become_nobody();
            let answer = std::thread::scope(|scope| scope.spawn(enter).join().unwrap());
            i32::from(!matches!(answer, Err(NetnsError::Threads)))
        });
        assert_eq!(code, 0);
    }
}
