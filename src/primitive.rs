//! The locks, atomics and statics, and which of them loom can see.
//!
//! A module whose protocol is model-checked takes its synchronization from here: the standard library's as a rule, loom's
//! under `--cfg pyo3_asyncio_loom`. The cfg is our own, because a global `--cfg loom` would change our dependencies too.

#[cfg(pyo3_asyncio_loom)]
use loom::sync as imp;
#[cfg(not(pyo3_asyncio_loom))]
use std::sync as imp;

use std::sync::PoisonError;

pub(crate) use imp::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use imp::{Mutex, MutexGuard};

#[cfg(pyo3_asyncio_loom)]
mod modelled;
#[cfg(pyo3_asyncio_loom)]
pub(crate) use modelled::{LocalCell, lazy, local, thread};

/// What threads do to wait for each other, and who they are.
#[cfg(not(pyo3_asyncio_loom))]
pub(crate) mod thread {
    pub(crate) use std::thread::{Thread, ThreadId, current, park, park_timeout, sleep};
}

/// A static that is made when it is first used.
#[cfg(not(pyo3_asyncio_loom))]
macro_rules! lazy {
    (static $name:ident: $type:ty = $value:expr;) => {
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
    };
}
/// A cell of each thread's own.
#[cfg(not(pyo3_asyncio_loom))]
macro_rules! local {
    (static $name:ident: $type:ty = $value:expr;) => {
        std::thread_local! { static $name: $type = const { $value }; }
    };
}
#[cfg(not(pyo3_asyncio_loom))]
pub(crate) use {lazy, local};

/// Locks, whatever became of the thread that held the lock last.
///
/// No foreign code runs under a lock of ours and every critical section leaves its data whole, so a poisoned lock guards
/// good data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`lock`] for a mutex of the standard library, whose protocol no loom model checks.
pub(crate) fn lock_std<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod models {
    //! What the models of several protocols share.
    //!
    //! loom runs a model in every order that there is. Without it, a model is a test with threads that runs once, for valgrind
    //! and miri to look at.

    use std::sync::Arc;
    use std::task::{Wake, Waker};

    #[cfg(pyo3_asyncio_loom)]
    pub(crate) use loom::{cell::UnsafeCell, model, thread};
    #[cfg(not(pyo3_asyncio_loom))]
    pub(crate) use {once::UnsafeCell, once::model, std::thread};

    use super::{AtomicUsize, Ordering::SeqCst};

    #[cfg(not(pyo3_asyncio_loom))]
    mod once {
        use std::sync::Mutex;

        pub(crate) fn model(run: impl Fn()) {
            run();
        }

        /// Fails, as loom's does, if two threads are inside.
        pub(crate) struct UnsafeCell<T>(Mutex<T>);

        impl<T> UnsafeCell<T> {
            pub(crate) fn new(value: T) -> Self {
                Self(Mutex::new(value))
            }

            pub(crate) fn with_mut<R>(&self, look: impl FnOnce(*mut T) -> R) -> R {
                look(&mut *self.0.try_lock().expect("nobody else is inside"))
            }
        }
    }

    pub(crate) struct Wakes(AtomicUsize);

    impl Wakes {
        pub(crate) fn count(&self) -> usize {
            self.0.load(SeqCst)
        }
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    pub(crate) fn counting_waker() -> (Waker, Arc<Wakes>) {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        (Waker::from(Arc::clone(&wakes)), wakes)
    }
}
