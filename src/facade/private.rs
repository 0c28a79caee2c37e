//! Not public API: what the attributes expand to.

#![allow(missing_docs, reason = "not public API")]

use std::future::Future;
use std::process::ExitCode;

use pyo3::prelude::*;

#[cfg(feature = "testing")]
pub use crate::testing::{
    case::{Ignored, TestCase, event_loop},
    outcome::Failure,
};
#[cfg(feature = "testing")]
pub use inventory;

use crate::CancelHandle;
#[cfg(feature = "async-std-runtime")]
pub use crate::runtime::async_std::AsyncStd;
#[cfg(feature = "smol-runtime")]
pub use crate::runtime::smol::Smol;
#[cfg(feature = "tokio-runtime")]
pub use crate::runtime::tokio::{Tokio, TokioOptions};
use crate::runtime::{Runtime, Standalone};
use crate::rust_to_python::{Making, into_cancellable_coroutine, into_coroutine};

pub fn run_main<R, F, T>(
    options: R::Options,
    event_loop: Option<&str>,
    main: impl FnOnce() -> F,
) -> ExitCode
where
    R: Standalone,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    R::init(options);
    crate::entry::main::<R, F, T>(event_loop, main)
}

#[derive(Debug)]
pub struct CoroutineOptions {
    /// The name and the qualified name.
    pub names: fn() -> (&'static str, &'static str),
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
    let making = Making::named(options.names);
    if options.eager_start {
        making.eager()
    } else {
        making
    }
}
