//! The locks and atomics that loom can see.
//!
//! A module whose protocol is model-checked takes its synchronization from here: the standard library's as a rule, loom's
//! under `--cfg pyo3_asyncio_loom`. The cfg is our own, because a global `--cfg loom` would change our dependencies too.

#[cfg(pyo3_asyncio_loom)]
use loom::sync as imp;
#[cfg(not(pyo3_asyncio_loom))]
use std::sync as imp;

use std::sync::PoisonError;

pub(crate) use imp::atomic::{AtomicUsize, Ordering};
pub(crate) use imp::{Mutex, MutexGuard};

/// Locks, whatever became of the thread that held the lock last.
///
/// No foreign code runs under a lock of ours and every critical section leaves its data whole, so a poisoned lock guards
/// good data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
