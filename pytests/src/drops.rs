//! Values whose drop records whether a runtime is current and whether the thread is attached, in every place that this crate
//! keeps a value of the user in.

use std::convert::Infallible;
use std::ffi::c_int;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3_asyncio::{CancelHandle, TaskLocals, tokio as bridge};
use smol::stream::{self, Stream, StreamExt};

use crate::gate::{Answer, Gate};

unsafe extern "C" {
    // SAFETY: it takes nothing, and may be called on any thread.
    #[cfg_attr(PyPy, link_name = "PyPyGILState_Check")]
    safe fn PyGILState_Check() -> c_int;
}

/// The drops of the probes that were made for it.
#[pyclass(frozen)]
pub(crate) struct Drops {
    seen: Arc<Mutex<Vec<(bool, bool)>>>,
    prints: bool,
}

#[pymethods]
impl Drops {
    /// With `prints`, each drop is also a line of the standard output.
    #[new]
    #[pyo3(signature = (*, prints=false))]
    fn new(prints: bool) -> Self {
        Drops {
            seen: Arc::default(),
            prints,
        }
    }

    /// Of each drop, whether a runtime was current and whether the thread was attached.
    #[getter]
    fn seen(&self) -> Vec<(bool, bool)> {
        self.seen.lock().expect("it is never poisoned").clone()
    }
}

/// A value like a connection of a pool: its drop needs the runtime.
pub(crate) struct Probe {
    seen: Arc<Mutex<Vec<(bool, bool)>>>,
    prints: bool,
}

impl Drops {
    fn probe(&self) -> Probe {
        Probe {
            seen: Arc::clone(&self.seen),
            prints: self.prints,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let is_current = tokio::runtime::Handle::try_current().is_ok();
        let is_attached = PyGILState_Check() == 1;
        if self.prints {
            println!("dropped: runtime {is_current}, attached {is_attached}");
        }
        let mut seen = self.seen.lock().expect("it is never poisoned");
        seen.push((is_current, is_attached));
    }
}

impl<'py> IntoPyObject<'py> for Probe {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Infallible> {
        Ok(py.None().into_bound(py))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Probe {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(object.cast::<Drops>()?.get().probe())
    }
}

/// A future that holds the probe until the gate opens, and then gives it out if `gives`.
async fn hold(
    probe: Probe,
    gate: impl Future<Output = PyResult<Answer>>,
    gives: bool,
) -> PyResult<Option<Probe>> {
    let probe = probe;
    gate.await?;
    Ok(gives.then_some(probe))
}

/// A pending Rust future that holds a probe.
#[pyfunction]
#[pyo3(signature = (
    kind, drops, gate, *, gives=false, event_loop=None, detach_on_cancel=false, share_context=false
))]
#[expect(clippy::too_many_arguments, reason = "most have a default")]
pub(crate) fn holding<'py>(
    py: Python<'py>,
    kind: &str,
    drops: &Bound<'py, Drops>,
    gate: &Bound<'py, Gate>,
    gives: bool,
    event_loop: Option<Bound<'py, PyAny>>,
    detach_on_cancel: bool,
    share_context: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let future = hold(drops.get().probe(), gate.get().future()?, gives);
    let mut builder = bridge::awaitable()
        .detach_on_cancel(detach_on_cancel)
        .share_context(share_context);
    if let Some(event_loop) = event_loop {
        builder = builder.locals(TaskLocals::new(event_loop));
    }
    match kind {
        "future" => builder.future(py, future),
        "eager future" => builder.eager_start(true).future(py, future),
        "local future" => builder.local_future(py, local(future)),
        "coroutine" => builder.coroutine(py, future),
        "eager coroutine" => builder.eager_start(true).coroutine(py, future),
        "local coroutine" => builder.local_coroutine(py, local(future)),
        "coroutine with a handle" => {
            let handle = builder.cancel_handle();
            builder.coroutine(py, with_handle(handle, future))
        }
        "local coroutine with a handle" => {
            let handle = builder.cancel_handle();
            builder.local_coroutine(py, local(with_handle(handle, future)))
        }
        "stream" => builder.async_generator(py, stream::once_future(future)),
        "local stream" => builder.local_async_generator(py, stream::once_future(local(future))),
        _ => Err(PyKeyError::new_err(kind.to_owned())),
    }
}

/// Makes a future that is not `Send`.
async fn local<F: Future>(future: F) -> F::Output {
    let _not_send = Rc::new(());
    future.await
}

/// Ends at the first cancellation.
async fn with_handle<F, T>(mut cancel: CancelHandle, future: F) -> PyResult<T>
where
    F: Future<Output = PyResult<T>>,
{
    tokio::select! {
        output = future => output,
        cancelled = cancel.cancelled() => Err(cancelled),
    }
}

/// An item whose conversion fails, unless it is a probe.
struct Item(Option<Probe>);

impl<'py> IntoPyObject<'py> for Item {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let probe = self.0.ok_or_else(|| PyRuntimeError::new_err("expected"))?;
        Ok(probe.into_pyobject(py)?)
    }
}

/// A stream of two items: the first does not convert, the second is a probe.
#[pyfunction]
pub(crate) fn stream_that_does_not_convert<'py>(
    py: Python<'py>,
    drops: &Bound<'py, Drops>,
) -> PyResult<Bound<'py, PyAny>> {
    let items = [None, Some(drops.get().probe())];
    bridge::into_async_generator(py, stream::iter(items.map(|item| Ok(Item(item)))))
}

/// Exported functions take a probe as an argument.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn exported_holding(probe: Probe, gate: Py<Gate>) -> PyResult<()> {
    hold(probe, gate.get().future()?, false).await.map(drop)
}

