//! The Rust half of a crossing: a task that polls the user's future and posts its outcome.
//!
//! 1. The task polls the user's future until it is ready, and drops it. If Python settles the Python future first, the task drops
//!    the user's future and ends. With `detach_on_cancel` it polls on.
//! 2. The task posts a job to the mailbox. A worker never attaches to the interpreter here.
//! 3. The job runs on the loop's thread. It converts the outcome and settles the Python future. If Python has settled that already,
//!    the job drops the output.
//! 4. If the runtime drops the task before its end, the task posts [`RuntimeStopped`] as the outcome.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use super::cancel::OnCancel;
use super::future::RustFuture;
use super::plan::Crossed;
use super::state::{FutureState, can_be_raised};
use crate::error::{RuntimeStopped, note_future, rust_panic};
use crate::event_loop::Mailbox;
use crate::locals::{Scope, TaskLocals, scope};
use crate::metrics::RustToPython;
use crate::panic::{Panic, catch, quietly};
use crate::runtime::Runtime;
use crate::sync::activity::Activity;
use crate::sync::cancel_slot::CancelSlot;
use crate::trace::Spans;
use crate::user_value::{UserValue, drop_detached, drop_in};

/// Why there is no value.
pub(super) enum Failure {
    Error(PyErr),
    Panic(Panic),
}

/// The end of a user's future, which is dropped by now.
pub(crate) struct Ended<T> {
    outcome: Result<UserValue<T>, Failure>,
    spans: Spans,
}

impl Failure {
    /// The error that Python gets, with a note of where the future or stream was made.
    pub(super) fn into_error(self, py: Python<'_>, made_at: &Location<'_>) -> PyErr {
        let error = match self {
            Self::Error(error) => error,
            Self::Panic(panic) => rust_panic(py, panic),
        };
        note_future(error.value(py), made_at);
        error
    }
}

impl<T> Ended<T> {
    /// The outcome of a future that has left this cancellation: an error of its own, or the cancellation.
    fn or_cancelled(self, cancelled: Option<PyErr>) -> Self {
        match cancelled {
            Some(cancelled) if self.outcome.is_ok() => {
                Self::failed(Failure::Error(cancelled), self.spans)
            }
            _ => self,
        }
    }

    fn failed(failure: Failure, spans: Spans) -> Self {
        Self {
            outcome: Err(failure),
            spans,
        }
    }
}

impl<T: Crossed> Ended<T> {
    /// Converts the outcome to Python.
    pub(super) fn convert(self, py: Python<'_>, made_at: &Location<'_>) -> PyResult<Py<PyAny>> {
        let _spans = self.spans.enter();
        let converted = self.outcome.and_then(|value| {
            let value = value.into_inner();
            let converted = catch(|| value.into_py_any(py)).map_err(Failure::Panic)?;
            converted.map_err(Failure::Error)
        });
        converted.map_err(|failure| can_be_raised(py, failure.into_error(py, made_at)))
    }

    /// Python has settled the future already. Drops the output. An error of a future that went on goes to the loop.
    fn report_or_drop(self, py: Python<'_>, state: &FutureState) -> PyResult<()> {
        match self.outcome {
            Err(failure) if state.detaches() => {
                state.report_detached(py, failure.into_error(py, state.made_at))
            }
            outcome => {
                drop_detached(py, outcome);
                Ok(())
            }
        }
    }
}

pin_project! {
    /// The one wrapper that polls futures of users: with their locals in place, inside of their spans, their panics caught, and
    /// dropped before anybody sees the outcome.
    pub(crate) struct UserFuture<R: Runtime, F> {
        #[pin]
        future: Scope<F>,
        spans: Spans,
        runtime: PhantomData<fn() -> R>,
    }

    impl<R: Runtime, F> PinnedDrop for UserFuture<R, F> {
        fn drop(this: Pin<&mut Self>) {
            this.drop_future();
        }
    }
}

impl<R: Runtime, F> UserFuture<R, F> {
    pub(super) fn new(locals: TaskLocals, future: F, spans: Spans) -> Pin<Box<Self>>
    where
        F: Future,
    {
        let future = scope(locals, future);
        Box::pin(Self {
            future,
            spans,
            runtime: PhantomData,
        })
    }

    /// Drops the user's future, unless it is done. Its panic is reported, and nothing else comes of it.
    fn drop_future(self: Pin<&mut Self>) {
        let this = self.project();
        let future = this.future;
        if !future.has_ended() {
            let _spans = this.spans.enter();
            drop_in::<R>(|| future.end());
        }
    }
}

