//! The crate's functions on the runtime that `PYTESTS_RUNTIME` names. A process uses one runtime.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use ::smol::stream::Stream;
use ::tokio::runtime::Builder;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3_asyncio::custom::Runtime as _;
use pyo3_asyncio::{AwaitableBuilder, CancelHandle, async_std, smol, tokio};

// These do not depend on the runtime.
pub(crate) use pyo3_asyncio::custom::{
    call_soon, get_current_locals, get_current_loop, into_future, into_stream, run_async_generator,
    run_coroutine, scope,
};

#[derive(Clone, Copy)]
enum Runtime {
    AsyncStd,
    Smol,
    Tokio,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Chooses the runtime, and returns the number of its threads.
pub(crate) fn start() -> PyResult<usize> {
    let name = std::env::var("PYTESTS_RUNTIME");
    let (runtime, threads) = match name.as_deref() {
        Ok("tokio") | Err(_) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(2);
            (tokio_of(builder)?, 2)
        }
        Ok("tokio_current_thread") => (tokio_of(Builder::new_current_thread())?, 1),
        // conftest.py sets the number of their threads.
        Ok("async_std") => (Runtime::AsyncStd, 2),
        Ok("smol") => (Runtime::Smol, 2),
        Ok(other) => {
            return Err(PyValueError::new_err(format!(
                "PYTESTS_RUNTIME is {other:?}: set it to \"tokio\", \"tokio_current_thread\", \"async_std\" or \"smol\""
            )));
        }
    };
    RUNTIME.get_or_init(|| runtime);
    Ok(threads)
}

fn tokio_of(mut builder: Builder) -> PyResult<Runtime> {
    builder.enable_all();
    tokio::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))?;
    Ok(Runtime::Tokio)
}

macro_rules! on_runtime {
    ($function:ident($($argument:expr),*)) => {
        match RUNTIME.get().expect("the module is imported") {
            Runtime::AsyncStd => async_std::$function($($argument),*),
            Runtime::Smol => smol::$function($($argument),*),
            Runtime::Tokio => tokio::$function($($argument),*),
        }
    };
}

#[track_caller]
pub(crate) fn future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(future_into_py(py, future))
}

#[track_caller]
pub(crate) fn future_into_py_with_loop<'py, F, T>(
    event_loop: Bound<'py, PyAny>,
    future: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    on_runtime!(future_into_py_with_loop(event_loop, future))
}

#[track_caller]
pub(crate) fn local_future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(local_future_into_py(py, future))
}

#[track_caller]
pub(crate) fn local_future_into_py_with_loop<'py, F, T>(
    event_loop: Bound<'py, PyAny>,
    future: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    on_runtime!(local_future_into_py_with_loop(event_loop, future))
}

#[track_caller]
pub(crate) fn into_coroutine<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(into_coroutine(py, future))
}

#[track_caller]
pub(crate) fn into_cancellable_coroutine<F, T>(
    py: Python<'_>,
    make: impl FnOnce(CancelHandle) -> F,
) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(into_cancellable_coroutine(py, make))
}

#[track_caller]
pub(crate) fn eager_future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(eager_future_into_py(py, future))
}

/// How [`async_generator`] makes one.
#[derive(Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) capacity: Option<NonZeroUsize>,
    pub(crate) eager_start: bool,
    pub(crate) name: Option<String>,
}

pub(crate) fn async_generator<S, T>(
    py: Python<'_>,
    options: GeneratorOptions,
    stream: S,
) -> PyResult<Bound<'_, PyAny>>
where
    S: Stream<Item = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    fn built<R, S, T>(
        mut builder: AwaitableBuilder<R>,
        py: Python<'_>,
        options: GeneratorOptions,
        stream: S,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: pyo3_asyncio::custom::Runtime,
        S: Stream<Item = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        builder = builder.eager_start(options.eager_start);
        if let Some(capacity) = options.capacity {
            builder = builder.capacity(capacity);
        }
        if let Some(name) = options.name {
            builder = builder.name(name);
        }
        builder.async_generator(py, stream)
    }

    match RUNTIME.get().expect("the module is imported") {
        Runtime::AsyncStd => built(async_std::awaitable(), py, options, stream),
        Runtime::Smol => built(smol::awaitable(), py, options, stream),
        Runtime::Tokio => built(tokio::awaitable(), py, options, stream),
    }
}

pub(crate) fn local_into_async_generator<S, T>(
    py: Python<'_>,
    stream: S,
) -> PyResult<Bound<'_, PyAny>>
where
    S: Stream<Item = PyResult<T>> + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    on_runtime!(local_into_async_generator(py, stream))
}

/// Starts a task without locals.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    match RUNTIME.get().expect("the module is imported") {
        Runtime::AsyncStd => async_std::AsyncStd::spawn(future),
        Runtime::Smol => smol::Smol::spawn(future),
        Runtime::Tokio => tokio::Tokio::spawn(future),
    }
}

/// Blocks this thread on a future.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match RUNTIME.get().expect("the module is imported") {
        Runtime::AsyncStd => ::async_std::task::block_on(future),
        Runtime::Smol => ::smol::block_on(future),
        Runtime::Tokio => tokio::handle().block_on(future),
    }
}

pub(crate) async fn sleep(duration: Duration) {
    match RUNTIME.get().expect("the module is imported") {
        Runtime::AsyncStd => ::async_std::task::sleep(duration).await,
        Runtime::Smol => drop(::smol::Timer::after(duration).await),
        Runtime::Tokio => ::tokio::time::sleep(duration).await,
    }
}
