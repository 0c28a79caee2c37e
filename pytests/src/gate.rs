//! Rust futures that a test completes.

use std::future::{Future, pending};
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use smol::future::yield_now;
use tokio::sync::oneshot;

use crate::bridge;
use crate::ledger::{Life, recorded};

/// The outcome that a test sends to a gate's future.
enum Outcome {
    Value(Answer),
    Error(PyErr),
    Panic(String),
}

/// A value that Rust returns to Python, and the effect of its conversion.
pub(crate) enum Answer {
    Nothing,
    Converts(Py<PyAny>),
    Fails(PyErr),
    Panics(String),
}

impl<'py> IntoPyObject<'py> for Answer {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Answer::Nothing => Ok(py.None().into_bound(py)),
            Answer::Converts(value) => Ok(value.into_bound(py)),
            Answer::Fails(error) => Err(error),
            Answer::Panics(text) => panic!("{text}"),
        }
    }
}

/// A Rust future that is pending until Python chooses its outcome, or drops the gate.
#[pyclass(frozen, weakref)]
pub(crate) struct Gate {
    key: Mutex<Option<oneshot::Sender<Outcome>>>,
    lock: Mutex<Option<oneshot::Receiver<Outcome>>>,
    life: Arc<Life>,
}

impl Gate {
    /// Returns the future. A gate has only one.
    pub(crate) fn future(&self) -> PyResult<impl Future<Output = PyResult<Answer>> + Send + use<>> {
        let lock = self.lock.lock().expect("it is never poisoned").take();
        let lock = lock.ok_or_else(|| PyRuntimeError::new_err("the gate has a future already"))?;
        Ok(recorded(Arc::clone(&self.life), async move {
            match lock.await {
                Ok(Outcome::Value(answer)) => Ok(answer),
                Ok(Outcome::Error(error)) => Err(error),
                Ok(Outcome::Panic(text)) => panic!("{text}"),
                // The gate is dropped: the future returns `None`.
                Err(_) => Ok(Answer::Nothing),
            }
        }))
    }

    fn end(&self, outcome: Outcome) -> PyResult<bool> {
        let key = self.key.lock().expect("it is never poisoned").take();
        let key = key.ok_or_else(|| PyRuntimeError::new_err("the gate has been opened before"))?;
        Ok(key.send(outcome).is_ok())
    }
}

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Self {
        let (key, lock) = oneshot::channel();
        Gate {
            key: Mutex::new(Some(key)),
            lock: Mutex::new(Some(lock)),
            life: Arc::default(),
        }
    }

    /// Returns the future, on the current loop or on the given one. A gate has only one future.
    #[pyo3(signature = (event_loop=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        event_loop: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future()?;
        match event_loop {
            Some(event_loop) => bridge::future_into_py_with_loop(event_loop, future),
            None => bridge::future_into_py(py, future),
        }
    }

    /// Returns the future as a coroutine.
    fn coroutine<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bridge::into_coroutine(py, self.future()?)
    }

    /// Returns the future as a coroutine that cleans up when it is cancelled: it appends the cancellation to `log`, awaits
    /// `clean`, and then ends with the cancellation, or with the given value.
    #[pyo3(signature = (log, clean, returns=None))]
    fn cancellable_coroutine<'py>(
        &self,
        py: Python<'py>,
        log: Py<PyList>,
        clean: &Bound<'py, Gate>,
        returns: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future()?;
        let clean = clean.get().future()?;
        bridge::into_cancellable_coroutine(py, |mut cancel| async move {
            tokio::select! {
                outcome = future => outcome,
                cancelled = cancel.cancelled() => {
                    Python::attach(|py| log.bind(py).append(cancelled.value(py)))?;
                    clean.await?;
                    returns.map(Answer::Converts).ok_or(cancelled)
                }
            }
        })
    }

    /// Returns the future with the first poll on this thread.
    fn eager<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bridge::eager_future_into_py(py, self.future()?)
    }

    /// Returns the future as a local one, which is not `Send` and stays on this thread. It holds the object.
    #[pyo3(signature = (held=None, event_loop=None))]
    fn wait_here<'py>(
        &self,
        py: Python<'py>,
        held: Option<Py<PyAny>>,
        event_loop: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (held, future) = (Rc::new(held), self.future()?);
        let future = async move {
            let _held = held;
            future.await
        };
        match event_loop {
            Some(event_loop) => bridge::local_future_into_py_with_loop(event_loop, future),
            None => bridge::local_future_into_py(py, future),
        }
    }

    /// Makes the future return the value. This and the next four return whether the future still existed.
    fn open(&self, value: Py<PyAny>) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Converts(value)))
    }

    /// Makes the future return the exception as its error.
    fn fail(&self, exception: Bound<'_, PyAny>) -> PyResult<bool> {
        self.end(Outcome::Error(PyErr::from_value(exception)))
    }

    /// Makes the future panic in its poll.
    fn panic(&self, text: String) -> PyResult<bool> {
        self.end(Outcome::Panic(text))
    }

    /// Makes the future return a value whose conversion to Python raises.
    fn fail_conversion(&self, exception: Bound<'_, PyAny>) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Fails(PyErr::from_value(exception))))
    }

    /// Makes the future return a value whose conversion to Python panics.
    fn panic_in_conversion(&self, text: String) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Panics(text)))
    }

    /// Ends the future as dropping the gate does. Without the GIL, Python may free the gate much later.
    fn forget(&self) {
        drop(self.key.lock().expect("it is never poisoned").take());
    }

    /// The number of polls of the future.
    #[getter]
    fn polls(&self) -> usize {
        self.life.polls()
    }

    /// Waits, detached, until the future is dropped.
    fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        self.life.wait_until_dropped(py)
    }
}

