//! Rust streams that Python iterates over.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use smol::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::bridge::{self, GeneratorOptions};
use crate::coroutine::is_let_go;
use crate::gate::Answer;
use crate::ledger::{Life, recorded};

/// What a test tells a stream to do next.
enum Next {
    Item(PyResult<Answer>),
    Panic(String),
}

/// A Rust stream whose items a test chooses. Dropping the object, or `end`, ends the stream.
#[pyclass(frozen, weakref)]
pub(crate) struct Feed {
    sender: Mutex<Option<UnboundedSender<Next>>>,
    receiver: Mutex<Option<UnboundedReceiver<Next>>>,
    life: Arc<Life>,
}

impl Feed {
    fn stream(&self) -> PyResult<impl Stream<Item = PyResult<Answer>> + Send + use<>> {
        let receiver = self.receiver.lock().expect("it is never poisoned").take();
        let mut receiver =
            receiver.ok_or_else(|| PyRuntimeError::new_err("the feed has a stream already"))?;
        let items = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(|next| match next {
            Next::Item(item) => item,
            Next::Panic(text) => panic!("{text}"),
        });
        Ok(recorded(Arc::clone(&self.life), items))
    }

    /// Returns whether the stream still exists.
    fn tell(&self, next: Next) -> bool {
        let sender = self.sender.lock().expect("it is never poisoned");
        sender.as_ref().is_some_and(|it| it.send(next).is_ok())
    }
}

#[pymethods]
impl Feed {
    #[new]
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Feed {
            sender: Mutex::new(Some(sender)),
            receiver: Mutex::new(Some(receiver)),
            life: Arc::default(),
        }
    }

    /// Returns the stream. A feed has only one.
    #[pyo3(signature = (capacity=None, eager_start=false, name=None))]
    fn generator<'py>(
        &self,
        py: Python<'py>,
        capacity: Option<NonZeroUsize>,
        eager_start: bool,
        name: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = GeneratorOptions {
            capacity,
            eager_start,
            name,
        };
        bridge::async_generator(py, options, self.stream()?)
    }

    /// Returns the stream as a local one, which is not `Send` and stays on this thread. It holds the object.
    #[pyo3(signature = (held=None))]
    fn local_generator<'py>(
        &self,
        py: Python<'py>,
        held: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let held = Rc::new(held);
        let stream = self.stream()?.map(move |item| {
            let _held = &held;
            item
        });
        bridge::local_into_async_generator(py, stream)
    }

    /// Makes the stream give the values. This and the next four return whether the stream still existed.
    #[pyo3(signature = (*values))]
    fn send(&self, values: Vec<Py<PyAny>>) -> bool {
        let mut values = values.into_iter().map(Answer::Converts);
        values.all(|value| self.tell(Next::Item(Ok(value))))
    }

    /// Makes the stream give the exception as an error.
    fn fail(&self, exception: Bound<'_, PyAny>) -> bool {
        self.tell(Next::Item(Err(PyErr::from_value(exception))))
    }

    /// Makes the stream panic.
    fn panic(&self, text: String) -> bool {
        self.tell(Next::Panic(text))
    }

    /// Makes the stream give an item whose conversion to Python raises.
    fn fail_conversion(&self, exception: Bound<'_, PyAny>) -> bool {
        let fails = Answer::Fails(PyErr::from_value(exception));
        self.tell(Next::Item(Ok(fails)))
    }

    /// Makes the stream give an item whose conversion to Python panics.
    fn panic_in_conversion(&self, text: String) -> bool {
        self.tell(Next::Item(Ok(Answer::Panics(text))))
    }

    /// Ends the stream.
    fn end(&self) {
        self.sender.lock().expect("it is never poisoned").take();
    }

    /// The number of polls of the stream.
    #[getter]
    fn polls(&self) -> usize {
        self.life.polls()
    }

    /// Whether the stream is dropped.
    #[getter]
    fn is_dropped(&self) -> bool {
        self.life.is_dropped()
    }

    /// Waits, detached, until the stream is dropped.
    fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        self.life.wait_until_dropped(py)
    }
}

/// A Rust stream of the numbers from 0. It counts those that it has given.
#[pyclass(frozen)]
pub(crate) struct Numbers {
    count: usize,
    burst: usize,
    taken: Arc<AtomicUsize>,
}

