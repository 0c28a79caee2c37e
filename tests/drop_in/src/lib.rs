//! The public functions of pyo3-async-runtimes 0.30, each with the type and the bounds that it has there.
//!
//! What is deprecated there or behind `unstable-streams` is left out, and so is `generic`, for which
//! see `tests/generic.rs`. That this compiles is the check; the tests call it all.

use std::future::Future;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;

/// The functions that every runtime has, in a module of the runtime's name.
macro_rules! runtime {
    ($runtime:ident) => {
        /// The functions of the module of the same name.
        pub mod $runtime {
            use pyo3_async_runtimes::$runtime as bridge;

            use super::*;

            /// With a future that Python awaits.
            pub fn rust_to_python<F, T>()
            where
                F: Future<Output = PyResult<T>> + Send + 'static,
                T: for<'py> IntoPyObject<'py> + Send + 'static,
            {
                let _: fn(Python<'_>, F) -> PyResult<Bound<'_, PyAny>> =
                    bridge::future_into_py::<F, T>;
                let _: fn(Python<'_>, TaskLocals, F) -> PyResult<Bound<'_, PyAny>> =
                    bridge::future_into_py_with_locals::<F, T>;
            }

            /// With a future that a program consists of.
            pub fn programs<F, T>()
            where
                F: Future<Output = PyResult<T>> + Send + 'static,
                T: Send + Sync + 'static,
            {
                let _: fn(Python<'_>, F) -> PyResult<T> = bridge::run::<F, T>;
                let _: fn(Bound<'_, PyAny>, F) -> PyResult<T> = bridge::run_until_complete::<F, T>;
            }

            /// With an awaitable.
            ///
            /// # Errors
            ///
            /// Those of the function.
            pub fn python_to_rust(
                awaitable: Bound<'_, PyAny>,
            ) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Send + Sync + use<>> {
                bridge::into_future(awaitable)
            }

            /// With a future that may go to another thread.
            pub fn scope<F, R>(
                locals: TaskLocals,
                future: F,
            ) -> impl Future<Output = R> + Send + 'static
            where
                F: Future<Output = R> + Send + 'static,
                R: 'static,
            {
                bridge::scope::<F, R>(locals, future)
            }

            /// With a future that stays on its thread.
            pub fn scope_local<F, R>(
                locals: TaskLocals,
                future: F,
            ) -> impl Future<Output = R> + 'static
            where
                F: Future<Output = R> + 'static,
                R: 'static,
            {
                bridge::scope_local::<F, R>(locals, future)
            }

            /// Without any.
            pub fn current() {
                let _: fn(Python<'_>) -> PyResult<Bound<'_, PyAny>> = bridge::get_current_loop;
                let _: fn(Python<'_>) -> PyResult<TaskLocals> = bridge::get_current_locals;
            }
        }
    };
}

runtime!(async_std);
runtime!(tokio);

/// The functions that are tokio's alone.
pub mod tokio_runtime {
    use pyo3_async_runtimes::tokio as bridge;
    use tokio::runtime::{Builder, Runtime};

    /// Those that choose the runtime and that give it.
    pub fn runtime() {
        let _: fn(Builder) = bridge::init;
        let _: fn(&'static Runtime) -> Result<(), ()> = bridge::init_with_runtime;
        let _: fn() -> &'static Runtime = bridge::get_runtime;
    }
}

/// The functions of the crate itself.
pub mod root {
    use super::*;

    /// Without locals.
    pub fn running_loop() {
        let _: fn(Python<'_>) -> PyResult<Bound<'_, PyAny>> = pyo3_async_runtimes::get_running_loop;
    }

    /// With an awaitable.
    ///
    /// # Errors
    ///
    /// Those of the function.
    pub fn python_to_rust(
        locals: &TaskLocals,
        awaitable: Bound<'_, PyAny>,
    ) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Send + Sync + use<>> {
        pyo3_async_runtimes::into_future_with_locals(locals, awaitable)
    }

    /// The methods of `TaskLocals`, and what it can be used for.
    pub fn task_locals() {
        fn is_passed_around<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
        is_passed_around::<TaskLocals>();

        let _: fn(Bound<'_, PyAny>) -> TaskLocals = TaskLocals::new;
        let _: fn(Python<'_>) -> PyResult<TaskLocals> = TaskLocals::with_running_loop;
        let _: fn(TaskLocals, Bound<'_, PyAny>) -> TaskLocals = TaskLocals::with_context;
        let _: fn(TaskLocals, Python<'_>) -> PyResult<TaskLocals> = TaskLocals::copy_context;
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> Bound<'py, PyAny> = TaskLocals::event_loop;
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> Bound<'py, PyAny> = TaskLocals::context;
        #[expect(deprecated, reason = "it is there as well, and used all the same")]
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> TaskLocals = TaskLocals::clone_ref;
    }
}