/// A Rust future that blocks its runtime thread in its first poll until `let_go` is called.
#[pyclass(frozen)]
pub(crate) struct Hold {
    let_go: Mutex<Option<mpsc::Sender<()>>>,
    life: Arc<Life>,
    future: Py<PyAny>,
}

#[pymethods]
impl Hold {
    /// Returns once the thread is blocked.
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (let_go, hold) = mpsc::channel();
        let (held, is_held) = mpsc::channel();
        let life = Arc::<Life>::default();
        let future = recorded(Arc::clone(&life), async move {
            held.send(()).expect("the constructor listens");
            // Dropping the sender ends the poll too.
            let _ = hold.recv();
            pending::<PyResult<()>>().await
        });
        let future = bridge::future_into_py(py, future)?.unbind();
        py.detach(move || is_held.recv())
            .map_err(|_| PyRuntimeError::new_err("the runtime dropped a future unpolled"))?;
        Ok(Hold {
            let_go: Mutex::new(Some(let_go)),
            life,
            future,
        })
    }

    /// The Python future.
    #[getter]
    fn future(&self, py: Python<'_>) -> Py<PyAny> {
        self.future.clone_ref(py)
    }

    /// Ends the poll. The future stays pending.
    fn let_go(&self) {
        self.let_go.lock().expect("it is never poisoned").take();
    }

    /// The number of polls of the future.
    #[getter]
    fn polls(&self) -> usize {
        self.life.polls()
    }

    /// Waits, detached, until the future is dropped.
    fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        self.life.wait_until_dropped(py)
    }
}

/// A Rust future that yields to the runtime `count` times, and then returns the value. With 0 it is ready at once.
#[pyfunction]
pub(crate) fn turns(py: Python<'_>, count: usize, value: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        for _ in 0..count {
            yield_now().await;
        }
        Ok(value)
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// A Rust future that is never ready.
#[pyfunction]
pub(crate) fn never(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let future = recorded(Arc::default(), pending::<PyResult<()>>());
    bridge::future_into_py(py, future)
}

/// A Rust future that waits for a timer of the runtime.
#[pyfunction]
pub(crate) fn nap(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    bridge::future_into_py(py, napping(seconds))
}

/// Like [`nap`], with the first poll on this thread, which creates the timer.
#[pyfunction]
pub(crate) fn eager_nap(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    bridge::eager_future_into_py(py, napping(seconds))
}

fn napping(seconds: f64) -> impl Future<Output = PyResult<()>> + Send + use<> {
    let duration = Duration::from_secs_f64(seconds);
    recorded(Arc::default(), async move {
        bridge::sleep(duration).await;
        Ok(())
    })
}

/// Like [`nap`], on the loop's thread. Calls a Python function before and after the timer, and returns both results.
#[pyfunction]
pub(crate) fn local_nap(
    py: Python<'_>,
    seconds: f64,
    function: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    let duration = Duration::from_secs_f64(seconds);
    let function = Rc::new(function);
    let future = async move {
        let before = Python::attach(|py| function.call0(py))?;
        bridge::sleep(duration).await;
        let after = Python::attach(|py| function.call0(py))?;
        Ok((before, after))
    };
    bridge::local_future_into_py(py, recorded(Arc::default(), future))
}
