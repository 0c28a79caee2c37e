//! Rust futures whose end a test chooses.

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

/// What a gate lets through.
enum Outcome {
    Value(Answer),
    Error(PyErr),
    Panic(String),
}

/// A value that Rust hands over, and what its conversion to Python does.
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

/// A Rust future that is pending until Python says how it ends, or drops the gate.
#[pyclass(frozen, weakref)]
pub(crate) struct Gate {
    key: Mutex<Option<oneshot::Sender<Outcome>>>,
    lock: Mutex<Option<oneshot::Receiver<Outcome>>>,
    life: Arc<Life>,
}

impl Gate {
    /// The one future.
    pub(crate) fn future(&self) -> PyResult<impl Future<Output = PyResult<Answer>> + Send + use<>> {
        let lock = self
            .lock
            .lock()
            .expect("nobody panics with the lock")
            .take();
        let lock = lock.ok_or_else(|| PyRuntimeError::new_err("the gate has a future already"))?;
        Ok(recorded(Arc::clone(&self.life), async move {
            match lock.await {
                Ok(Outcome::Value(answer)) => Ok(answer),
                Ok(Outcome::Error(error)) => Err(error),
                Ok(Outcome::Panic(text)) => panic!("{text}"),
                // The gate is gone, nobody can open it any more: an end that a test need not ask for.
                Err(_) => Ok(Answer::Nothing),
            }
        }))
    }

    fn end(&self, outcome: Outcome) -> PyResult<bool> {
        let key = self.key.lock().expect("nobody panics with the key").take();
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

    /// The future, on the current loop or on the one that is named. A gate has one.
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

    /// The future as a coroutine.
    fn coroutine<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bridge::into_coroutine(py, self.future()?)
    }

    /// The future as a coroutine that cleans up when it is cancelled: it appends the cancellation to `log`, waits until
    /// `clean` is opened, and then ends with the cancellation, or with what it is cancelled to.
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

    /// The future with its first poll on this thread.
    fn eager<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bridge::eager_future_into_py(py, self.future()?)
    }

    /// The future as one that is not `Send`: with the object, which it holds, it stays on this thread.
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

    /// The future returns the value. This and the next four tell whether there still was a future to hear it.
    fn open(&self, value: Py<PyAny>) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Converts(value)))
    }

    /// The future returns the exception as its error.
    fn fail(&self, exception: Bound<'_, PyAny>) -> PyResult<bool> {
        self.end(Outcome::Error(PyErr::from_value(exception)))
    }

    /// The future panics while it is polled.
    fn panic(&self, text: String) -> PyResult<bool> {
        self.end(Outcome::Panic(text))
    }

    /// The future returns a value whose conversion to Python raises.
    fn fail_conversion(&self, exception: Bound<'_, PyAny>) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Fails(PyErr::from_value(exception))))
    }

    /// The future returns a value whose conversion to Python panics.
    fn panic_in_conversion(&self, text: String) -> PyResult<bool> {
        self.end(Outcome::Value(Answer::Panics(text)))
    }

    /// How often the future has been polled.
    #[getter]
    fn polls(&self) -> usize {
        self.life.polls()
    }

    /// Waits, detached, until the future has been dropped.
    fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        self.life.wait_until_dropped(py)
    }
}

/// A Rust future that sits in its first poll, and so keeps its runtime thread busy, until it is let go.
#[pyclass(frozen)]
pub(crate) struct Hold {
    let_go: Mutex<Option<mpsc::Sender<()>>>,
    life: Arc<Life>,
    future: Py<PyAny>,
}

#[pymethods]
impl Hold {
    /// Comes back when the thread is held.
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (let_go, hold) = mpsc::channel();
        let (held, is_held) = mpsc::channel();
        let life = Arc::<Life>::default();
        let future = recorded(Arc::clone(&life), async move {
            held.send(()).expect("the constructor listens");
            // An error is as good as a message: whoever drops the sender lets go too.
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

    /// What Python can await, and cancel.
    #[getter]
    fn future(&self, py: Python<'_>) -> Py<PyAny> {
        self.future.clone_ref(py)
    }

    /// The poll ends; the future is pending from then on.
    fn let_go(&self) {
        self.let_go.lock().expect("nobody panics with it").take();
    }

    /// How often the future has been polled.
    #[getter]
    fn polls(&self) -> usize {
        self.life.polls()
    }

    /// Waits, detached, until the future has been dropped.
    fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        self.life.wait_until_dropped(py)
    }
}

/// A Rust future that gives way to the runtime so many times, and then returns the value. With 0 it is ready at once.
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

/// The same, with its first poll, which makes the timer, on this thread.
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

/// The same on the loop's thread. It calls a Python function before and after the timer, and returns what that returned.
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
