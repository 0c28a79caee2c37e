//! The end of the runtime and of the process.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::custom;
use pyo3_asyncio::tokio as bridge;

use crate::ledger::recorded;

/// Ends the runtime, and says whether all of it has ended in time.
#[pyfunction]
pub(crate) fn shutdown(seconds: f64) -> bool {
    bridge::shutdown(Duration::from_secs_f64(seconds))
}

/// Chooses the worker threads of the next runtime.
#[pyfunction]
pub(crate) fn init_runtime(worker_threads: usize) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(worker_threads).enable_all();
    bridge::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))
}

/// Has the threads of the next runtime named by a function, which is called while it is built.
#[pyfunction]
pub(crate) fn init_runtime_named_by(function: Py<PyAny>) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name_fn(move || {
        let name = Python::attach(|py| function.call0(py)?.extract(py));
        name.expect("the function gives a name")
    });
    bridge::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))
}

/// How many worker threads the runtime has.
#[pyfunction]
pub(crate) fn workers() -> usize {
    bridge::handle().metrics().num_workers()
}

/// A Rust future that calls a function again and again, attached on a thread of the runtime, and never ends.
#[pyfunction]
pub(crate) fn call_for_ever(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        loop {
            Python::attach(|py| function.call0(py))?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it says what the future would return")]
        PyResult::Ok(())
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// Calls a function, attached on one of the runtime's threads for blocking work, of which nobody waits for the end.
#[pyfunction]
pub(crate) fn call_in_blocking_thread(function: Py<PyAny>) {
    bridge::handle().spawn_blocking(move || Python::attach(|py| function.call0(py)));
}

/// From now on the runtime cannot be ended, as somebody has a reference to it.
#[pyfunction]
pub(crate) fn lend_runtime() {
    let _runtime = bridge::get_runtime();
}

/// A runtime that polls nothing: it leaves the future in `SPAWNED`.
struct ByHand;

type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;
static SPAWNED: Mutex<Option<Spawned>> = Mutex::new(None);

impl custom::Runtime for ByHand {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *SPAWNED.lock().expect("nobody panics with it") = Some(Box::pin(future));
    }
}

/// A Rust future that is never ready, and that Python polls.
#[pyclass(frozen)]
pub(crate) struct Polled {
    spawned: Mutex<Spawned>,
    /// What Python can await.
    #[pyo3(get)]
    future: Py<PyAny>,
}

#[pymethods]
impl Polled {
    /// On a loop that does not run, where no burst of starts is gathered.
    #[new]
    fn new(event_loop: Bound<'_, PyAny>) -> PyResult<Self> {
        let never = recorded(Arc::default(), pending::<PyResult<()>>());
        let future = custom::future_into_py_with_loop::<ByHand, _, _>(event_loop, never)?;
        let spawned = SPAWNED.lock().expect("nobody panics with it").take();
        let spawned = spawned.ok_or_else(|| PyRuntimeError::new_err("it is not spawned yet"))?;
        Ok(Self {
            spawned: Mutex::new(spawned),
            future: future.unbind(),
        })
    }

    /// Polls it, with a waker that calls a function, and panics if that raises.
    fn poll(&self, function: Py<PyAny>) {
        let waker = Waker::from(Arc::new(Calls(function)));
        let mut spawned = self.spawned.lock().expect("nobody panics with it");
        let polled = spawned.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
}

struct Calls(Py<PyAny>);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        Python::attach(|py| self.0.call0(py)).expect("on purpose: in a waker");
    }
}
