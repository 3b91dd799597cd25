//! Threads of ours take no signals of the host's.

use std::mem::MaybeUninit;

/// Runs `start` with all signals blocked, so that a thread it starts never takes one.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::uninit();
    // SAFETY: sigfillset fills the set that pthread_sigmask reads; that fills `before`.
    unsafe {
        let mut all = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let started = start();
    // SAFETY: `before` is this thread's mask of a moment ago.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    started
}
