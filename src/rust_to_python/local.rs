//! Rust futures that cannot leave their thread, polled by the event loop of that thread.
//!
//! # Protocol
//!
//! 1. The future lies in a place that only its own thread sees. Others hold a [`Local`]: the future's number, and the way to
//!    the mailbox.
//! 2. A wake, on any thread, posts a job that polls the future, unless one is under way ([`Posted`]). The job says that it is
//!    not, and polls then: so what wakes during a poll is followed by another, and who finds a job under way has the poll see
//!    what it woke for.
//! 3. A `Local` is anchored in the mailbox until the future is done. When the loop closes, the future is dropped then and
//!    there, whoever may be about to wake it.
//! 4. The future is dropped on its own thread or not at all. Where another thread runs the loop by now, a wake settles the
//!    Python future with an error and leaves the future where it is: it is dropped when the loop closes on its own thread,
//!    and leaks if another one closes the loop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::shared::Shared;
use crate::gate;
use crate::mailbox::{Anchor, Anchored, Mailbox};
use crate::primitive::{AtomicBool, Ordering};
use crate::runtime::Runtime;

/// Starts `future`, which brings the outcome of `shared`, on this thread, which runs the event loop.
pub(super) fn spawn_on_loop<R, F>(shared: &Arc<Shared>, future: F)
where
    R: Runtime,
    F: Future<Output = ()> + 'static,
{
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let local = Arc::new(Local::<R> {
        number: NUMBERS.fetch_add(1, Relaxed),
        home: thread::current().id(),
        mailbox: shared.mailbox.clone(),
        shared: Arc::downgrade(shared),
        posted: Posted::new(),
        runtime: PhantomData,
    });
    let anchored = Arc::clone(&local) as Arc<dyn Anchored>;
    let placed = Placed {
        future: Some(Box::pin(future)),
        anchor: local.mailbox.anchor(anchored),
    };
    let number = local.number;
    here(|here| here.insert(number, placed));
    local.wake();
}

struct Placed {
    /// `None` while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    anchor: Option<Anchor>,
}

thread_local! {
    static HERE: RefCell<Here> = RefCell::default();
}

/// The futures of a thread.
#[derive(Default)]
struct Here(HashMap<u64, Placed>);

impl Drop for Here {
    /// The thread ends. What is left is not dropped: that may be after the end of the interpreter.
    fn drop(&mut self) {
        if !self.0.is_empty() {
            std::mem::forget(std::mem::take(&mut self.0));
        }
    }
}

/// `None` when the thread has ended but for what others of its destructors do.
fn here<R>(act: impl FnOnce(&mut HashMap<u64, Placed>) -> R) -> Option<R> {
    HERE.try_with(|here| act(&mut here.borrow_mut().0)).ok()
}

/// What other threads hold of a future.
struct Local<R> {
    number: u64,
    home: ThreadId,
    mailbox: Mailbox,
    /// The future has it, and with it the event loop, which a waker must not keep.
    shared: Weak<Shared>,
    posted: Posted,
    runtime: PhantomData<fn() -> R>,
}

/// Whether a job is under way.
struct Posted(AtomicBool);

impl Posted {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Whether who wakes has to post the job.
    fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The job has come, and polls next. It sees what those have done who left the wake to it: a mere store would not do, as
    /// the poll could look before anybody sees the store.
    fn end(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

impl<R: Runtime> Wake for Local<R> {
    fn wake(self: Arc<Self>) {
        if !self.posted.begin() {
            return;
        }
        let mailbox = self.mailbox.clone();
        // Refused by a closed loop, which has dropped the future or is about to.
        let refused = mailbox.post(Box::new(move |py| self.poll(py))).err();
        drop(refused);
    }
}

impl<R: Runtime> Local<R> {
    fn poll(self: Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.posted.end();
        if thread::current().id() != self.home {
            return self.strand(py);
        }
        let number = self.number;
        let future = here(|here| here.get_mut(&number)?.future.take());
        // One that is done may be woken still.
        let Some(mut future) = future.flatten() else {
            return Ok(());
        };
        let _step = gate::attached_step();
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        match R::enter(|| future.as_mut().poll(&mut context)) {
            Poll::Ready(()) => {
                drop(future);
                if let Some(anchor) = self.take().and_then(|placed| placed.anchor) {
                    self.mailbox.release(anchor);
                }
            }
            Poll::Pending => {
                here(|here| {
                    if let Some(placed) = here.get_mut(&number) {
                        placed.future = Some(future);
                    }
                });
            }
        }
        Ok(())
    }

    /// Another thread runs the loop: the future cannot bring its outcome any more.
    fn strand(&self, py: Python<'_>) -> PyResult<()> {
        let Some(shared) = self.shared.upgrade() else {
            return Ok(());
        };
        let stranded = PyRuntimeError::new_err(
            "a future that is not Send was started when another thread ran this event loop: it can go on there only",
        );
        shared.settle(py, Err(stranded))
    }

    /// The future, if it lies here, for the last time.
    fn take(&self) -> Option<Placed> {
        here(|here| here.remove(&self.number)).flatten()
    }
}

impl<R: Runtime> Anchored for Local<R> {
    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    fn loop_closed(&self, _py: Python<'_>) {
        if let Some(placed) = self.take() {
            R::enter(|| drop(placed));
        }
    }
}

#[cfg(test)]
mod loom_models {
    use super::*;
    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn loom_every_wake_is_followed_by_a_poll_that_sees_what_it_is_for() {
        model(|| {
            let posted = Arc::new(Posted::new());
            assert!(posted.begin());
            let done = Arc::new(AtomicUsize::new(0));
            let wakers = [(); 2].map(|()| {
                let (posted, done) = (Arc::clone(&posted), Arc::clone(&done));
                thread::spawn(move || {
                    done.fetch_add(1, Relaxed);
                    posted.begin()
                })
            });
            posted.end();
            let seen = done.load(Relaxed);
            let posts = wakers.map(|waker| waker.join().unwrap());
            assert!(posts != [true, true], "one job is enough");
            assert!(seen == 2 || posts.contains(&true));
        });
    }
}
