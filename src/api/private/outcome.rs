//! What an exported `async fn` comes to, by its type: a value, nothing, a `Result` of either, or the next item.
//!
//! The compiler shows the line of a bound that is not met, so what to do about it stands there.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyNone;

pin_project! {
    /// A future whose output becomes what Python gets. An `async` block around it would keep the arguments twice.
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

/// Tells what the output of an `async fn` is: a method of one type hides those of the types that it derefs to.
pub struct Outcome<T>(Fallible<T>);

pub struct Fallible<T>(Value<T>);

pub struct Value<T>(PhantomData<T>);

pub fn outcome<T>(_: &T) -> Outcome<T> {
    Outcome(Fallible(Value(PhantomData)))
}

impl Outcome<()> {
    pub fn into_result(&self, (): ()) -> PyResult<Nothing> {
        Ok(Nothing)
    }
}

impl<E> Outcome<Result<(), E>> {
    pub fn into_result(&self, output: Result<(), E>) -> PyResult<Nothing>
    where
        E: Into<PyErr>, // Python raises it: write an `impl From<…> for PyErr`, or return a `PyResult`
    {
        output.map(|()| Nothing).map_err(Into::into)
    }
}

impl<T> Deref for Outcome<T> {
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

/// A function that returns nothing returns `None` in Python. By itself, `()` is an empty tuple.
pub struct Nothing;

impl<'py> IntoPyObject<'py> for Nothing {
    type Target = PyNone;
    type Output = Borrowed<'py, 'py, PyNone>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(PyNone::get(py))
    }
}

/// The same for what `__anext__` returns: `None` ends the iteration, as it does for a plain method of PyO3's.
pub struct NextItem<T>(Fallible<PyResult<T>>);

pub fn next_item<T>(result: &PyResult<T>) -> NextItem<T> {
    NextItem(outcome(result).0)
}

impl<T> NextItem<Option<T>> {
    pub fn into_result(&self, output: PyResult<Option<T>>) -> PyResult<T> {
        output?.ok_or_else(|| PyStopAsyncIteration::new_err(()))
    }
}

impl<T> Deref for NextItem<T> {
    type Target = Fallible<PyResult<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
