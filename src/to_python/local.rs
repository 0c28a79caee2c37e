//! Rust futures that cannot leave their thread, polled by the event loop of that thread.
//!
//! # Protocol
//!
//! 1. The future is in a [`ThreadBound`], which only its own thread can open. Other threads hold a [`LocalTask`].
//! 2. A wake, on any thread, posts a job that polls the future, unless such a job is under way: see
//!    [`wake_flag`](crate::sync::wake_flag).
//! 3. The task watches the loop until the future is done. When the loop closes, the future is dropped at once.
//! 4. When Python settles the Python future on the future's own thread, the wake drops the Rust future at once. So a borrow
//!    that the future holds ends before Python code continues.
//! 5. The future is dropped on its own thread or not at all. If another thread runs the loop later, a wake settles the Python
//!    future with an error, and the Rust future stays where it is.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::crossing::Failure;
use super::state::FutureState;
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::sync::wake_flag::WakeFlag;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Starts `future`, which brings the outcome of `state`, on this thread, which runs the event loop.
pub(super) fn spawn_on_loop<R, F>(state: &Arc<FutureState>, future: F)
where
    R: Runtime,
    F: Future<Output = ()> + 'static,
{
    let task = Arc::new(LocalTask::<R> {
        future: ThreadBound::new(Box::pin(future)),
        mailbox: state.mailbox.clone(),
        state: Arc::downgrade(state),
        is_posted: WakeFlag::new(false),
        watching: Mutex::new(None),
        runtime: PhantomData,
    });
    let key = state.mailbox.watch(Arc::clone(&task) as Arc<dyn Watcher>);
    *lock(&task.watching) = key;
    // From now on, settling the Python future finds the task, though it was not polled yet.
    let is_given_up = state.poll_given_up(&Waker::from(Arc::clone(&task)));
    debug_assert!(
        is_given_up.is_pending(),
        "nobody else has the Python future yet"
    );
    task.post();
}

/// What other threads hold of a future.
struct LocalTask<R> {
    future: ThreadBound<LocalFuture>,
    mailbox: Mailbox,
    /// Weak, because a waker must not keep the event loop alive. The future keeps the state.
    state: Weak<FutureState>,
    is_posted: WakeFlag,
    watching: Mutex<Option<WatcherKey>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Wake for LocalTask<R> {
    fn wake(self: Arc<Self>) {
        let is_given_up = |state: Arc<FutureState>| state.state().is_given_up();
        let is_given_up = self.future.is_here() && self.state.upgrade().is_some_and(is_given_up);
        // A future that is being polled cannot be dropped now. The next poll does it.
        if !(is_given_up && self.drop_future()) {
            self.post();
        }
    }
}

impl<R: Runtime> LocalTask<R> {
    fn post(self: Arc<Self>) {
        if self.is_posted.set() {
            let mailbox = self.mailbox.clone();
            mailbox.post(Box::new(move |py| self.poll(py)));
        }
    }

    fn poll(self: Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.is_posted.take();
        if !self.future.is_here() {
            return self.fail_on_wrong_thread(py);
        }
        // `None`: the future is done, or it is being polled further up on this stack.
        let Some(mut future) = self.future.take() else {
            return Ok(());
        };
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        match R::enter(|| future.as_mut().poll(&mut context)) {
            Poll::Pending if lock(&self.watching).is_some() => self.future.put_back(future),
            // It is done, or has closed the loop.
            Poll::Pending | Poll::Ready(()) => {
                drop(future);
                self.unwatch();
            }
        }
        Ok(())
    }

    /// Another thread runs the loop: the future cannot bring its outcome any more.
    fn fail_on_wrong_thread(&self, py: Python<'_>) -> PyResult<()> {
        let Some(state) = self.state.upgrade() else {
            return Ok(());
        };
        let error = PyRuntimeError::new_err(
            "a future that is not Send was started when another thread ran this event loop: it can go on there only",
        );
        let error = Failure::Error(error).into_error(py, state.made_at);
        state.settle(py, Err(error))
    }

    /// Drops the future. False if it is being polled, or gone.
    fn drop_future(&self) -> bool {
        let Some(future) = self.future.take() else {
            return false;
        };
        drop(future);
        self.unwatch();
        true
    }

    fn unwatch(&self) {
        let key = lock(&self.watching).take();
        if let Some(key) = key {
            self.mailbox.unwatch(key);
        }
    }
}

impl<R: Runtime> Watcher for LocalTask<R> {
    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    fn loop_closed(&self, _py: Python<'_>) {
        *lock(&self.watching) = None;
        self.drop_future();
    }
}

thread_local! {
    static HERE: RefCell<Values> = RefCell::default();
    static NEXT_KEY: Cell<usize> = const { Cell::new(0) };
}

/// The values that are bound to a thread.
#[derive(Default)]
struct Values(HashMap<usize, Box<dyn Any>>);

impl Drop for Values {
    /// The thread ends. The values that are left are not dropped: the interpreter may be gone.
    fn drop(&mut self) {
        self.0
            .drain()
            .for_each(|(_, value)| std::mem::forget(value));
    }
}

/// A value that only the thread that made it can reach. It is dropped there, or not at all.
pub(crate) struct ThreadBound<T> {
    home: ThreadId,
    key: usize,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> ThreadBound<T> {
    pub(super) fn new(value: T) -> Self {
        let this = Self {
            home: thread::current().id(),
            key: NEXT_KEY.replace(NEXT_KEY.get().wrapping_add(1)),
            value: PhantomData,
        };
        this.put_back(value);
        this
    }

    pub(super) fn is_here(&self) -> bool {
        thread::current().id() == self.home
    }

    /// `None` on another thread, or if it was taken before.
    pub(super) fn take(&self) -> Option<T> {
        if !self.is_here() {
            return None;
        }
        // An error: the thread is ending, and its values are gone.
        let taken = HERE.try_with(|here| here.borrow_mut().0.remove(&self.key));
        let value = taken.ok()??.downcast::<T>();
        value.ok().map(|value| *value)
    }

    /// Puts the value back, on its own thread.
    fn put_back(&self, value: T) {
        let value: Box<dyn Any> = Box::new(value);
        let put = HERE.try_with(|here| here.borrow_mut().0.insert(self.key, value));
        drop(put);
    }
}

impl<T> Drop for ThreadBound<T> {
    fn drop(&mut self) {
        if thread::current().id() == self.home {
            let value = HERE.try_with(|here| here.borrow_mut().0.remove(&self.key));
            drop(value);
        }
    }
}
