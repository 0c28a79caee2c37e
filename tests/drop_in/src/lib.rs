//! The public functions of pyo3-async-runtimes 0.30, each with its type and its bounds.
//!
//! The local futures of the runtimes' own modules are left out, which are deprecated. The check is that this compiles; the tests call
//! all of it.

use std::future::Future;

use futures_util::Stream;
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;

/// The functions that every runtime has, in a module named after the runtime.
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

            /// With the main future of a program.
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
            /// The errors of the function.
            pub fn python_to_rust(
                awaitable: Bound<'_, PyAny>,
            ) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Send + Sync + use<>> {
                bridge::into_future(awaitable)
            }

            /// With an async generator, whose errors are items.
            ///
            /// # Errors
            ///
            /// The errors of the function.
            pub fn stream_of_results(
                generator: Bound<'_, PyAny>,
            ) -> PyResult<impl Stream<Item = PyResult<Py<PyAny>>> + Send + use<>> {
                let locals = bridge::get_current_locals(generator.py())?;
                let _ = bridge::into_stream_with_locals_v1(locals, generator.clone())?;
                bridge::into_stream_v1(generator)
            }

            /// With an async generator, whose errors are no items.
            ///
            /// # Errors
            ///
            /// The errors of the function.
            pub fn stream_of_items(
                generator: Bound<'_, PyAny>,
            ) -> PyResult<impl Stream<Item = Py<PyAny>> + Send + use<>> {
                let locals = bridge::get_current_locals(generator.py())?;
                let _ = bridge::into_stream_with_locals_v2(locals, generator.clone())?;
                bridge::into_stream_v2(generator)
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

/// The functions that only tokio has.
pub mod tokio_runtime {
    use pyo3_async_runtimes::tokio as bridge;
    use tokio::runtime::{Builder, Runtime};

    /// The functions that choose and return the runtime.
    pub fn runtime() {
        let _: fn(Builder) = bridge::init;
        let _: fn(&'static Runtime) -> Result<(), ()> = bridge::init_with_runtime;
        let _: fn() -> &'static Runtime = bridge::get_runtime;
    }
}

/// The traits of `generic`, and its functions with no more bounds than in pyo3-async-runtimes.
pub mod generic {
    use std::any::Any;
    use std::pin::Pin;

    use pyo3_async_runtimes::generic::{
        self as bridge, ContextExt, JoinError, LocalContextExt, Runtime, SpawnLocalExt,
    };

    use super::*;

    type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
    type LocalBoxed<T> = Pin<Box<dyn Future<Output = T>>>;

    /// With a future and a function that are run in the background.
    pub fn runtime<R, F, B>()
    where
        R: Runtime,
        F: Future<Output = ()> + Send + 'static,
        B: FnOnce() + Send + 'static,
    {
        fn is_a_handle<E: JoinError + Send, H: Future<Output = Result<(), E>> + Send>() {}
        is_a_handle::<R::JoinError, R::JoinHandle>();
        fn is_sent<T: Send + 'static>() {}
        is_sent::<R>();

        let _: fn(F) -> R::JoinHandle = R::spawn::<F>;
        let _: fn(B) -> R::JoinHandle = R::spawn_blocking::<B>;
        let _: fn(&R::JoinError) -> bool = R::JoinError::is_panic;
        let _: fn(R::JoinError) -> Box<dyn Any + Send + 'static> = R::JoinError::into_panic;
    }

    /// With a future that is run in the background of its thread.
    pub fn local_runtime<R, F>()
    where
        R: SpawnLocalExt,
        F: Future<Output = ()> + 'static,
    {
        let _: fn(F) -> R::JoinHandle = R::spawn_local::<F>;
    }

    /// With a future that may go to another thread.
    pub fn context<R, F, T>()
    where
        R: ContextExt,
        F: Future<Output = T> + Send + 'static,
    {
        let _: fn(TaskLocals, F) -> Boxed<T> = R::scope::<F, T>;
        let _: fn() -> Option<TaskLocals> = R::get_task_locals;
        let _: fn(Python<'_>) -> PyResult<Bound<'_, PyAny>> = bridge::get_current_loop::<R>;
        let _: fn(Python<'_>) -> PyResult<TaskLocals> = bridge::get_current_locals::<R>;
    }

    /// With a future that stays on its thread.
    pub fn local_context<R, F, T>()
    where
        R: LocalContextExt,
        F: Future<Output = T> + 'static,
    {
        let _: fn(TaskLocals, F) -> LocalBoxed<T> = R::scope_local::<F, T>;
    }

    /// With async generators.
    ///
    /// # Errors
    ///
    /// The errors of the functions.
    pub fn streams<R: Runtime + ContextExt>(
        locals: TaskLocals,
        generator: Bound<'_, PyAny>,
    ) -> PyResult<(
        impl Stream<Item = PyResult<Py<PyAny>>> + use<R>,
        impl Stream<Item = Py<PyAny>> + use<R>,
    )> {
        let _ = bridge::into_stream_with_locals_v1::<R>(locals.clone(), generator.clone())?;
        let _ = bridge::into_stream_with_locals_v2::<R>(locals, generator.clone())?;
        let of_results = bridge::into_stream_v1::<R>(generator.clone())?;
        Ok((of_results, bridge::into_stream_v2::<R>(generator)?))
    }

    /// With a future that Python awaits.
    pub fn rust_to_python<R, F, T>()
    where
        R: Runtime + ContextExt,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let _: fn(Python<'_>, F) -> PyResult<Bound<'_, PyAny>> = bridge::future_into_py::<R, F, T>;
        let _: fn(Python<'_>, TaskLocals, F) -> PyResult<Bound<'_, PyAny>> =
            bridge::future_into_py_with_locals::<R, F, T>;
    }

    /// With a future and a value that stay on their thread, for Python to await.
    #[allow(
        deprecated,
        reason = "only pyo3-async-runtimes deprecates the function"
    )]
    pub fn local_rust_to_python<R, F, T>()
    where
        R: Runtime + ContextExt + SpawnLocalExt + LocalContextExt,
        F: Future<Output = PyResult<T>> + 'static,
        T: for<'py> IntoPyObject<'py>,
    {
        let _: fn(Python<'_>, F) -> PyResult<Bound<'_, PyAny>> =
            bridge::local_future_into_py::<R, F, T>;
    }

    /// Like `local_rust_to_python`, on a runtime without task locals.
    #[allow(
        deprecated,
        reason = "only pyo3-async-runtimes deprecates the function"
    )]
    pub fn local_rust_to_python_with_locals<R, F, T>()
    where
        R: Runtime + SpawnLocalExt + LocalContextExt,
        F: Future<Output = PyResult<T>> + 'static,
        T: for<'py> IntoPyObject<'py>,
    {
        let _: fn(Python<'_>, TaskLocals, F) -> PyResult<Bound<'_, PyAny>> =
            bridge::local_future_into_py_with_locals::<R, F, T>;
    }

    /// With the main future of a program.
    pub fn programs<R, F, T>()
    where
        R: Runtime + ContextExt,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        let _: fn(Python<'_>, F) -> PyResult<T> = bridge::run::<R, F, T>;
        let _: fn(&Bound<'_, PyAny>, F) -> PyResult<T> = bridge::run_until_complete::<R, F, T>;
    }

    /// With an awaitable.
    ///
    /// # Errors
    ///
    /// The errors of the function.
    pub fn python_to_rust<R>(
        awaitable: Bound<'_, PyAny>,
    ) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Send + Sync + use<R>>
    where
        R: Runtime + ContextExt,
    {
        bridge::into_future::<R>(awaitable)
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
    /// The errors of the function.
    pub fn python_to_rust(
        locals: &TaskLocals,
        awaitable: Bound<'_, PyAny>,
    ) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Send + Sync + use<>> {
        pyo3_async_runtimes::into_future_with_locals(locals, awaitable)
    }

    /// The methods and traits of `TaskLocals`.
    pub fn task_locals() {
        fn is_passed_around<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
        is_passed_around::<TaskLocals>();

        let _: fn(Bound<'_, PyAny>) -> TaskLocals = TaskLocals::new;
        let _: fn(Python<'_>) -> PyResult<TaskLocals> = TaskLocals::with_running_loop;
        let _: fn(TaskLocals, Bound<'_, PyAny>) -> TaskLocals = TaskLocals::with_context;
        let _: fn(TaskLocals, Python<'_>) -> PyResult<TaskLocals> = TaskLocals::copy_context;
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> Bound<'py, PyAny> = TaskLocals::event_loop;
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> Bound<'py, PyAny> = TaskLocals::context;
        #[expect(
            deprecated,
            reason = "both crates deprecate it, and users still call it"
        )]
        let _: for<'py> fn(&TaskLocals, Python<'py>) -> TaskLocals = TaskLocals::clone_ref;
    }
}
