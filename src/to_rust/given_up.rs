//! The Python tasks that the main future of a program gives up.
//!
//! When the main future ends, it drops its [`PyTask`](super::PyTask)s, and each posts a job that cancels its Python task. Then the
//! loop ends and cancels all tasks. A second cancellation would interrupt the clean-up of those that were cancelled just before. So
//! the main future collects the tasks that its last poll or its drop gives up, and the end of the loop cancels each of them only
//! once.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;

use super::task::Execution;
use crate::sync::primitive::lock;

thread_local! {
    /// The collection of the main future that this thread polls or drops.
    static COLLECTED: RefCell<Option<GivenUpTasks>> = const { RefCell::new(None) };
}

/// The Python tasks that a main future gave up in its last poll or in its drop. They are cleaning up.
#[derive(Clone, Default)]
pub(crate) struct GivenUpTasks(Arc<Mutex<Vec<Arc<Execution>>>>);

impl GivenUpTasks {
    /// Collects the tasks that `run` gives up, in place of those collected before.
    pub(crate) fn collect<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Restores the outer collection, also if `run` panics.
        struct Restore(Option<GivenUpTasks>);

        impl Drop for Restore {
            fn drop(&mut self) {
                COLLECTED.set(self.0.take());
            }
        }

        let previous = std::mem::take(&mut *lock(&self.0));
        drop(previous);
        let _restore = Restore(COLLECTED.replace(Some(self.clone())));
        run()
    }

    /// Adds a task that was given up on this thread.
    pub(super) fn note(execution: &Arc<Execution>) {
        // A thread that is ending has no thread-locals, and polls no main future.
        let _ = COLLECTED.try_with(|collected| {
            if let Some(Self(collected)) = &*collected.borrow() {
                lock(collected).push(Arc::clone(execution));
            }
        });
    }

    /// Cancels the tasks that have not been cancelled, and returns those that still run. On the loop's thread.
    pub(crate) fn cancel<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let given_up = std::mem::take(&mut *lock(&self.0));
        for execution in &given_up {
            execution.cancel_now(py)?;
        }
        let running = given_up
            .iter()
            .filter_map(|execution| execution.running(py));
        Ok(running.collect())
    }
}