#[pyo3_asyncio::tokio::pyfunction(detach_on_cancel)]
pub(crate) async fn detached_holding(probe: Probe, gate: Py<Gate>) -> PyResult<()> {
    hold(probe, gate.get().future()?, false).await.map(drop)
}

/// Sleeps, and says so.
#[pyo3_asyncio::tokio::pyfunction(detach_on_cancel)]
pub(crate) async fn detached_nap(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    println!("slept");
}

#[pyo3_asyncio::tokio::pyfunction(blocking = "exported_stream_holding_now")]
pub(crate) fn exported_stream_holding(probe: Probe) -> impl Stream<Item = ()> {
    stream::pending().map(move |()| {
        let _probe = &probe;
    })
}

#[pyclass]
pub(crate) struct Holder;

#[pyo3_asyncio::tokio::pymethods]
impl Holder {
    #[new]
    fn new() -> Self {
        Self
    }

    async fn shared(&self, probe: Probe, gate: Py<Gate>) -> PyResult<()> {
        hold(probe, gate.get().future()?, false).await.map(drop)
    }

    #[pyo3(detach_on_cancel)]
    async fn detached(&mut self, probe: Probe, gate: Py<Gate>) -> PyResult<()> {
        hold(probe, gate.get().future()?, false).await.map(drop)
    }

    async fn exclusive(&mut self, probe: Probe, gate: Py<Gate>) -> PyResult<()> {
        hold(probe, gate.get().future()?, false).await.map(drop)
    }
}

/// A value that Rust holds until `drop`.
#[pyclass(frozen)]
pub(crate) struct Held(Mutex<Option<Box<dyn Send>>>);

#[pymethods]
impl Held {
    fn drop(&self) {
        let held = self.0.lock().expect("it is never poisoned").take();
        drop(held);
    }
}

/// Posts a function, which has a probe or returns one, to a loop.
#[pyfunction]
pub(crate) fn post(
    py: Python<'_>,
    kind: &str,
    drops: &Bound<'_, Drops>,
    event_loop: Bound<'_, PyAny>,
) -> PyResult<Held> {
    let locals = &TaskLocals::new(event_loop);
    let probe = drops.get().probe();
    let sleep = |seconds: f64| py.import("asyncio")?.call_method1("sleep", (seconds,));
    let held: Box<dyn Send> = match kind {
        "call_soon" => Box::new(locals.call_soon(move |_| {
            drop(probe);
            Ok(())
        })),
        "run_coroutine" => Box::new(locals.run_coroutine(move |py| {
            drop(probe);
            Ok(py.None().into_bound(py))
        })),
        "run_async_generator" => {
            let mut stream = locals.run_async_generator(move |py| {
                drop(probe);
                Ok(py.None().into_bound(py))
            });
            // It starts.
            let mut context = Context::from_waker(Waker::noop());
            let _pending = Pin::new(&mut stream).poll_next(&mut context);
            Box::new(stream)
        }
        "unpolled stream" => Box::new(locals.run_async_generator(move |py| {
            drop(probe);
            Ok(py.None().into_bound(py))
        })),
        "and_then" => {
            let task = pyo3_asyncio::into_future_with_locals(locals, sleep(3600.0)?)?;
            Box::new(task.and_then(move |_, _| {
                drop(probe);
                Ok(())
            }))
        }
        "and_then of a failure" => {
            let task = locals.run_coroutine(|_| Err(PyRuntimeError::new_err("expected")));
            Box::new(task.and_then(move |_, _| {
                drop(probe);
                Ok(())
            }))
        }
        "output of call_soon" => Box::new(locals.call_soon(move |_| Ok(probe))),
        "output of and_then" => {
            let task = pyo3_asyncio::into_future_with_locals(locals, sleep(0.0)?)?;
            Box::new(task.and_then(move |_, _| Ok(probe)))
        }
        _ => return Err(PyKeyError::new_err(kind.to_owned())),
    };
    Ok(Held(Mutex::new(Some(held))))
}

/// A stream over the iterable, of which each item is a probe. It has started.
#[pyfunction]
pub(crate) fn stream_of_probes(iterable: Bound<'_, PyAny>, drops: Py<Drops>) -> PyResult<Held> {
    let locals = TaskLocals::with_running_loop(iterable.py())?;
    let stream = pyo3_asyncio::into_stream_with_locals(&locals, iterable)?;
    let captured = drops.get().probe();
    let mut stream = stream.and_then(move |_, _| {
        let _captured = &captured;
        Ok(drops.get().probe())
    });
    let mut context = Context::from_waker(Waker::noop());
    let _pending = Pin::new(&mut stream).poll_next(&mut context);
    Ok(Held(Mutex::new(Some(Box::new(stream)))))
}

/// `run` with a pending future that has a probe.
#[pyfunction]
pub(crate) fn run_probe(py: Python<'_>, drops: &Bound<'_, Drops>) -> PyResult<()> {
    let probe = drops.get().probe();
    bridge::run(py, async move {
        let _probe = probe;
        pending().await
    })
}

/// `block_on` with a future that gives a probe, and panics when it is dropped.
#[pyfunction]
pub(crate) fn block_on_probe(py: Python<'_>, drops: &Bound<'_, Drops>) -> PyResult<()> {
    struct Bomb(Option<Probe>);

    impl Future for Bomb {
        type Output = PyResult<Option<Probe>>;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(self.0.take()))
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected");
        }
    }

    bridge::block_on(py, Bomb(Some(drops.get().probe()))).map(drop)
}
