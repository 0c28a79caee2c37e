//! The behaviours on a runtime of somebody's own: the one of the example.

#[path = "behaviour/brief.rs"]
mod behaviour;
#[path = "../examples/custom_runtime.rs"]
mod example;

#[test]
fn the_example_runs() {
    example::main().expect("it counts lines");
}

/// What the behaviours know of their runtime.
#[cfg_attr(
    not(thorough),
    allow(dead_code, reason = "the other behaviours need it")
)]
mod rt {
    use std::future::Future;
    use std::time::Duration;

    use pyo3::prelude::*;
    use pyo3_asyncio::{TaskLocals, custom};

    use crate::behaviour::RunLocally;

    pub(crate) use crate::example::Pool as Runtime;
    #[cfg(thorough)]
    pub(crate) use pyo3_asyncio::custom::{call_soon, into_stream, run_async_generator};
    pub(crate) use pyo3_asyncio::custom::{
        get_current_locals, get_current_loop, into_future, run_coroutine, scope, scope_local,
    };

    pub(crate) async fn sleep(duration: Duration) {
        async_io::Timer::after(duration).await;
    }

    pub(crate) fn start() {}

    pub(crate) const RUN_LOCALLY: Option<RunLocally> = None;

    /// Names the runtime, which in the other modules of the crate is named already.
    macro_rules! on_runtime {
        ($($name:ident[$($send:ident)?]($($parameter:ident: $type:ty),*) -> $output:ty;)*) => {$(
            pub(crate) fn $name<'py, F, T>($($parameter: $type,)* future: F) -> PyResult<$output>
            where
                F: Future<Output = PyResult<T>> $(+ $send)? + 'static,
                T: for<'a> IntoPyObject<'a> + Send + 'static,
            {
                custom::$name::<Runtime, F, T>($($parameter,)* future)
            }
        )*};
    }

    on_runtime! {
        future_into_py[Send](py: Python<'py>) -> Bound<'py, PyAny>;
        future_into_py_with_locals[Send](py: Python<'py>, locals: TaskLocals) -> Bound<'py, PyAny>;
        future_into_py_with_loop[Send](event_loop: Bound<'py, PyAny>) -> Bound<'py, PyAny>;
        local_future_into_py[](py: Python<'py>) -> Bound<'py, PyAny>;
        local_future_into_py_with_locals[](py: Python<'py>, locals: TaskLocals) -> Bound<'py, PyAny>;
        local_future_into_py_with_loop[](event_loop: Bound<'py, PyAny>) -> Bound<'py, PyAny>;
    }

    pub(crate) fn run<F, T>(py: Python<'_>, future: F) -> PyResult<T>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        custom::run::<Runtime, F, T>(py, future)
    }

    pub(crate) fn run_until_complete<F, T>(event_loop: Bound<'_, PyAny>, future: F) -> PyResult<T>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        custom::run_until_complete::<Runtime, F, T>(event_loop, future)
    }
}
