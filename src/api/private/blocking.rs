//! Exports that block: the second function of an export with `blocking = "name"`.
//!
//! The wrapper that the attribute generates makes the same future as the wrapper for the coroutine, and passes it here. [`blocked`]
//! calls `block_on`, and [`generator`] makes a generator of a stream.

use std::future::Future;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use super::export::{CoroutineOptions, Way};
use super::returned::{Blocked, Generator};
use super::streams::{Emitter, emitted};
use crate::error::note_future;
use crate::runtime::Runtime;

pub fn blocked<'a, R, W, F, T, O>(
    py: Python<'a>,
    options: CoroutineOptions,
    future: F,
) -> PyResult<Blocked<'a, O>>
where
    R: Runtime,
    W: Way,
    F: Future<Output = PyResult<T>> + Send, // drop what is not Send before the next await, in a block of its own
    T: for<'py> IntoPyObject<'py> + Send, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let output = W::block_on::<R, F, T>(py, future);
    let output = output.inspect_err(|error| note_future(error.value(py), options.made_at))?;
    output.into_bound_py_any(py).map(Blocked::new)
}

pub fn generator<R, F, T, O>(
    py: Python<'_>,
    options: CoroutineOptions,
    make: impl FnOnce(Emitter<T>) -> F,
) -> PyResult<Generator<'_, O>>
where
    R: Runtime,
    F: Future<Output = PyResult<()>> + Send + 'static, // the stream has to be `Send`
    T: for<'py> IntoPyObject<'py> + Send + 'static, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let (names, made_at, arguments) = ((options.names)(), options.made_at, options.arguments);
    crate::entry::generator::<R, _, T>(py, names, made_at, arguments, emitted(make))
        .map(Generator::new)
}
