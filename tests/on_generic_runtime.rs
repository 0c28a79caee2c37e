//! The behaviours on a runtime of somebody's own, in the shape that `generic` asks for.

#[path = "behaviour/brief.rs"]
mod behaviour;

use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;
use pyo3_asyncio::err::RuntimeStopped;
use pyo3_asyncio::generic::{self, ContextExt, Runtime};
use tokio::task::{JoinError, JoinHandle};

/// What the behaviours know of their runtime.
#[cfg_attr(
    not(thorough),
    allow(dead_code, reason = "the other behaviours need it")
)]
mod rt {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::LazyLock;
    use std::time::Duration;

    use pyo3::prelude::*;
    use pyo3_asyncio::generic::{self, ContextExt};
    use pyo3_asyncio::{PyCall, PyStream, PyTask, TaskLocals, custom};
    use tokio::task::futures::TaskLocalFuture;
    use tokio::task::{JoinError, JoinHandle};

    use crate::behaviour::RunLocally;

    static TOKIO: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Runtime::new().expect("there are threads to be had"));

    tokio::task_local! {
        static LOCALS: TaskLocals;
    }

    pub(crate) struct Runtime;

    impl generic::Runtime for Runtime {
        type JoinError = JoinError;
        type JoinHandle = JoinHandle<()>;

        fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> JoinHandle<()> {
            TOKIO.spawn(future)
        }

        fn spawn_blocking<F: FnOnce() + Send + 'static>(function: F) -> JoinHandle<()> {
            TOKIO.spawn_blocking(function)
        }
    }

    impl ContextExt for Runtime {
        fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
        where
            F: Future<Output = R> + Send + 'static,
        {
            Box::pin(LOCALS.scope(locals, future))
        }

        fn get_task_locals() -> Option<TaskLocals> {
            LOCALS.try_with(Clone::clone).ok()
        }
    }

    /// What `Runtime::scope` gives, of a future that may borrow.
    pub(crate) fn scope<F: Future>(
        locals: TaskLocals,
        future: F,
    ) -> TaskLocalFuture<TaskLocals, F> {
        LOCALS.scope(locals, future)
    }

    pub(crate) use self::scope as scope_local;

    pub(crate) async fn sleep(duration: Duration) {
        async_io::Timer::after(duration).await;
    }

    pub(crate) fn start() {}

    pub(crate) const RUN_LOCALLY: Option<RunLocally> = None;

    pub(crate) fn get_current_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        generic::get_current_loop::<Runtime>(py)
    }

    pub(crate) fn get_current_locals(py: Python<'_>) -> PyResult<TaskLocals> {
        generic::get_current_locals::<Runtime>(py)
    }

    pub(crate) fn into_future(awaitable: Bound<'_, PyAny>) -> PyResult<PyTask> {
        generic::into_future::<Runtime>(awaitable)
    }

    pub(crate) fn run_coroutine<F>(function: F) -> PyTask
    where
        F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
    {
        generic::run_coroutine::<Runtime, F>(function)
    }

    pub(crate) fn into_stream(iterable: Bound<'_, PyAny>) -> PyResult<PyStream> {
        generic::into_stream::<Runtime>(iterable)
    }

    pub(crate) fn run_async_generator<F>(function: F) -> PyStream
    where
        F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
    {
        generic::run_async_generator::<Runtime, F>(function)
    }

    pub(crate) fn call_soon<F, T>(function: F) -> PyCall<T>
    where
        F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
        T: Send + 'static,
    {
        generic::call_soon::<Runtime, F, T>(function)
    }

    /// Names the runtime. What `generic` has not got is called in `custom`, as the runtime is one of those too.
    macro_rules! on_runtime {
        ($($module:ident::$name:ident[$($send:ident)?]($($parameter:ident: $type:ty),*) -> $output:ty;)*) => {$(
            pub(crate) fn $name<'py, F, T>($($parameter: $type,)* future: F) -> PyResult<$output>
            where
                F: Future<Output = PyResult<T>> $(+ $send)? + 'static,
                T: for<'a> IntoPyObject<'a> + Send + 'static,
            {
                $module::$name::<Runtime, F, T>($($parameter,)* future)
            }
        )*};
    }

    on_runtime! {
        generic::future_into_py[Send](py: Python<'py>) -> Bound<'py, PyAny>;
        generic::future_into_py_with_locals[Send](py: Python<'py>, locals: TaskLocals) -> Bound<'py, PyAny>;
        custom::future_into_py_with_loop[Send](event_loop: Bound<'py, PyAny>) -> Bound<'py, PyAny>;
        custom::local_future_into_py[](py: Python<'py>) -> Bound<'py, PyAny>;
        custom::local_future_into_py_with_locals[](py: Python<'py>, locals: TaskLocals) -> Bound<'py, PyAny>;
        custom::local_future_into_py_with_loop[](event_loop: Bound<'py, PyAny>) -> Bound<'py, PyAny>;
    }

    pub(crate) fn run<F, T>(py: Python<'_>, future: F) -> PyResult<T>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        generic::run::<Runtime, F, T>(py, future)
    }

    pub(crate) fn run_until_complete<F, T>(event_loop: Bound<'_, PyAny>, future: F) -> PyResult<T>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        generic::run_until_complete::<Runtime, F, T>(&event_loop, future)
    }
}

/// A runtime that has ended: it drops what it is given.
struct Ended;

impl Runtime for Ended {
    type JoinError = JoinError;
    type JoinHandle = JoinHandle<()>;

    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> JoinHandle<()> {
        drop(future);
        rt::Runtime::spawn(async {})
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(function: F) -> JoinHandle<()> {
        drop(function);
        rt::Runtime::spawn(async {})
    }
}

impl ContextExt for Ended {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        rt::Runtime::scope(locals, future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        rt::Runtime::get_task_locals()
    }
}

#[test]
fn a_future_that_its_runtime_drops_raises() {
    Python::initialize();
    Python::attach(|py| {
        let stopped = generic::run::<rt::Runtime, _, _>(py, async {
            let dropped = Python::attach(|py| {
                let future = generic::future_into_py::<Ended, _, _>(py, async { Ok(()) })?;
                generic::into_future::<Ended>(future)
            })?;
            dropped.await.map(drop)
        });
        assert!(stopped.unwrap_err().is_instance_of::<RuntimeStopped>(py));
    });
}
