//! The locks and atomics of this folder.

use std::sync::PoisonError;

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks a mutex, whatever became of the thread that held it last.
///
/// No foreign code runs under a lock of ours, and every critical section leaves its data whole. So a poisoned lock guards
/// good data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
