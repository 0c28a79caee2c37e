//! Async generators of exported functions that return a stream.
//!
//! The wrapper that an attribute generates makes a future from the arguments, and passes it here. The future owns the arguments and
//! the object of the method. It calls the user's function, and emits the items of the stream that the function returns. So the
//! stream may borrow from the object. [`Emitted`] is a stream again, of the items that the future emits.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use super::export::{CoroutineOptions, wait_once};
use super::returned::AsyncGenerator;
use crate::runtime::Runtime;
use crate::sync::primitive::lock;

pub fn async_generator<R, F, T, O>(
    py: Python<'_>,
    options: CoroutineOptions,
    make: impl FnOnce(Emitter<T>) -> F,
) -> PyResult<AsyncGenerator<'_, O>>
where
    R: Runtime,
    F: Future<Output = PyResult<()>> + Send + 'static, // the stream has to be `Send`
    T: for<'py> IntoPyObject<'py> + Send + 'static, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let generator = options.builder::<R>().async_generator(py, emitted(make));
    generator.map(AsyncGenerator::new)
}

/// How a method that returns a stream gets `&self`.
#[diagnostic::on_unimplemented(
    message = "a stream of `&self` in a class that is not `frozen`",
    label = "the stream would borrow the object as long as Python iterates over it",
    note = "make the class `frozen`, and put a lock around what changes, or take `slf: Py<Self>`"
)]
pub trait Unchanging: Sized {
    fn get<T>(object: &Py<T>) -> &T
    where
        T: PyClass<Frozen = Self> + Sync;
}

impl Unchanging for True {
    fn get<T>(object: &Py<T>) -> &T
    where
        T: PyClass<Frozen = True> + Sync,
    {
        object.get()
    }
}

pub fn unchanging<T>(object: &Py<T>) -> &T
where
    T: PyClass<Frozen: Unchanging>,
    T: Sync, // other threads read the object: put a lock around what is not `Sync`, or take `slf: Py<Self>`
{
    <T::Frozen as Unchanging>::get(object)
}

/// The end of a future that emits the items of a stream.
pub struct Emitter<T>(Arc<Mutex<Option<T>>>);

impl<T> Emitter<T> {
    /// Emits the items until one is an error.
    pub async fn emit<S>(self, stream: S, convert: impl Fn(S::Item) -> PyResult<T>) -> PyResult<()>
    where
        S: Stream,
    {
        let mut stream = pin!(stream);
        while let Some(item) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            let item = convert(item)?;
            *lock(&self.0) = Some(item);
            wait_once().await;
        }
        Ok(())
    }
}

pub(super) fn emitted<F, T>(make: impl FnOnce(Emitter<T>) -> F) -> Emitted<F, T> {
    let slot = Arc::new(Mutex::new(None));
    Emitted {
        future: Some(make(Emitter(Arc::clone(&slot)))),
        slot,
    }
}

pin_project! {
    /// The items that a future emits. A poll of the future emits one at most.
    pub(super) struct Emitted<F, T> {
        // `None` once it has ended.
        #[pin]
        future: Option<F>,
        slot: Arc<Mutex<Option<T>>>,
    }
}

impl<F, T> Stream for Emitted<F, T>
where
    F: Future<Output = PyResult<()>>,
{
    type Item = PyResult<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PyResult<T>>> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match future.poll(cx) {
            Poll::Pending => match lock(this.slot).take() {
                None => Poll::Pending,
                Some(item) => Poll::Ready(Some(Ok(item))),
            },
            Poll::Ready(result) => {
                this.future.set(None);
                Poll::Ready(result.err().map(Err))
            }
        }
    }
}
