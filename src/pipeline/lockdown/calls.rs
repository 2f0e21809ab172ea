//! Which system calls each thread role may make, and which of its jobs needs each. Anything else is refused with `EPERM`.
//!
//! No list has socket, connect, bind to a new address family, clone, fork, execve, ptrace, a change of identity or namespaces,
//! or memory that can be executed.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signals, clocks, link, report.
    Control,
    /// Capture, worker, or both fused.
    Data,
    /// Prepares, syncs, seals segments.
    Keeper,
    /// Follows the journal and writes events.
    Events,
}

impl Role {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "the control thread",
            Self::Data => "a data thread",
            Self::Keeper => "the journal keeper",
            Self::Events => "the events thread",
        }
    }
}

/// Every thread: memory, locks, clocks, its own end.
const COMMON: &[i64] = &[
    libc::SYS_futex,         // locks, joins, barriers
    libc::SYS_clock_gettime, // where the vDSO cannot answer
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_brk, // the allocator
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_rt_sigprocmask, // signals and a thread's end
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_getrandom, // seeds of hash tables
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill, // abort() after a panic
    libc::SYS_close,
    libc::SYS_write, // a line on standard error; the pipe of the signal handler
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Data threads: the ring's counters and waiting; a capture file's bytes.
const DATA: &[i64] = &[
    libc::SYS_getsockopt, // PACKET_STATISTICS, once a second
    libc::SYS_ppoll,      // --wait poll
    libc::SYS_read,       // -r FILE
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_fallocate, // the last losses on a full disk
    libc::SYS_ftruncate,
];

/// Whoever works with the journal's files.
const FILES: &[i64] = &[
    libc::SYS_openat, // Landlock: beneath the journal only
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_getdents64,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_fchmod, // sealed segments are read-only
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
];

/// The control thread: its terminal, the link, the NIC's clock, the children it waits for.
const CONTROL: &[i64] = &[
    libc::SYS_ioctl, // terminal size; PTP_SYS_OFFSET on the PHC that is open
    libc::SYS_ppoll,
    libc::SYS_sendto, // questions to rtnetlink, on the socket that is open
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_getsockopt,
    libc::SYS_getsockname, // whether the ring's socket is still bound: an interface that is gone
    libc::SYS_setsockopt,  // memberships, when an interface has come back
    libc::SYS_bind,        // the ring's socket, when an interface has come back
    libc::SYS_wait4,
    libc::SYS_sched_getaffinity,
];

/// Names that only some architectures have.
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_access,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[i64] = &[];

/// The compiled lists.
#[derive(Debug)]
pub(super) struct Lists {
    control: BpfProgram,
    data: BpfProgram,
    keeper: BpfProgram,
    events: BpfProgram,
}

impl Lists {
    pub(super) fn compile() -> Result<Self, seccompiler::Error> {
        Ok(Self {
            control: program(&[COMMON, FILES, CONTROL, OLD_NAMES])?,
            data: program(&[COMMON, DATA, OLD_NAMES])?,
            keeper: program(&[COMMON, FILES, OLD_NAMES])?,
            events: program(&[COMMON, FILES, OLD_NAMES])?,
        })
    }

    pub(super) fn apply(&self, role: Role) -> Result<(), seccompiler::Error> {
        seccompiler::apply_filter(match role {
            Role::Control => &self.control,
            Role::Data => &self.data,
            Role::Keeper => &self.keeper,
            Role::Events => &self.events,
        })
    }
}

fn program(lists: &[&[i64]]) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        lists.iter().copied().flatten().map(|call| (*call, Vec::new())).collect();
    // Memory may be mapped and protected, but never so that it can be executed.
    let no_exec = SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.cast_unsigned())),
        0,
    )?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![no_exec.clone()])?]);
    }
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(
        rules,
        refused,
        SeccompAction::Allow,
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    Ok(BpfProgram::try_from(filter)?)
}
