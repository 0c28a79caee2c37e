//! A [`Plan`] holds the options with which Python gets a Rust future or stream. Its methods make the Python object: a future, a
//! coroutine or an async generator.
//!
//! [`begin`](super::begin) starts the future, and knows where it is polled.

use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::pin::Pin;

use futures_core::Stream;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::async_generator::{Batch, Fetch, generate};
use super::begin::{
    Begun, Executor, FirstStep, Kept, OnRuntime, OnThisThread, WHERE_LOCAL, begin, settled,
};
use super::cancel::{CancelHandle, OnCancel};
use super::coroutine::{Names, RustCoroutine, names_of, qualname};
use crate::asyncio;
use crate::event_loop::Mailbox;
use crate::locals::{TaskLocals, find_current_locals};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::trace::Spans;
use crate::user_value::{UserValue, drop_detached};

/// What the value of a Rust future must be so that Python can have it.
pub(crate) trait Crossed: for<'py> IntoPyObject<'py> + Send + 'static {}

impl<T> Crossed for T where T: for<'py> IntoPyObject<'py> + Send + 'static {}

/// The capacity of an async generator, unless the user chooses another.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Where a future starts.
type Here<'py> = (Entry<'py>, TaskLocals, Mailbox);

/// How an awaitable or an async generator is made: everything but the future itself.
pub(crate) struct Plan {
    /// Those of a coroutine. Without them, it is named after the function that the future comes from.
    pub(crate) names: Option<Names>,
    /// Replaces `names` in one coroutine.
    pub(crate) name: Option<String>,
    pub(crate) eager_start: bool,
    /// Instead of the current ones.
    pub(crate) locals: Option<TaskLocals>,
    pub(super) on_cancel: OnCancel,
    /// Whether what the future calls and awaits shares one context.
    pub(crate) share_context: bool,
    /// Python objects that the future owns until its first poll, for the garbage collector to see.
    pub(crate) arguments: Vec<Py<PyAny>>,
    /// The most items of a stream that one crossing brings.
    pub(crate) capacity: NonZeroUsize,
    pub(crate) made_at: &'static Location<'static>,
    pub(super) spans: Spans,
}

