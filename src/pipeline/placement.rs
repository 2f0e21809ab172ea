//! Which CPU runs which thread, and what else keeps a data thread from waiting:
//! real-time priority, locked memory, shallow CPU idle states.
//!
//! Choosing is pure ([`choose`]); doing is [`settle`] and [`Quiet`]. What the host
//! does not allow is a warning, never a failed capture.

use crate::sys::sched;

/// A CPU and those that share its core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// Lowest number of the hyperthreads on the same core (itself if it has none).
    pub core: usize,
}

/// How a capture's threads are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// Fused if there are two CPUs or fewer for each queue and the rest of the program, else apart.
    #[default]
    Auto,
    /// Capture thread and worker apart.
    Split,
    /// Capture and worker in one thread.
    Fused,
}

/// The CPUs of one queue's threads; none = not pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pair {
    /// The capture thread's (and in the fused layout the worker's).
    pub capture: Option<usize>,
    /// The worker's.
    pub worker: Option<usize>,
}

/// Decides layout and CPUs for `queues` queues on `cpus`, unless the user said which.
///
/// Avoided where there is a choice: CPU 0 (interrupts, housekeeping) and two threads on one core.
pub fn choose(layout: Layout, queues: usize, cpus: &[Cpu], asked: &[Pair]) -> (bool, Vec<Pair>) {
    let fused = match layout {
        Layout::Fused => true,
        Layout::Split => false,
        Layout::Auto if !asked.is_empty() => asked.iter().all(|p| p.worker.is_none()),
        Layout::Auto => cpus.len() <= 2,
    };
    if !asked.is_empty() {
        return (fused, (0..queues).map(|q| asked[q % asked.len()]).collect());
    }
    let mut order = preferred(cpus).into_iter();
    let pairs = (0..queues)
        .map(|_| Pair { capture: order.next(), worker: if fused { None } else { order.next() } })
        .collect();
    (fused, pairs)
}

/// CPUs in the order of preference: one thread a core, CPU 0's core last, then the siblings.
fn preferred(cpus: &[Cpu]) -> Vec<usize> {
    let first = cpus.iter().map(|c| c.core).min();
    let rank = |cpu: &Cpu| (cpu.id != cpu.core, Some(cpu.core) == first, cpu.id);
    let mut sorted: Vec<_> = cpus.iter().collect();
    sorted.sort_by_key(|cpu| rank(cpu));
    sorted.into_iter().map(|cpu| cpu.id).collect()
}

/// The CPUs that this process may run on, with their cores.
pub fn cpus() -> Vec<Cpu> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    ids.into_iter().map(|c| Cpu { id: c.id, core: first_sibling(c.id).unwrap_or(c.id) }).collect()
}

fn first_sibling(cpu: usize) -> Option<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(path).ok()?;
    list.trim().split([',', '-']).next()?.parse().ok()
}

/// Settles the calling thread: its name, its CPU, its priority. Answers what the host refused.
pub fn settle(cpu: Option<usize>, fifo: Option<u8>) -> Vec<String> {
    let mut refused = Vec::new();
    // Asked first: a number beyond the kernel's CPU set must not reach the call.
    let ours = |id| core_affinity::get_core_ids().unwrap_or_default().iter().any(|core| core.id == id);
    if let Some(id) = cpu
        && !(ours(id) && core_affinity::set_for_current(core_affinity::CoreId { id }))
    {
        refused.push(format!("cannot pin a thread to CPU {id}: not one of this process's CPUs"));
    }
    if let Some(priority) = fifo
        && let Err(error) = sched::set_fifo(priority)
    {
        refused.push(format!("SCHED_FIFO {priority}: {error} (needs CAP_SYS_NICE)"));
    }
    refused
}

/// Host-wide quiet that lasts while this is held.
#[derive(Debug, Default)]
pub struct Quiet {
    /// `/dev/cpu_dma_latency`: the kernel keeps CPUs out of deep sleep while the file is open.
    _dma_latency: Option<std::fs::File>,
}

impl Quiet {
    /// Asks for CPU wake-up within `dma_latency_us` microseconds, if given; and what the host refused.
    pub fn ask(dma_latency_us: Option<u32>) -> (Self, Vec<String>) {
        let file = dma_latency_us.map(sched::cpu_dma_latency).transpose();
        let refused = file.as_ref().err().map(|error| format!("/dev/cpu_dma_latency: {error}"));
        (Self { _dma_latency: file.ok().flatten() }, refused.into_iter().collect())
    }
}

/// Locks what is mapped, if asked; what the host refused.
pub fn lock_memory(asked: bool) -> Option<String> {
    let error = asked.then(sched::lock_memory)?.err()?;
    Some(format!("memory is not locked: {error} (raise RLIMIT_MEMLOCK or give CAP_IPC_LOCK)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smt(cores: usize) -> Vec<Cpu> {
        (0..2 * cores).map(|id| Cpu { id, core: id % cores }).collect()
    }

    #[test]
    fn cpu_0_and_hyperthread_siblings_come_last() {
        assert_eq!(preferred(&smt(4)), [1, 2, 3, 0, 5, 6, 7, 4]);
        assert_eq!(preferred(&[Cpu { id: 0, core: 0 }, Cpu { id: 1, core: 1 }]), [1, 0]);
    }

    #[test]
    fn two_cpus_fuse_and_what_the_user_asked_wins() {
        let two = [Cpu { id: 0, core: 0 }, Cpu { id: 1, core: 1 }];
        let (fused, pairs) = choose(Layout::Auto, 1, &two, &[]);
        assert!(fused);
        assert_eq!(pairs, [Pair { capture: Some(1), worker: None }]);
        let asked = [Pair { capture: Some(0), worker: Some(1) }];
        assert_eq!(choose(Layout::Auto, 1, &two, &asked), (false, asked.to_vec()));
    }

    #[test]
    fn more_threads_than_cpus_leaves_the_rest_unpinned() {
        let (fused, pairs) = choose(Layout::Split, 3, &smt(2), &[]);
        assert!(!fused);
        assert_eq!(pairs[0], Pair { capture: Some(1), worker: Some(0) });
        assert_eq!(pairs[2], Pair { capture: None, worker: None });
    }
}
