//! The lockdown: what the process gives up between opening its sources and parsing the first packet.
//!
//! 1. [`enter`], while there is one thread: the journal's directory becomes the working directory and is handed
//!    to an unprivileged user, that user is become, no capability is kept, `no_new_privs`, Landlock: files only in the
//!    journal's directory, no network, no signals to others.
//! 2. [`Lock::role`], first thing in each thread: seccomp with the list of that [`Role`], in `lockdown/calls.rs`.
//!
//! Fails closed: if a step fails, the capture does not start. `docs/security.md` says what this defends and what it does not.

mod attempts;
mod calls;

pub use attempts::{Attempt, forbidden};
pub use calls::Role;

use crate::sys::guard_process::threads;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{AccessFlags, Gid, Uid, User, access, geteuid, setgroups, setresgid, setresuid};
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::sync::Arc;

/// Who to become if nobody was named and the journal's directory is root's.
const NOBODY: &str = "nobody";

/// How to lock down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockdown {
    /// Who to become (`-Z`); `None`: the owner of the journal's directory, or `nobody` if that is root.
    pub user: Option<String>,
    /// Try in every thread what must not be possible, and do not start if anything is.
    pub check: bool,
    /// Priority that the data threads will ask for.
    pub fifo: Option<u8>,
}

/// Why the lockdown failed. The capture did not start.
#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    /// `-Z` with a name that nobody has.
    #[error("-Z {0}: no such user")]
    NoSuchUser(String),
    /// Only root can become somebody else.
    #[error("-Z {0}: only root can become another user; leave -Z away")]
    NotRoot(String),
    /// Threads would keep what the process gives up.
    #[error("lockdown: the process has {0} threads already")]
    Threads(usize),
    /// A step was refused.
    #[error("lockdown: {step}: {error} (--no-lockdown captures without it)")]
    Step {
        /// Which.
        step: &'static str,
        /// What was said.
        error: String,
    },
    /// The user may not write the journal.
    #[error(
        "lockdown: {user} cannot write the journal's directory: {error}; chown it to {user}, or name another user with -Z"
    )]
    NotWritable {
        /// Who.
        user: String,
        /// What the system said.
        error: io::Error,
    },
}

fn step<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> LockdownError {
    move |error| LockdownError::Step { step, error: error.to_string() }
}

/// What was locked; gives each thread its list.
#[derive(Clone, Debug)]
pub struct Lock {
    lists: Arc<calls::Lists>,
    check: bool,
    /// In words, for report and tape.
    pub words: String,
}

impl Lock {
    /// Allows the calling thread only what its role needs, from here on. With `check`, tries what must not be possible.
    ///
    /// # Errors
    /// What the kernel refused, or what it allowed and should not have.
    pub fn role(&self, role: Role) -> Result<(), String> {
        self.lists.apply(role).map_err(|error| format!("lockdown of {}: {error}", role.name()))?;
        if !self.check {
            return Ok(());
        }
        let allowed: Vec<&str> = forbidden().filter(Attempt::succeeds).map(|attempt| attempt.name).collect();
        if allowed.is_empty() {
            return Ok(());
        }
        Err(format!("lockdown of {}: still possible: {}", role.name(), allowed.join(", ")))
    }
}

/// Gives up what the capture does not need any more. `journal` is the directory that is written from here on as `.`.
///
/// # Errors
/// [`LockdownError`]; then the process may have given up part of it, and must end.
pub fn enter(lockdown: &Lockdown, journal: Option<&Path>) -> Result<Lock, LockdownError> {
    let lists = calls::Lists::compile().map_err(step("seccomp"))?;
    let running = threads().map_err(step("/proc/self/task"))?;
    if running != 1 {
        return Err(LockdownError::Threads(running));
    }
    let user = target(lockdown.user.as_deref(), journal)?;
    if let Some(dir) = journal {
        if let Some(user) = &user {
            hand_over(dir, user.uid, user.gid).map_err(step("handing the journal's directory over"))?;
        }
        std::env::set_current_dir(dir).map_err(step("entering the journal's directory"))?;
    } else {
        std::env::set_current_dir("/").map_err(step("leaving the working directory"))?;
    }
    raise_limits(lockdown.fifo);
    let name = user.as_ref().map(|user| user.name.clone());
    if let Some(user) = user {
        become_user(&user).map_err(step("becoming an unprivileged user"))?;
    }
    drop_capabilities().map_err(step("giving up capabilities"))?;
    nix::sys::prctl::set_no_new_privs().map_err(step("no_new_privs"))?;
    if journal.is_some()
        && let Err(error) = access(".", AccessFlags::W_OK | AccessFlags::X_OK)
    {
        let user = name.unwrap_or_else(|| format!("uid {}", geteuid()));
        return Err(LockdownError::NotWritable { user, error: error.into() });
    }
    fence_files(journal.is_some()).map_err(step("Landlock"))?;
    let who = name.unwrap_or_else(|| format!("uid {}", geteuid()));
    let files = if journal.is_some() { "files only in the journal" } else { "no files" };
    let words = format!("as {who}, no capabilities, {files}, no network, system calls by role");
    Ok(Lock { lists: Arc::new(lists), check: lockdown.check, words })
}

/// Who to become; `None`: nobody else.
fn target(asked: Option<&str>, journal: Option<&Path>) -> Result<Option<User>, LockdownError> {
    let by_name = |name: &str| {
        let found = User::from_name(name).map_err(step("asking for the user"))?;
        found.ok_or_else(|| LockdownError::NoSuchUser(name.to_owned()))
    };
    if !geteuid().is_root() {
        return match asked {
            Some(name) if by_name(name)?.uid != geteuid() => Err(LockdownError::NotRoot(name.to_owned())),
            _ => Ok(None),
        };
    }
    if let Some(name) = asked {
        return by_name(name).map(Some);
    }
    let owner = journal.and_then(|dir| dir.metadata().ok()).map(|metadata| metadata.uid());
    let owner =
        owner.filter(|uid| *uid != 0).and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    owner.map_or_else(|| by_name(NOBODY), Ok).map(Some)
}

/// What root made in the journal's directory becomes the user's, the directory too.
fn hand_over(path: &Path, uid: Uid, gid: Gid) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            hand_over(&entry?.path(), uid, gid)?;
        }
    }
    if metadata.uid() != uid.as_raw() && metadata.uid() == geteuid().as_raw() {
        lchown(path, Some(uid.as_raw()), Some(gid.as_raw()))?;
    }
    Ok(())
}

/// What the data threads will ask for without privilege. Where it cannot be raised, they are refused and say so.
fn raise_limits(fifo: Option<u8>) {
    if !geteuid().is_root() {
        return;
    }
    if let Some(priority) = fifo {
        let _ = setrlimit(Resource::RLIMIT_RTPRIO, u64::from(priority), u64::from(priority));
    }
}

fn become_user(user: &User) -> nix::Result<()> {
    setgroups(&[user.gid])?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)
}

fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    use caps::CapSet;
    // Leaving the bounding set needs a capability of its own; no_new_privs makes it moot where that is missing.
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding)?;
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::clear(None, CapSet::Permitted)
}

/// Files: only beneath the working directory, if there is a journal in it. Network, signals, abstract sockets: where the
/// kernel's Landlock can refuse them (seccomp does in any case).
fn fence_files(with_journal: bool) -> Result<(), Box<dyn std::error::Error>> {
    let own = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
        | AccessFs::Truncate;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    if with_journal {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(".")?, own))?;
    }
    rules.restrict_self()?;
    Ok(())
}
