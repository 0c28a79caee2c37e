//! The Rust half of a crossing: a task that polls the user's future and, when it is done, posts its result.
//!
//! The way of a result: `poll` → the user's future is dropped → a job is posted to the mailbox → the loop's thread
//! converts the result and settles the Python future. A worker never attaches to the interpreter here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::cancel::CancelSlot;
use super::future::RustFuture;
use super::local::spawn_on_loop;
use super::shared::Shared;
use crate::error::{Panic, Quiet, RuntimeStopped, catch, quietly, rust_panic, watch_panics};
use crate::gate::{self, Who};
use crate::locals::{Scope, TaskLocals, scope};
use crate::mailbox::Mailbox;
use crate::metrics::RustToPython;
use crate::runtime::Runtime;
use crate::trace;
use crate::{asyncio, process};

/// What a Rust result must be so that a Python future can carry it.
pub(crate) trait Crossed: for<'py> IntoPyObject<'py> + Send + 'static {}

impl<T> Crossed for T where T: for<'py> IntoPyObject<'py> + Send + 'static {}

/// Starts `future` on the runtime and gives the Python future that it settles.
pub(crate) fn future_into_py<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    future: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let python = spawn::<R, F, T>(py, locals, future, None)?;
    Ok(python.into_any())
}

/// Starts `future` on the runtime. Cancelling the Python future hands the cancellation to `cancel`, if there is one.
pub(super) fn spawn<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    future: F,
    cancel: Option<CancelSlot>,
) -> PyResult<Bound<'_, RustFuture>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let _turn = process::turn(py);
    let (crossing, python) = Crossing::new(py, locals, future, cancel)?;
    let spawning = Spawning(&python.get().shared);
    R::spawn(crossing);
    std::mem::forget(spawning);
    Ok(python)
}

/// A runtime that refuses the task panics, and the caller hears it. That the task was dropped is news to nobody then.
struct Spawning<'a>(&'a Arc<Shared>);

impl Drop for Spawning<'_> {
    fn drop(&mut self) {
        self.0.forsake();
    }
}

/// Whether this thread runs the event loop.
fn runs_here(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let running = asyncio::running_loop(event_loop.py())?;
    Ok(running.is_some_and(|running| running.is(event_loop)))
}

/// Where a future that is not `Send` can be polled.
const WHERE_LOCAL: &str = "call this on the thread that runs the event loop, or inside the runtime's local executor (tokio's \
                           LocalSet, async-std's spawn_local)";

/// The same for a future that cannot leave this thread: polled by the event loop if this is the loop's thread, by the
/// runtime's local executor if this thread is inside of one.
pub(crate) fn local_future_into_py<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    future: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + 'static,
    T: Crossed,
{
    let event_loop = locals.event_loop(py);
    let (crossing, python) = Crossing::new(py, locals, future, None)?;
    if runs_here(&event_loop)? {
        spawn_on_loop::<R, _>(&python.get().shared, crossing);
    } else if let Err(mut crossing) = R::spawn_local(crossing) {
        crossing.shared = None;
        return Err(PyRuntimeError::new_err(format!(
            "a future that is not Send stays on its thread, and this thread cannot poll it: {WHERE_LOCAL}"
        )));
    }
    Ok(python.into_any())
}

/// What to do with a future that is not `Send` where no loop is known.
pub(crate) fn no_loop_for_local_future() -> PyErr {
    PyRuntimeError::new_err(format!(
        "no running event loop, and a future that is not Send cannot wait for one as a coroutine: {WHERE_LOCAL} from a future \
         that knows its loop (`scope_local`), or name the loop there with `local_future_into_py_with_loop`",
    ))
}

pin_project! {
    struct Crossing<F> {
        #[pin]
        future: Scope<F>,
        // Whose outcome is this task's to bring. `None` once it is done.
        shared: Option<Arc<Shared>>,
        span: trace::Crossing,
        in_flight: RustToPython,
    }

    impl<F> PinnedDrop for Crossing<F> {
        // The runtime let go of the task before it was done.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let Some(shared) = this.shared.take() else {
                return;
            };
            if shared.mailbox.is_inherited() {
                this.in_flight.disown();
            }
            // One that the gate refuses is dropped all the same: its runtime is ending, and waits for that.
            let _step = gate::step();
            let mut locals = None;
            quietly(|| locals = this.future.as_mut().end());
            let stopped = RuntimeStopped::new_err(
                "the Rust runtime dropped this future before it was done: was the runtime shut down, or did its threads stay \
                 behind in the parent of this process?",
            );
            let output = Quiet::new(Err(Failure::Error(stopped)));
            let posted = this.span.post();
            gate::when_open_to(Who::Turn, || post::<()>(shared, output, locals, posted));
        }
    }
}

