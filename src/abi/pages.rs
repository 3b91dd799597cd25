//! Huge pages below a large buffer, where the system gives them on request (`madvise` or `always` in
//! /sys/kernel/mm/transparent_hugepage/enabled).

/// From here on. Below it the allocator keeps what it was given back, and has no page to ask for again.
const LARGE: usize = 16 << 20;

/// Has the system back a large `buffer`, its unused end too, with huge pages: each saves 511 page faults. To be called
/// when the capacity has changed.
pub fn prefer_huge(buffer: &String) {
    if buffer.capacity() < LARGE {
        return;
    }
    // SAFETY: it only asks.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    // The pages of the allocator's own notes before the buffer too: a mapping of two kinds of pages could not grow in
    // place any more.
    let before = buffer.as_ptr().addr() % page;
    let length = (before + buffer.capacity()).next_multiple_of(page);
    // SAFETY: every page of the range holds a byte of one allocation, so that all are mapped, and the advice changes how
    // they are backed, never what they hold. Where it is not taken, the pages stay small.
    unsafe {
        let start = buffer.as_ptr().wrapping_sub(before).cast_mut();
        libc::madvise(start.cast(), length, libc::MADV_HUGEPAGE);
    }
}
