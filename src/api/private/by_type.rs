//! Chooses what to do with an argument or an output of an exported `async fn` by its type. The attributes see only tokens, so the
//! compiler chooses here.
//!
//! [`AnyOutput`] dereferences to [`Fallible`], and that to [`Value`]. Method lookup follows this chain. So the compiler takes the
//! most specific type that has `into_result` for the output. [`Argument`] and [`Opaque`] choose a `show` in the same way.
//!
//! The compiler shows the source line of a bound that is not met. So a comment at the end of the line says what to do.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyNone;

/// The Python objects among the arguments. The coroutine keeps them beside the future, so that the garbage collector sees them.
pub type Arguments = Vec<Py<PyAny>>;

pub struct Argument<'a, T>(&'a T, Opaque<T>);

pub struct Opaque<T>(PhantomData<T>);

pub fn argument<T>(value: &T) -> Argument<'_, T> {
    Argument(value, Opaque(PhantomData))
}

impl<T> Argument<'_, Py<T>> {
    pub fn show(&self, py: Python<'_>, arguments: &mut Arguments) {
        arguments.push(self.0.clone_ref(py).into_any());
    }
}

impl<T> Argument<'_, Option<Py<T>>> {
    pub fn show(&self, py: Python<'_>, arguments: &mut Arguments) {
        if let Some(object) = self.0 {
            arguments.push(object.clone_ref(py).into_any());
        }
    }
}

impl<T> Deref for Argument<'_, T> {
    type Target = Opaque<T>;

    fn deref(&self) -> &Self::Target {
        &self.1
    }
}

impl<T> Opaque<T> {
    /// A value without objects, or with an unknown number of objects.
    pub fn show(&self, _py: Python<'_>, _arguments: &mut Arguments) {}
}

pin_project! {
    /// A future whose output is converted for Python. An `async` block around it would store the arguments twice.
    pub struct Converted<F, C> {
        #[pin]
        future: F,
        convert: C,
    }
}

pub fn converted<F, C, T>(future: F, convert: C) -> Converted<F, C>
where
    F: Future,
    C: Fn(F::Output) -> PyResult<T>,
{
    Converted { future, convert }
}

impl<F, C, T> Future for Converted<F, C>
where
    F: Future,
    C: Fn(F::Output) -> PyResult<T>,
{
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<T>> {
        let this = self.project();
        this.future.poll(cx).map(this.convert)
    }
}

/// The output of an `async fn`: nothing, a `Result`, or a value.
pub struct AnyOutput<T>(Fallible<T>);

pub struct Fallible<T>(Value<T>);

pub struct Value<T>(PhantomData<T>);

pub fn outcome<T>(_: &T) -> AnyOutput<T> {
    AnyOutput(Fallible(Value(PhantomData)))
}

impl AnyOutput<()> {
    pub fn into_result(&self, (): ()) -> PyResult<Nothing> {
        Ok(Nothing)
    }
}

impl<E> AnyOutput<Result<(), E>> {
    pub fn into_result(&self, output: Result<(), E>) -> PyResult<Nothing>
    where
        E: Into<PyErr>, // Python raises it: write an `impl From<…> for PyErr`, or return a `PyResult`
    {
        output.map(|()| Nothing).map_err(Into::into)
    }
}

impl<T> Deref for AnyOutput<T> {
    type Target = Fallible<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T, E> Fallible<Result<T, E>> {
    pub fn into_result(&self, output: Result<T, E>) -> PyResult<T>
    where
        E: Into<PyErr>, // Python raises it: write an `impl From<…> for PyErr`, or return a `PyResult`
    {
        output.map_err(Into::into)
    }
}

impl<T> Deref for Fallible<T> {
    type Target = Value<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Value<T> {
    pub fn into_result(&self, output: T) -> PyResult<T> {
        Ok(output)
    }
}

/// Converts to `None`. PyO3 converts `()` to an empty tuple.
pub struct Nothing;

impl<'py> IntoPyObject<'py> for Nothing {
    type Target = PyNone;
    type Output = Borrowed<'py, 'py, PyNone>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(PyNone::get(py))
    }
}

/// The output of `__anext__` or `__next__`: `None` ends the iteration, as in a method of PyO3.
pub struct NextItem<T> {
    end: fn() -> PyErr,
    result: Fallible<PyResult<T>>,
}

pub fn next_item<T>(result: &PyResult<T>, end: fn() -> PyErr) -> NextItem<T> {
    let result = outcome(result).0;
    NextItem { end, result }
}

pub fn stop_async_iteration() -> PyErr {
    PyStopAsyncIteration::new_err(())
}

pub fn stop_iteration() -> PyErr {
    PyStopIteration::new_err(())
}

impl<T> NextItem<Option<T>> {
    pub fn into_result(&self, output: PyResult<Option<T>>) -> PyResult<T> {
        output?.ok_or_else(self.end)
    }
}

impl<T> Deref for NextItem<T> {
    type Target = Fallible<PyResult<T>>;

    fn deref(&self) -> &Self::Target {
        &self.result
    }
}