#[pymethods]
impl Numbers {
    /// After each `burst` numbers, the stream is pending once.
    #[new]
    #[pyo3(signature = (count, burst=usize::MAX))]
    fn new(count: usize, burst: usize) -> Self {
        Numbers {
            count,
            burst,
            taken: Arc::default(),
        }
    }

    #[pyo3(signature = (capacity=None, eager_start=false))]
    fn generator<'py>(
        &self,
        py: Python<'py>,
        capacity: Option<NonZeroUsize>,
        eager_start: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (count, burst, taken) = (self.count, self.burst, Arc::clone(&self.taken));
        let mut left = burst;
        let numbers = stream::poll_fn(move |cx| {
            if left == 0 {
                left = burst;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            left -= 1;
            let number = taken.load(Ordering::SeqCst);
            if number == count {
                return Poll::Ready(None);
            }
            taken.store(number + 1, Ordering::SeqCst);
            Poll::Ready(Some(Ok(number)))
        });
        let options = GeneratorOptions {
            capacity,
            eager_start,
            name: None,
        };
        bridge::async_generator(py, options, recorded(Arc::default(), numbers))
    }

    /// How many numbers the stream has given.
    #[getter]
    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

/// A Rust stream that computes for a millisecond until its first item, and blocks then until `let_go` is called. Its second item
/// is whether it was.
#[pyfunction]
pub(crate) fn blocking_stream(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let mut items = 0;
    let stream = stream::poll_fn(move |_| {
        items += 1;
        match items {
            1 => {
                thread::sleep(Duration::from_millis(1));
                Poll::Ready(Some(Ok(true)))
            }
            2 => Poll::Ready(Some(Ok(is_let_go()))),
            _ => Poll::Ready(None),
        }
    });
    let stream = recorded(Arc::default(), stream);
    bridge::async_generator(py, GeneratorOptions::default(), stream)
}

/// A Rust stream that gives what calling a Python function in each poll returns, until that is `None`.
#[pyfunction]
#[pyo3(signature = (function, eager_start=false))]
pub(crate) fn calling_stream(
    py: Python<'_>,
    function: Py<PyAny>,
    eager_start: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let stream = stream::poll_fn(move |_| {
        let value = Python::attach(|py| {
            let value = function.call0(py)?;
            Ok((!value.is_none(py)).then_some(value))
        });
        Poll::Ready(value.transpose())
    });
    let options = GeneratorOptions {
        capacity: NonZeroUsize::new(1),
        eager_start,
        name: None,
    };
    bridge::async_generator(py, options, recorded(Arc::default(), stream))
}

/// A Rust stream of what a Python async iterator gives. It awaits an item of it when Python awaits one of the stream.
#[pyfunction]
pub(crate) fn relay(py: Python<'_>, iterator: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let stream = stream::unfold(Some(Arc::new(iterator)), |iterator| async move {
        let iterator = iterator?;
        let next = Arc::clone(&iterator);
        let item = bridge::run_coroutine(move |py| next.bind(py).call_method0("__anext__")).await;
        match item {
            Ok(item) => Some((Ok(item), Some(iterator))),
            Err(end) if Python::attach(|py| end.is_instance_of::<PyStopAsyncIteration>(py)) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let options = GeneratorOptions {
        capacity: NonZeroUsize::new(1),
        ..GeneratorOptions::default()
    };
    bridge::async_generator(py, options, recorded(Arc::default(), stream))
}

/// An empty Rust stream that is not `Send`. It is not counted: on another thread than this one it cannot be dropped.
#[pyfunction]
pub(crate) fn empty_local_stream(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::local_into_async_generator(py, stream::empty::<PyResult<usize>>())
}

/// A Rust stream that ends at once, and panics when it is dropped.
#[pyfunction]
pub(crate) fn stream_that_panics_when_dropped(
    py: Python<'_>,
    text: String,
) -> PyResult<Bound<'_, PyAny>> {
    struct Panics(String);

    impl Stream for Panics {
        type Item = PyResult<Infallible>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(None)
        }
    }

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }

    let stream = Panics(text).map(|item| item.map(|never| -> usize { match never {} }));
    bridge::async_generator(py, GeneratorOptions::default(), stream)
}
