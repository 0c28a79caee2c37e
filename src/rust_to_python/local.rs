//! Rust futures that cannot leave their thread, polled by the event loop of that thread.
//!
//! # Protocol
//!
//! 1. `async-task` turns the future into a task whose wakers may be woken anywhere: a wake posts a job, which polls the
//!    future on the loop's thread, inside the runtime's context.
//! 2. The handle of the task is anchored in the mailbox until the future is done. When the loop closes it is dropped, which
//!    cancels the task: the future is dropped then and there.
//! 3. The future is dropped on its own thread or not at all. A loop that is closed by another thread leaks it, as there is
//!    no other thread that may touch it.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use async_task::{Runnable, Task};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::gate;
use crate::mailbox::{Anchored, Mailbox};
use crate::primitive::lock_std;
use crate::runtime::Runtime;

/// Starts `future` on this thread, which runs the mailbox's event loop.
pub(super) fn spawn_on_loop<R, F>(mailbox: Mailbox, future: F)
where
    R: Runtime,
    F: Future<Output = ()> + 'static,
{
    let anchor = Rc::new(Cell::new(None));
    let future = {
        let (anchor, mailbox) = (Rc::clone(&anchor), mailbox.clone());
        async move {
            future.await;
            if let Some(anchor) = anchor.take() {
                mailbox.release(anchor);
            }
        }
    };
    let home = thread::current().id();
    let schedule = {
        let mailbox = mailbox.clone();
        move |runnable| {
            let step = Step {
                runnable: Some(runnable),
                home,
            };
            let job = move |_: Python<'_>| {
                step.run::<R>();
                Ok(())
            };
            // Refused by a closed loop: the step takes care of where it is dropped.
            let refused = mailbox.post(Box::new(job)).err();
            drop(refused);
        }
    };
    let (runnable, task) = async_task::spawn_local(future, schedule);
    let handle = Arc::new(Handle(Mutex::new(Some(task))));
    anchor.set(mailbox.anchor(handle));
    runnable.schedule();
}

/// One poll of the future.
struct Step {
    runnable: Option<Runnable>,
    home: ThreadId,
}

impl Step {
    fn run<R: Runtime>(mut self) {
        if let Some(runnable) = self.runnable.take() {
            let _step = gate::attached_step();
            R::enter(|| runnable.run());
        }
    }
}

impl Drop for Step {
    /// Dropping what was not run drops the future, which only its own thread may do.
    fn drop(&mut self) {
        let runnable = self.runnable.take();
        if thread::current().id() != self.home {
            std::mem::forget(runnable);
        }
    }
}

/// Keeps the task alive. Dropping it cancels the task.
struct Handle(Mutex<Option<Task<()>>>);

impl Anchored for Handle {
    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    fn loop_closed(&self, _py: Python<'_>) {
        let task = lock_std(&self.0).take();
        drop(task);
    }
}