impl Plan {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            names: None,
            name: None,
            eager_start: false,
            locals: None,
            on_cancel: OnCancel::Drop,
            share_context: false,
            arguments: Vec::new(),
            capacity: CAPACITY,
            made_at: Location::caller(),
            spans: Spans::of_caller(),
        }
    }

    /// Has the future go on when it is cancelled, or not.
    pub(crate) fn detach_on_cancel(&mut self, detaches: bool) {
        if detaches {
            self.on_cancel = OnCancel::Detach;
        } else if matches!(self.on_cancel, OnCancel::Detach) {
            self.on_cancel = OnCancel::Drop;
        }
    }

    /// Makes a handle, which the caller gives to the future. Cancellations then go to the handle, and do not drop the future.
    pub(crate) fn cancel_handle(&mut self) -> CancelHandle {
        let (handle, on_cancel) = CancelHandle::new();
        self.on_cancel = on_cancel;
        handle
    }

    /// Makes a future, or a coroutine if no loop is known here.
    pub(crate) fn future<R, F, T>(mut self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Crossed,
    {
        let here = self.enter_loop(py);
        let (future, here) = UserValue::new::<R>(future).keep_if_ok(py, here)?;
        match here {
            Some(here) => self.start_now::<OnRuntime<R>, F, T>(here, future),
            None => self.coroutine::<OnRuntime<R>, F, T, F>(py, future),
        }
    }

    /// Makes a future whose Rust future stays on this thread.
    pub(crate) fn local_future<R, F, T>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + 'static,
        T: Crossed,
    {
        let future = UserValue::new::<R>(future);
        match self.enter_loop(py)? {
            Some(here) => self.start_now::<OnThisThread<R>, F, T>(here, future.into_inner()),
            None => Err(PyRuntimeError::new_err(format!(
                "no running event loop, and a future that is not Send cannot wait for one: {WHERE_LOCAL} from a future that \
                 knows its loop (`scope_local`), or name the loop there with `local_future_into_py_with_loop`",
            ))),
        }
    }

    fn start_now<E, F, T>(
        self,
        (entry, locals, mailbox): Here<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        E: Executor<F, T>,
        F: Future<Output = PyResult<T>>,
        T: Crossed,
    {
        let made_at = self.made_at;
        match begin::<E, F, T>(&entry, &locals, &mailbox, self, future)? {
            Begun::Running(python) => Ok(python.into_any()),
            Begun::Ended(ended) => settled(entry.py(), &locals, mailbox, ended, made_at),
        }
    }

    /// Makes an async generator. `E` polls its stream, and `K` keeps it between two fetches.
    pub(crate) fn async_generator<R, E, S, K, T>(
        mut self,
        py: Python<'_>,
        stream: S,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        E: Executor<Fetch<R, S, K, T>, Batch<R, K, T>>,
        S: Stream<Item = PyResult<T>> + 'static,
        K: Kept<Pin<Box<S>>> + Send + 'static,
        T: Crossed,
    {
        let refused = match self.on_cancel {
            OnCancel::Tell(_) => Some(
                "an async generator has no CancelHandle: cancelling the task that awaits an item drops the stream",
            ),
            OnCancel::Detach => Some(
                "an async generator cannot detach_on_cancel: nobody is left to take the items of its stream",
            ),
            OnCancel::Drop if self.share_context => Some(
                "an async generator asks for each item in the context of the task that awaits it: give it locals that share \
                 theirs (TaskLocals::share_context)",
            ),
            OnCancel::Drop => None,
        };
        if let Some(refused) = refused {
            drop_detached(py, UserValue::new::<R>(K::pack(Box::pin(stream))));
            return Err(PyRuntimeError::new_err(refused));
        }
        let (name, names) = (self.name.take(), self.names);
        let generator = generate::<R, E, S, K, T>(py, self, stream)?;
        match (name, names) {
            (Some(name), _) => asyncio::rename(&generator, &name, &name)?,
            (None, Some(names)) => asyncio::rename(&generator, names().0, &qualname(names))?,
            (None, None) => {}
        }
        Ok(generator)
    }

    /// Makes a coroutine. `E` polls its future, and `K` keeps it until the first step.
    pub(crate) fn coroutine<E, F, T, K>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        E: Executor<F, T>,
        F: Future<Output = PyResult<T>> + 'static,
        T: Crossed,
        K: Kept<F> + Send + 'static,
    {
        let names = self.names.unwrap_or(names_of::<F>);
        let (name, made_at) = (self.name.take(), self.made_at);
        let start = FirstStep::<E, F, K, T> {
            future: UserValue::new::<E::Runtime>(K::pack(future)),
            plan: self,
            executor: PhantomData,
        };
        let coroutine = RustCoroutine::new(py, names, made_at, Box::new(start))?;
        if let Some(name) = name {
            coroutine.get().rename(PyString::new(py, &name));
        }
        Ok(coroutine.into_any())
    }

    /// The locals of a future that starts now. Errors if their loop is closed. `None` if no loop is known here.
    fn enter_loop<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Here<'py>>> {
        let locals = match self.locals.take() {
            Some(locals) => Some(locals),
            None => find_current_locals(py)?,
        };
        let Some(locals) = locals else {
            return Ok(None);
        };
        let locals = self.share(py, locals)?;
        let entry = Entry::new(py)?;
        let mailbox = Mailbox::of(&entry, &locals.event_loop(py))?;
        Ok(Some((entry, locals, mailbox)))
    }

    pub(super) fn share(&self, py: Python<'_>, locals: TaskLocals) -> PyResult<TaskLocals> {
        match self.share_context {
            true => locals.share_context(py),
            false => Ok(locals),
        }
    }
}
