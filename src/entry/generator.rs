//! Generators of Rust streams, for Python functions that block.
//!
//! The generator is Python's own: see [`asyncio::generator`]. It iterates over a [`BlockingStream`], which calls [`block_on`] for
//! each item. That call owns the stream, and gives it back together with an item. At the end of the stream, at an error and at an
//! interrupt, it drops the stream.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Mutex;

use futures_core::Stream;
use pyo3::IntoPyObjectExt;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::block_on;
use crate::asyncio;
use crate::error::{note_future, stream_in_parent};
use crate::runtime::Runtime;
use crate::sync::generation::generation;
use crate::sync::primitive::lock;
use crate::to_python::traverse_arguments;
use crate::user_value::drop_in;

/// Makes a generator of a stream. `arguments` are the objects that the stream owns until its first poll, for the garbage collector
/// to see.
pub(crate) fn generator<'py, R, S, T>(
    py: Python<'py>,
    (name, class): (&str, Option<&str>),
    made_at: &'static Location<'static>,
    arguments: Vec<Py<PyAny>>,
    stream: S,
) -> PyResult<Bound<'py, PyAny>>
where
    R: Runtime,
    S: Stream<Item = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let items = StreamItems::<R, S> {
        stream: Mutex::new(Some(Box::pin(stream))),
        generation: generation(),
        runtime: PhantomData,
    };
    let stream = BlockingStream {
        items: Box::new(items),
        made_at,
        arguments: Mutex::new(arguments),
    };
    let generator = asyncio::generator(Bound::new(py, stream)?.into_any())?;
    let qualname = class.map(|class| format!("{class}.{name}"));
    asyncio::rename(&generator, name, qualname.as_deref().unwrap_or(name))?;
    Ok(generator)
}

/// What the generator of a stream iterates over.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct BlockingStream {
    items: Box<dyn Items>,
    made_at: &'static Location<'static>,
    arguments: Mutex<Vec<Py<PyAny>>>,
}

trait Items: Send + Sync {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>>;
    fn close(&self, py: Python<'_>);
}

impl BlockingStream {
    fn release_arguments(&self) {
        let arguments = std::mem::take(&mut *lock(&self.arguments));
        drop(arguments);
    }
}

#[pymethods]
impl BlockingStream {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.release_arguments();
        let item = self.items.next(py);
        item.inspect_err(|error| note_future(error.value(py), self.made_at))
    }

    fn close(&self, py: Python<'_>) {
        self.items.close(py);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        traverse_arguments(&lock(&self.arguments), &visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.release_arguments();
        self.items.close(py);
    }
}

impl Drop for BlockingStream {
    fn drop(&mut self) {
        asyncio::in_deallocation(|py| self.items.close(py));
    }
}

struct StreamItems<R, S> {
    /// `None` while it is polled, and once it has ended.
    stream: Mutex<Option<Pin<Box<S>>>>,
    /// The process whose runtime it belongs to.
    generation: u32,
    runtime: PhantomData<fn() -> R>,
}

impl<R, S, T> Items for StreamItems<R, S>
where
    R: Runtime,
    S: Stream<Item = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.generation != generation() {
            return Err(stream_in_parent());
        }
        let Some(mut stream) = lock(&self.stream).take() else {
            return Ok(None);
        };
        let next = block_on::<R, _, _>(py, async move {
            let item = poll_fn(|cx| stream.as_mut().poll_next(cx)).await;
            Ok(item.transpose()?.map(|item| (item, stream)))
        });
        let Some((item, stream)) = next? else {
            return Ok(None);
        };
        *lock(&self.stream) = Some(stream);
        item.into_bound_py_any(py).map(Some)
    }

    fn close(&self, py: Python<'_>) {
        let Some(stream) = lock(&self.stream).take() else {
            return;
        };
        if self.generation != generation() {
            std::mem::forget(stream);
            return;
        }
        py.detach(|| drop_in::<R>(|| drop(stream)));
    }
}