impl<F> Crossing<F> {
    fn new<'py>(
        py: Python<'py>,
        locals: TaskLocals,
        future: F,
        cancel: Option<CancelSlot>,
    ) -> PyResult<(Self, Bound<'py, RustFuture>)>
    where
        F: Future,
    {
        watch_panics(py);
        let _turn = process::turn(py);
        gate::open_to_steps_if_closed_by_us();
        let event_loop = locals.event_loop(py);
        let mailbox = Mailbox::of(&event_loop)?;
        let span = trace::Crossing::rust_to_python::<F>(mailbox.address());
        let shared = Arc::new(Shared::new(mailbox, &event_loop)?);
        let python = RustFuture::new(Arc::clone(&shared));
        let python = match cancel {
            None => Bound::new(py, python)?,
            Some(cancel) => cancel.cancelled_by(py, python)?,
        };
        let crossing = Self {
            future: scope(locals, future),
            shared: Some(shared),
            span,
            in_flight: RustToPython::start(),
        };
        Ok((crossing, python))
    }
}

impl<F, T> Future for Crossing<F>
where
    F: Future<Output = PyResult<T>>,
    T: Crossed,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(_step) = gate::step() else {
            let waker = cx.waker().clone();
            gate::when_open_to(Who::Step, || quietly(|| waker.wake()));
            return Poll::Pending;
        };
        let Some(shared) = this.shared.as_ref() else {
            return Poll::Ready(());
        };
        let entered = this.span.enter();
        let polled = catch(|| {
            let allowed = shared.link.poll_allowed(cx.waker());
            allowed.then(|| this.future.as_mut().poll(cx))
        });
        let output = match polled {
            Ok(Some(Poll::Pending)) => return Poll::Pending,
            Ok(Some(Poll::Ready(output))) => Some(output.map_err(Failure::Error)),
            Ok(None) => None,
            Err(panic) => Some(Err(Failure::Panic(panic))),
        };
        let output = output.map(Quiet::new);
        // Whoever sees the outcome sees a world in which the future is gone, with all that it held.
        let ended = catch(|| this.future.as_mut().end());
        let shared = this.shared.take();
        if let (Some(output), Some(shared)) = (output, shared) {
            let (output, locals) = match ended {
                Ok(locals) => (output, locals),
                Err(panic) => (Quiet::new(Err(Failure::Panic(panic))), None),
            };
            post(shared, output, locals, this.span.post());
        }
        drop(entered);
        Poll::Ready(())
    }
}

/// Why there is no value.
pub(super) enum Failure {
    Error(PyErr),
    Panic(Panic),
}

/// What the future ended with. It holds the user's value, which may be dropped among the jobs of others.
type Output<T> = Quiet<Result<T, Failure>>;

/// Sends the output to the loop's thread, with the locals, which cost least to drop there.
fn post<T: Crossed>(
    shared: Arc<Shared>,
    mut output: Output<T>,
    locals: Option<TaskLocals>,
    posted: trace::Posted,
) {
    shared.link.finish();
    let mailbox = shared.mailbox.clone();
    let job = move |py: Python<'_>| {
        posted.arrive();
        let settled = settle(py, &shared, &mut output);
        drop(locals);
        settled
    };
    // Refused by a closed loop: the output has nobody to go to.
    let refused = mailbox.post(Box::new(job)).err();
    drop(refused);
}

/// On the loop's thread.
fn settle<T: Crossed>(
    py: Python<'_>,
    shared: &Arc<Shared>,
    output: &mut Output<T>,
) -> PyResult<()> {
    if shared.is_done() {
        return Ok(());
    }
    let Some(output) = output.take() else {
        return Ok(());
    };
    shared.settle(py, convert(py, output))
}

/// What Python gets of an output.
pub(super) fn convert<T: Crossed>(
    py: Python<'_>,
    output: Result<T, Failure>,
) -> PyResult<Py<PyAny>> {
    match output {
        Ok(value) => {
            catch(|| value.into_py_any(py)).unwrap_or_else(|panic| Err(rust_panic(py, panic)))
        }
        Err(Failure::Error(error)) => Err(error),
        Err(Failure::Panic(panic)) => Err(rust_panic(py, panic)),
    }
}
