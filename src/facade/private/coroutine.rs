//! What an exported `async fn` expands to.

use std::future::Future;

use pyo3::prelude::*;

use crate::CancelHandle;
use crate::runtime::Runtime;
use crate::rust_to_python::{Making, into_cancellable_coroutine, into_coroutine};

#[derive(Debug)]
pub struct CoroutineOptions {
    pub name: &'static str,
    pub qualname: &'static str,
    pub eager_start: bool,
}

#[track_caller]
pub fn coroutine<R, F, T>(
    py: Python<'_>,
    options: CoroutineOptions,
    future: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    into_coroutine::<R, F, T>(py, making(&options), future)
}

#[track_caller]
pub fn cancellable_coroutine<R, F, T>(
    py: Python<'_>,
    options: CoroutineOptions,
    make: impl FnOnce(CancelHandle) -> F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    into_cancellable_coroutine::<R, F, T>(py, making(&options), make)
}

#[track_caller]
fn making(options: &CoroutineOptions) -> Making {
    let making = Making::named(options.name, options.qualname);
    if options.eager_start {
        making.eager()
    } else {
        making
    }
}