impl<R, F, T> Future for UserFuture<R, F>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
    T: Send,
{
    type Output = Ended<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
        let this = self.project();
        let mut future = this.future;
        let entered = this.spans.enter();
        // Outside of `catch`, because the drop of a value may panic too, and a second panic while unwinding aborts.
        let mut output = None;
        let ended = catch(|| {
            output = Some(ready!(future.as_mut().poll(cx)));
            future.as_mut().end();
            Poll::Ready(())
        });
        let outcome = match (ended, output) {
            (Ok(Poll::Ready(())), Some(output)) => {
                output.map(UserValue::new::<R>).map_err(Failure::Error)
            }
            (Ok(_), _) => return Poll::Pending,
            (Err(panic), output) => {
                quietly(|| drop(output));
                quietly(|| future.end());
                Err(Failure::Panic(panic))
            }
        };
        drop(entered);
        Poll::Ready(Ended {
            outcome,
            spans: this.spans.clone(),
        })
    }
}

pin_project! {
    /// The task that brings the outcome of a user's future to its Python future.
    pub(crate) struct Crossing<R: Runtime, F> {
        future: Pin<Box<UserFuture<R, F>>>,
        // Of a future with a `CancelHandle`.
        cancel_slot: Option<Arc<CancelSlot<PyErr>>>,
        // `None` once the outcome is posted.
        state: Option<Arc<FutureState>>,
        in_flight: RustToPython,
    }

    impl<R: Runtime, F> PinnedDrop for Crossing<R, F> {
        // Posts an error if the runtime drops the task before it is done.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(state) = this.state.take() {
                if state.mailbox.is_inherited() {
                    this.in_flight.disown();
                }
                // A runtime that is shut down waits for this drop.
                let _activity = Activity::enter_anyway();
                this.future.as_mut().drop_future();
                let stopped = RuntimeStopped::new_err(
                    "the Rust runtime dropped this future before it was done: was the runtime shut down, or did its threads \
                     stay behind in the parent of this process?",
                );
                let spans = this.future.spans.clone();
                let ended = Ended::<()>::failed(Failure::Error(stopped), spans);
                post(state, ended);
            }
            // After the drop of the future, which may own the handle.
            if let Some(slot) = this.cancel_slot {
                drop(slot.take_and_close());
            }
        }
    }
}

impl<R: Runtime, F> Crossing<R, F> {
    /// Makes the task, and the Python future that it settles.
    pub(super) fn new<'py>(
        py: Python<'py>,
        locals: &TaskLocals,
        mailbox: Mailbox,
        mut future: Pin<Box<UserFuture<R, F>>>,
        on_cancel: OnCancel,
        made_at: &'static Location<'static>,
    ) -> PyResult<(Self, Bound<'py, RustFuture>)> {
        let event_loop = locals.event_loop(py);
        let spans = future.as_mut().project().spans;
        spans.rust_to_python::<F>(mailbox.address());
        let detaches = matches!(on_cancel, OnCancel::Detach);
        let state = FutureState::new(mailbox, &event_loop, made_at, detaches)?;
        let state = Arc::new(state);
        let cancel_slot = match on_cancel {
            OnCancel::Drop | OnCancel::Detach => None,
            OnCancel::Tell(slot) => Some(slot),
        };
        let python = RustFuture::new(Arc::clone(&state), &event_loop, cancel_slot.clone());
        let python = Bound::new(py, python)?;
        let crossing = Self {
            future,
            cancel_slot,
            state: Some(state),
            in_flight: RustToPython::start(),
        };
        Ok((crossing, python))
    }

    /// Drops the task because nobody can poll it. Posts nothing, because nobody has its Python future.
    pub(super) fn abort(mut self) {
        self.state = None;
    }
}

impl<R, F, T> Future for Crossing<R, F>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
    T: Crossed,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(_activity) = Activity::enter_poll(cx.waker()) else {
            return Poll::Pending;
        };
        let this = self.project();
        let Some(state) = this.state.as_ref() else {
            return Poll::Ready(());
        };
        if state.poll_given_up(cx.waker()).is_ready() {
            // Python decided on the outcome.
            this.future.as_mut().drop_future();
            *this.state = None;
        } else {
            let ended = match (this.future.as_mut().poll(cx), this.cancel_slot) {
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(slot)) => {
                    let cancelled = ready!(slot.poll_left(cx.waker()));
                    this.future.as_mut().drop_future();
                    Ended::failed(Failure::Error(cancelled), this.future.spans.clone())
                }
                (Poll::Ready(ended), None) => ended,
                (Poll::Ready(ended), Some(slot)) => ended.or_cancelled(slot.take_and_close()),
            };
            if let Some(state) = this.state.take() {
                post(state, ended);
            }
        }
        Poll::Ready(())
    }
}

/// Sends the outcome to the loop's thread.
fn post<T: Crossed>(state: Arc<FutureState>, ended: Ended<T>) {
    let posted = ended.spans.post();
    state.task_is_done();
    let mailbox = state.mailbox.clone();
    mailbox.post(Box::new(move |py| {
        posted.arrive();
        if state.is_done() {
            return ended.report_or_drop(py, &state);
        }
        state.settle(py, ended.convert(py, state.made_at))
    }));
}
