//! Advice to the machine about memory: it changes how long things take, and nothing else.

/// Asks for the cache line of `place`, without waiting for it.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks the kernel to back the whole huge pages (2 MiB) inside `memory` with such, where it was not touched yet: a table that is
/// read all over needs fewer address translations. A kernel that declines goes on with small pages.
pub fn prefer_huge_pages(memory: &[u64]) {
    const HUGE: usize = 2 << 20;
    let bytes = size_of_val(memory);
    let skip = memory.as_ptr().cast::<u8>().align_offset(HUGE);
    let Some(inside) = bytes.checked_sub(skip).map(|rest| rest / HUGE * HUGE).filter(|rest| *rest > 0) else {
        return;
    };
    // SAFETY: `skip + inside <= bytes`, so the range lies in `memory`; MADV_HUGEPAGE leaves what stands in it as it is.
    unsafe {
        let begin = memory.as_ptr().cast_mut().cast::<u8>().add(skip);
        libc::madvise(begin.cast(), inside, libc::MADV_HUGEPAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_leaves_memory_as_it_is() {
        let memory: Vec<u64> = (0..1 << 20).collect();
        prefer_huge_pages(&memory);
        prefer_huge_pages(&[]);
        prefer_huge_pages(&memory[..5]);
        memory.iter().for_each(prefetch);
        assert!((0..1 << 20).eq(memory));
    }
}
