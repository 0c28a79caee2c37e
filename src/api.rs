//! The public modules, one for each runtime. One macro stamps them, so every runtime has the same functions and the same
//! documentation.

mod builder;
#[cfg(any(
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]
#[macro_use]
mod attributes;
#[cfg(all(
    feature = "attributes",
    any(
        feature = "async-std-runtime",
        feature = "smol-runtime",
        feature = "tokio-runtime"
    )
))]
#[macro_use]
mod exporting;
pub mod generic;
#[cfg(feature = "attributes")]
pub mod private;
#[cfg(all(
    feature = "unstable-streams",
    any(feature = "async-std-runtime", feature = "tokio-runtime")
))]
mod unstable_streams;

pub use builder::AwaitableBuilder;

/// Stamps the functions of a runtime's module. `$generic` is the type parameter for the runtime, in the module where the
/// caller chooses it. The literals are for the documentation: the module's path, the type arguments of a call, a function
/// that sleeps on this runtime, and where it polls a future that is not `Send`.
macro_rules! facade {
    ([$($generic:ident)?], $runtime:ty, $path:literal, $turbofish:literal, $awaitable:literal, $sleep:literal, $local:literal) => {
        use std::future::Future;

        use futures_core::Stream;
        use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python};

        pub use crate::locals::{
            background_loop, get_current_locals, get_current_loop, scope, scope_local,
        };
        use crate::to_python::Plan;
        use crate::{AwaitableBuilder, PyCall, PyStream, PyTask, TaskLocals};

        /// Builds a Python awaitable of a Rust future, with every choice that there is.
        ///
        /// The functions of this module that convert Rust futures are shorthands for it. See [`AwaitableBuilder`].
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        /// /// Starts on this thread, and hears of its cancellation.
        /// #[pyfunction]
        /// fn look_up(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        #[doc = concat!("    let mut builder = pyo3_asyncio::", $path, "::awaitable", $awaitable, "().name(\"look_up\").eager_start(true);")]
        ///     let mut cancel = builder.cancel_handle();
        ///     builder.coroutine(py, async move {
        ///         Err::<(), _>(cancel.cancelled().await)
        ///     })
        /// }
        /// # Python::initialize();
        /// # Python::attach(|py| look_up(py)?.call_method0("close").map(drop)).unwrap();
        /// ```
        #[track_caller]
        pub fn awaitable<$($generic: Runtime)?>() -> AwaitableBuilder<$runtime> {
            AwaitableBuilder::new()
        }

        /// Starts a Rust future on the runtime and returns a Python future of its result.
        ///
        /// The Rust future runs at once, whether Python awaits it or not. Inside of it, [`get_current_loop`] and
        /// [`into_future`] find the loop and the context of this call. The Python future belongs to the loop of
        /// [`get_current_locals`]. It has all methods of an `asyncio.Future` and passes `asyncio.isfuture`.
        ///
        /// *Cancelling* the Python future (`cancel()`, `asyncio.timeout`, a cancelled task that awaits it) drops the Rust
        /// future on the runtime, without polling it again. Dropping the Python future does not stop the Rust future. If
        /// the Rust future then fails, the loop's exception handler is called, and told the place of this call.
        ///
        /// Without a loop, this returns a coroutine, as [`into_coroutine`] does. That is so if this thread neither runs a loop
        /// nor polls a Rust future that knows one. Hence `asyncio.run(rust_function())` works, and starts the Rust future.
        ///
        /// May be called on any thread that is attached to the interpreter.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        ///
        /// The Python future raises the error that the Rust future returns. It raises
        /// [`RustPanic`](crate::err::RustPanic), with the panic's text and place, if the Rust future panics, if its drop does, or
        /// if the conversion of its result to Python does. To return an error type of your own, use
        /// [`into_py_err`](crate::err::into_py_err), or `?` inside an `async` block.
        ///
        /// # Example
        ///
        /// ```
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// #[pyfunction]
        /// fn rust_sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
        #[doc = concat!("    pyo3_asyncio::", $path, "::future_into_py", $turbofish, "(py, async move {")]
        #[doc = concat!("        ", $sleep, "(Duration::from_secs_f64(seconds)).await;")]
        ///         Ok(seconds)
        ///     })
        /// }
        /// ```
        #[track_caller]
        pub fn future_into_py<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().future::<$runtime, F, T>(py, fut)
        }

        /// Like [`future_into_py`], on the loop and in the context of `locals`.
        ///
        /// The locals may belong to the loop of another thread. The Python future must then be awaited there.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        #[track_caller]
        pub fn future_into_py_with_locals<$($generic,)? F, T>(
            py: Python<'_>,
            locals: TaskLocals,
            fut: F,
        ) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().locals(locals).future::<$runtime, F, T>(py, fut)
        }

        /// Like [`future_into_py`], on `event_loop` and in a copy of this thread's current context.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        #[track_caller]
        pub fn future_into_py_with_loop<'py, $($generic,)? F, T>(
            event_loop: Bound<'py, PyAny>,
            fut: F,
        ) -> PyResult<Bound<'py, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'a> IntoPyObject<'a> + Send + 'static,
        {
            let py = event_loop.py();
            let locals = TaskLocals::new(event_loop).copy_context(py)?;
            future_into_py_with_locals::<$($generic,)? F, T>(py, locals, fut)
        }

        /// Makes a coroutine of a Rust future, like the one that calling an `async def` returns.
        ///
        /// Nothing runs before the coroutine is awaited or made a task. Then the Rust future starts on the runtime. Inside of
        /// it, [`get_current_loop`] and [`into_future`] find the loop and the context of the awaiting task. asyncio accepts it
        /// wherever it accepts a coroutine: `asyncio.run`, `create_task`, `TaskGroup`, `gather`, `wait_for`. It is named after
        /// the function that calls this.
        ///
        /// *Cancelling* its task drops the Rust future on the runtime, without polling it again. So do `close()` and dropping
        /// the coroutine. Use [`into_cancellable_coroutine`] for a future that has to clean up first.
        ///
        /// Python's garbage collector does not see what the Rust future holds. A reference cycle through the future lasts until
        /// the future is done or the coroutine is closed.
        ///
        /// May be called on any thread that is attached to the interpreter. No loop has to run yet.
        ///
        /// # Errors
        ///
        /// Python's own error if it cannot allocate the object.
        ///
        /// Awaiting the coroutine raises the error that the Rust future returns, and [`RustPanic`](crate::err::RustPanic) if it
        /// panics. It raises `RuntimeError` if no event loop runs, or if the coroutine was awaited before. Python warns about a
        /// coroutine that is never awaited.
        ///
        /// # Example
        ///
        /// ```
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// #[pyfunction]
        /// fn rust_sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
        #[doc = concat!("    pyo3_asyncio::", $path, "::into_coroutine", $turbofish, "(py, async move {")]
        #[doc = concat!("        ", $sleep, "(Duration::from_secs_f64(seconds)).await;")]
        ///         Ok(seconds)
        ///     })
        /// }
        ///
        /// # Python::initialize();
        /// Python::attach(|py| {
        ///     let nap = rust_sleep(py, 0.01)?;
        ///     let seconds = py.import("asyncio")?.call_method1("run", (nap,))?;
        ///     assert_eq!(seconds.extract::<f64>()?, 0.01);
        ///     Ok::<_, PyErr>(())
        /// })
        /// # .unwrap();
        /// ```
        #[track_caller]
        pub fn into_coroutine<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().coroutine::<$runtime, F, T>(py, fut)
        }

        /// Like [`into_coroutine`], for a future that cleans up when Python cancels it.
        ///
        /// A cancellation does not drop the future. The [`CancelHandle`](crate::CancelHandle) that is passed to `make` tells the
        /// future about it, and the future ends by itself.
        ///
        /// # Errors
        ///
        /// Those of [`into_coroutine`].
        #[track_caller]
        pub fn into_cancellable_coroutine<$($generic,)? F, T>(
            py: Python<'_>,
            make: impl FnOnce(crate::CancelHandle) -> F,
        ) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            let mut plan = Plan::new();
            let fut = make(plan.cancel_handle());
            plan.coroutine::<$runtime, F, T>(py, fut)
        }

        /// Makes an async generator of a Rust stream, for `async for` in Python.
        ///
        /// It is an async generator of Python's own, with the whole protocol (PEP 525): `anext`, `athrow`, `aclose`, `ag_running`, the
        /// hooks of `sys.set_asyncgen_hooks`. A value that is sent with `asend` is a `TypeError`, which ends the stream.
        ///
        /// The stream is polled on the runtime, and only while Python awaits an item. Inside of it, [`get_current_loop`] and
        /// [`into_future`] find the loop and the context of the task that awaits the item. Items that are ready at once cross together,
        /// up to a [`capacity`](AwaitableBuilder::capacity), and Python gets the others without waiting. If a batch filled up within
        /// 50 microseconds, the awaiting thread polls for the next one first, as [`eager_future_into_py`] does.
        ///
        /// *The end.* The stream is dropped when it has ended, when the awaiting task is cancelled, when the generator is closed or
        /// dropped, and when the loop closes. After a `break`, asyncio closes the generator in a later turn of the loop. Items that
        /// have crossed are dropped too: choose the capacity 1 if each item that the stream gives must reach Python.
        ///
        /// A generator that ends or is closed while nobody awaits an item drops the stream on that thread, detached and inside the
        /// runtime's context. A cancelled task drops it on the runtime.
        ///
        /// Python's garbage collector does not see what the stream holds.
        ///
        /// May be called on any thread that is attached to the interpreter. No loop has to run yet.
        ///
        /// # Errors
        ///
        /// Python's own error if it cannot allocate the object.
        ///
        /// An error of the stream ends it, and is raised after the items before it. So is [`RustPanic`](crate::err::RustPanic), if the
        /// stream panics, or the conversion of an item to Python, and so is the error of such a conversion. Awaiting an item raises
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed on which the last one was awaited.
        ///
        /// # Example
        ///
        /// ```
        /// use std::time::Duration;
        /// use futures_lite::{StreamExt, stream};
        /// use pyo3::prelude::*;
        ///
        /// #[pyfunction]
        /// fn countdown(py: Python<'_>, from: u32) -> PyResult<Bound<'_, PyAny>> {
        ///     let numbers = stream::iter((0..from).rev()).then(|number| async move {
        #[doc = concat!("        ", $sleep, "(Duration::from_millis(1)).await;")]
        ///         Ok(number)
        ///     });
        #[doc = concat!("    pyo3_asyncio::", $path, "::into_async_generator", $turbofish, "(py, numbers)")]
        /// }
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        /// #     let program = c"
        /// # import asyncio
        /// # async def main():
        /// #     assert [number async for number in countdown(3)] == [2, 1, 0]
        /// # asyncio.run(main())
        /// # ";
        /// #     let globals = pyo3::types::PyDict::new(py);
        /// #     globals.set_item("countdown", wrap_pyfunction!(countdown, py)?)?;
        /// #     py.run(program, Some(&globals), None)
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn into_async_generator<$($generic,)? S, T>(py: Python<'_>, stream: S) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            S: Stream<Item = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().async_generator::<$runtime, S, T>(py, stream)
        }

        /// Like [`into_async_generator`], for a stream that is not `Send` and so stays on this thread.
        ///
        /// The event loop that awaits an item polls the stream, inside the runtime's context and attached to the interpreter, and
        /// drops it on this thread at once when it ends. If the generator itself is dropped on another thread, and no hook of
        /// `sys.set_asyncgen_hooks` closes it here, the stream is not dropped.
        ///
        /// # Errors
        ///
        /// Those of [`into_async_generator`]. Awaiting an item on another thread raises `RuntimeError`.
        #[track_caller]
        pub fn local_into_async_generator<$($generic,)? S, T>(py: Python<'_>, stream: S) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            S: Stream<Item = PyResult<T>> + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().local_async_generator::<$runtime, S, T>(py, stream)
        }

        /// Like [`future_into_py`], but polls the future on this thread first. asyncio calls this an *eager start*.
        ///
        /// The first poll happens in the runtime's context, detached from the interpreter. If the future is ready, it needs no hop
        /// to the runtime and no turn of the loop: the Python future is done when this returns. Otherwise the future moves to the
        /// runtime, which polls it a second time at once.
        ///
        /// *It pays* if most calls find their result ready: a cache, a buffered read, a channel that holds an item.
        /// *It hurts* if the first poll computes for long or blocks, since the event loop waits meanwhile. It gains nothing if
        /// the future always waits.
        ///
        /// # Errors
        ///
        /// Those of [`future_into_py`]. If the first poll returns `SystemExit` or `KeyboardInterrupt`, this returns it.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        /// use tokio::sync::Mutex;
        ///
        /// static CACHE: Mutex<Option<String>> = Mutex::const_new(None);
        ///
        /// #[pyfunction]
        /// fn lookup(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        #[doc = concat!("    pyo3_asyncio::", $path, "::eager_future_into_py", $turbofish, "(py, async {")]
        ///         Ok(CACHE.lock().await.clone())
        ///     })
        /// }
        /// ```
        #[track_caller]
        pub fn eager_future_into_py<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().eager_start(true).future::<$runtime, F, T>(py, fut)
        }

        /// Like [`future_into_py`], for a future that is not `Send` and so stays on this thread.
        ///
        /// On the thread of the event loop, the loop polls the future, inside the runtime's context and attached to the
        /// interpreter. The future may hold a `Py<…>`, an `Rc` or a lock across an `await`, and use the runtime's timers and
        /// sockets. What it computes between two awaits delays the loop. The loop polls it even if the loop itself runs inside
        /// of a local executor.
        ///
        /// If another thread continues the loop, the Python future raises `RuntimeError`. The Rust future stays on its thread.
        ///
        #[doc = $local]
        ///
        /// # Errors
        ///
        /// Those of [`future_into_py`], and `RuntimeError` on a thread that cannot poll the future.
        ///
        /// # Example
        ///
        /// ```
        /// use std::rc::Rc;
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// #[pyfunction]
        /// fn rust_sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
        ///     let not_send = Rc::new(seconds);
        #[doc = concat!("    pyo3_asyncio::", $path, "::local_future_into_py", $turbofish, "(py, async move {")]
        #[doc = concat!("        ", $sleep, "(Duration::from_secs_f64(*not_send)).await;")]
        ///         Ok(*not_send)
        ///     })
        /// }
        /// ```
        #[track_caller]
        pub fn local_future_into_py<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().local_future::<$runtime, F, T>(py, fut)
        }

        /// Like [`local_future_into_py`], on the loop and in the context of `locals`.
        ///
        /// # Errors
        ///
        /// Those of [`local_future_into_py`].
        #[track_caller]
        pub fn local_future_into_py_with_locals<$($generic,)? F, T>(
            py: Python<'_>,
            locals: TaskLocals,
            fut: F,
        ) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            Plan::new().locals(locals).local_future::<$runtime, F, T>(py, fut)
        }

        /// Like [`local_future_into_py`], on `event_loop` and in a copy of this thread's current context.
        ///
        /// # Errors
        ///
        /// Those of [`local_future_into_py`].
        #[track_caller]
        pub fn local_future_into_py_with_loop<'py, $($generic,)? F, T>(
            event_loop: Bound<'py, PyAny>,
            fut: F,
        ) -> PyResult<Bound<'py, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + 'static,
            T: for<'a> IntoPyObject<'a> + Send + 'static,
        {
            let py = event_loop.py();
            let locals = TaskLocals::new(event_loop).copy_context(py)?;
            local_future_into_py_with_locals::<$($generic,)? F, T>(py, locals, fut)
        }

        /// Starts a Python awaitable as a task of the current loop and returns a Rust future of its result.
        ///
        /// The loop and the context are those of [`get_current_locals`]. Inside a future that [`future_into_py`] or [`run`]
        /// started, they are that future's own.
        ///
        /// May be called on any thread that is attached to the interpreter. The returned future may be awaited on any thread.
        ///
        /// Inside a Rust future, use [`run_coroutine`], which does not wait for the interpreter. See
        /// [Calling Python from a Rust future](crate#calling-python-from-a-rust-future).
        ///
        /// # Errors
        ///
        /// `TypeError` if the object cannot be awaited, `RuntimeError` if no loop is known here, and
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        /// /// Doubles the number that awaiting the argument gives.
        /// #[pyfunction]
        /// fn doubled(awaitable: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
        ///     let py = awaitable.py();
        #[doc = concat!("    let number = pyo3_asyncio::", $path, "::into_future(awaitable)?.extract::<i32>();")]
        #[doc = concat!("    pyo3_asyncio::", $path, "::future_into_py", $turbofish, "(py, async { Ok(2 * number.await?) })")]
        /// }
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        /// #     let program = c"
        /// # import asyncio
        /// # async def main():
        /// #     assert await doubled(asyncio.sleep(0.01, 21)) == 42
        /// # asyncio.run(main())
        /// # ";
        /// #     let globals = pyo3::types::PyDict::new(py);
        /// #     globals.set_item("doubled", wrap_pyfunction!(doubled, py)?)?;
        /// #     py.run(program, Some(&globals), None)
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn into_future(awaitable: Bound<'_, PyAny>) -> PyResult<PyTask> {
            let locals = get_current_locals(awaitable.py())?;
            crate::into_future_with_locals(&locals, awaitable)
        }

        /// Calls a function on the thread of the event loop, and awaits there what it returns: a coroutine, or any awaitable.
        ///
        /// This is how a Rust future calls Python. The function is called attached to the interpreter, on the loop and in a copy of
        /// the context of the current future, and what it returns becomes a task. This thread does not attach, so it never waits
        /// for the interpreter. A burst of calls wakes the loop once. Calls from one thread run in their order.
        ///
        /// [`PyTask::extract`] and [`PyTask::and_then`] convert the result on the loop's thread too.
        /// [`TaskLocals::share_context`] has several calls run in one context instead of copies.
        ///
        /// *Dropping* the [`PyTask`] before the function is called drops the function uncalled, on the loop's thread. Later, it
        /// cancels the task. A function that computes or blocks delays the loop; in debug mode,
        /// asyncio's log has its name.
        ///
        /// May be called on any thread, attached or not, also on the loop's own: the call comes in a later turn of the loop.
        ///
        /// # Errors
        ///
        /// The [`PyTask`] gives the error that the function returns or the awaitable raises, `TypeError` if the object cannot be
        /// awaited, [`RustPanic`](crate::err::RustPanic) if the function panics, [`LoopClosed`](crate::err::LoopClosed) if the loop
        /// is closed, and `RuntimeError` if no loop is known here. A `KeyboardInterrupt` or `SystemExit` also ends the loop.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        #[doc = concat!("pyo3_asyncio::", $path, "::run", $turbofish, "(py, async {")]
        #[doc = concat!("    let rested = pyo3_asyncio::", $path, "::run_coroutine(|py| {")]
        ///         py.import("asyncio")?.call_method1("sleep", (0.01, "rested"))
        ///     });
        ///     assert_eq!(rested.extract::<String>().await?, "rested");
        ///     Ok(())
        /// })
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn run_coroutine<F>(function: F) -> PyTask
        where
            F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
        {
            crate::to_rust::run_coroutine(crate::locals::locals_of_call(), function)
        }

        /// Calls a function on the thread of the event loop, and gives a future of what it returns.
        ///
        /// It replaces `Python::attach` in a Rust future. The function is called attached to the interpreter, on the loop and in a
        /// copy of the context of the current future, while this thread never waits for the interpreter. A burst of calls wakes
        /// the loop once. Calls from one thread run in their order.
        ///
        /// *Dropping* the [`PyCall`](crate::PyCall) before the call drops the function uncalled, on the loop's thread. A function
        /// that computes or blocks delays the loop.
        ///
        /// May be called on any thread, attached or not, also on the loop's own: the call comes in a later turn of the loop.
        ///
        /// # Errors
        ///
        /// The future gives the error that the function returns, [`RustPanic`](crate::err::RustPanic) if it panics,
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed, and `RuntimeError` if no loop is known here. A
        /// `KeyboardInterrupt` or `SystemExit` also ends the loop.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        #[doc = concat!("pyo3_asyncio::", $path, "::run", $turbofish, "(py, async {")]
        #[doc = concat!("    let version = pyo3_asyncio::", $path, "::call_soon(|py| {")]
        ///         py.import("sys")?.getattr("version")?.extract::<String>()
        ///     });
        ///     assert!(version.await?.starts_with("3."));
        ///     Ok(())
        /// })
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn call_soon<F, T>(function: F) -> PyCall<T>
        where
            F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
            T: Send + 'static,
        {
            PyCall::post(crate::locals::locals_of_call(), function)
        }

        /// Makes a Rust stream of a Python async generator, or of any object with `__aiter__`.
        ///
        /// One task of the event loop iterates over it, in the context of this call, and may be ahead of the consumer by as many
        /// items as [`PyStream::capacity`](crate::PyStream::capacity) says. Nothing runs before the first poll.
        /// [`PyStream::extract`](crate::PyStream::extract) converts the items on the loop's thread.
        ///
        /// The loop and the context are those of [`get_current_locals`]. May be called on any thread that is attached to the
        /// interpreter. The stream may be polled on any thread. *Dropping it* ends the iteration: the loop awaits `aclose()`.
        ///
        /// Inside a Rust future, use [`run_async_generator`], which does not wait for the interpreter.
        ///
        /// # Errors
        ///
        /// `TypeError` if the object has no `__aiter__`, `RuntimeError` if no loop is known here, and
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        ///
        /// The error that ends the iteration is the last item of the stream. See [`PyStream`](crate::PyStream).
        ///
        /// # Example
        ///
        /// ```
        /// use futures_lite::StreamExt;
        /// use pyo3::prelude::*;
        ///
        /// /// Adds up the numbers that an async generator yields.
        /// #[pyfunction]
        /// fn total(numbers: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
        ///     let py = numbers.py();
        #[doc = concat!("    let mut numbers = pyo3_asyncio::", $path, "::into_stream(numbers)?.extract::<i64>();")]
        #[doc = concat!("    pyo3_asyncio::", $path, "::future_into_py", $turbofish, "(py, async move {")]
        ///         let mut total = 0;
        ///         while let Some(number) = numbers.next().await {
        ///             total += number?;
        ///         }
        ///         Ok(total)
        ///     })
        /// }
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        /// #     let program = c"
        /// # import asyncio
        /// # async def numbers():
        /// #     for number in range(10):
        /// #         await asyncio.sleep(0)
        /// #         yield number
        /// # async def main():
        /// #     assert await total(numbers()) == 45
        /// # asyncio.run(main())
        /// # ";
        /// #     let globals = pyo3::types::PyDict::new(py);
        /// #     globals.set_item("total", wrap_pyfunction!(total, py)?)?;
        /// #     py.run(program, Some(&globals), None)
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn into_stream(iterable: Bound<'_, PyAny>) -> PyResult<PyStream> {
            let locals = get_current_locals(iterable.py())?;
            crate::into_stream_with_locals(&locals, iterable)
        }

        /// Calls a function on the thread of the event loop, and gives a Rust stream of what it returns: an async generator, or any
        /// object with `__aiter__`.
        ///
        /// This is how a Rust future iterates over Python. It is to [`into_stream`] what [`run_coroutine`] is to [`into_future`]:
        /// the first poll has the function called, attached to the interpreter, on the loop and in a copy of the context of the
        /// current future, while no Rust thread waits for the interpreter.
        ///
        /// May be called on any thread, attached or not. *Dropping the stream* before the function is called drops the function
        /// uncalled. Later, it ends the iteration: the loop awaits `aclose()`.
        ///
        /// # Errors
        ///
        /// The last item of the stream is the error that the function returns or the iteration raises, `TypeError` if the object has
        /// no `__aiter__`, [`RustPanic`](crate::err::RustPanic) if the function panics,
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed, and `RuntimeError` if no loop is known here.
        ///
        /// # Example
        ///
        /// ```
        /// use futures_lite::StreamExt;
        /// use pyo3::prelude::*;
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        /// let python = PyModule::from_code(
        ///     py,
        ///     c"async def letters(word):\n    for letter in word:\n        yield letter",
        ///     c"letters.py",
        ///     c"letters",
        /// )?;
        /// let letters = python.getattr("letters")?.unbind();
        #[doc = concat!("pyo3_asyncio::", $path, "::run", $turbofish, "(py, async {")]
        #[doc = concat!("    let letters = pyo3_asyncio::", $path, "::run_async_generator(move |py| letters.bind(py).call1((\"abc\",)));")]
        ///     let letters: Vec<char> = letters.extract::<char>().try_collect().await?;
        ///     assert_eq!(letters, ['a', 'b', 'c']);
        ///     Ok(())
        /// })
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn run_async_generator<F>(function: F) -> PyStream
        where
            F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
        {
            crate::to_rust::run_async_generator(crate::locals::locals_of_call(), function)
        }

        /// Runs a Rust future on a new event loop in this thread and returns its result, as `asyncio.run` does.
        ///
        /// asyncio's policy chooses the loop; call `uvloop.install()` first for a loop of uvloop's. However the future ends,
        /// leftover tasks are cancelled, async generators and the default executor are shut down, and the loop is closed.
        ///
        /// In the main thread, Ctrl-C drops the future, waits until it is dropped, and ends this with `KeyboardInterrupt`. A
        /// second Ctrl-C does not wait. A program that handles SIGINT itself keeps its handler.
        ///
        /// The interpreter is used as it is. The attribute `main` also adds the packages of the virtual environment that
        /// `VIRTUAL_ENV` names, if `python3` on the `PATH` belongs to another one.
        ///
        /// # Errors
        ///
        /// The future's own error, and [`RustPanic`](crate::err::RustPanic) if it panics. `RuntimeError` in a thread that already
        /// runs a loop: there, `await` a future made by [`future_into_py`], or use [`block_on`].
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        /// # Python::initialize();
        /// Python::attach(|py| {
        #[doc = concat!("    let answer = pyo3_asyncio::", $path, "::run", $turbofish, "(py, async { Ok(42) })?;")]
        ///     assert_eq!(answer, 42);
        ///     Ok::<_, PyErr>(())
        /// })
        /// # .unwrap();
        /// ```
        pub fn run<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<T>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: Send + 'static,
        {
            crate::entry::run::<$runtime, F, T>(py, None, fut)
        }

        /// Like [`run`], on the caller's loop, which stays open, as after `loop.run_until_complete` in Python.
        ///
        /// # Errors
        ///
        /// Those of [`run`], and [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
        pub fn run_until_complete<$($generic,)? F, T>(event_loop: Bound<'_, PyAny>, fut: F) -> PyResult<T>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send + 'static,
            T: Send + 'static,
        {
            crate::entry::run_until_complete::<$runtime, F, T>(&event_loop, fut)
        }

        /// Waits for a Rust future, in an exported function that is not asynchronous.
        ///
        /// This thread polls the future, detached from the interpreter and inside the runtime's context. So the future may borrow
        /// from the caller. It must be `Send`. To use Python it may call `Python::attach`, since this thread waits anyway. No event
        /// loop is needed. If this thread runs one, as in Jupyter, that loop stops until this returns.
        ///
        /// What the future awaits in Python, by [`run_coroutine`] or [`into_future`], runs on a [`background_loop`], in a copy of
        /// the context of this call. So it works inside of a running loop and without one. The Python code may call `block_on`
        /// again, at any depth.
        ///
        /// In the main thread, Ctrl-C drops the future between two polls and raises `KeyboardInterrupt` within a tenth of a
        /// second. So does every signal whose Python handler raises. What the future awaits in Python is cancelled, and cleans up
        /// on the background loop, after this has returned.
        ///
        /// May be called on any thread that is attached to the interpreter.
        ///
        /// # Errors
        ///
        /// The future's own error, [`RustPanic`](crate::err::RustPanic) if it panics, and whatever a signal handler raises.
        ///
        /// `RuntimeError` on a thread on which the runtime polls futures, since it would wait for itself.
        ///
        /// Inside the future, waiting for the loop of this thread fails with `RuntimeError`, since that loop is stopped: for a
        /// [`PyTask`] that was made before, or with the locals of that loop. A task that the future spawns does not get this error:
        /// what it awaits on that loop waits until this returns. If the future waits for such a task, both wait until Ctrl-C.
        ///
        /// With `panic = "abort"`, this refuses every thread inside of a tokio runtime, also those of `spawn_blocking`: tokio
        /// answers only by a panic whether it polls futures on a thread.
        ///
        /// # Example
        ///
        /// ```
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// #[pyfunction]
        /// fn greet_slowly(py: Python<'_>, name: &str) -> PyResult<String> {
        #[doc = concat!("    pyo3_asyncio::", $path, "::block_on", $turbofish, "(py, async {")]
        #[doc = concat!("        ", $sleep, "(Duration::from_millis(10)).await;")]
        ///         Ok(format!("Hello, {name}"))
        ///     })
        /// }
        /// # Python::initialize();
        /// # Python::attach(|py| assert_eq!(greet_slowly(py, "world").unwrap(), "Hello, world"));
        /// ```
        pub fn block_on<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<T>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + Send,
            T: Send,
        {
            crate::entry::block_on::<$runtime, F, T>(py, fut)
        }
    };
}

/// The bridge on async-std.
///
/// There is nothing to initialize: async-std starts its executor itself, with one thread for each processor.
/// `ASYNC_STD_THREAD_COUNT` changes their number.
#[cfg(feature = "async-std-runtime")]
pub mod async_std {
    facade!(
        [],
        AsyncStd,
        "async_std",
        "",
        "",
        "async_std::task::sleep",
        "On another thread, inside of `async_std::task::block_on`, async-std's `spawn_local` runs the future."
    );

    pub use crate::runtime::async_std::AsyncStd;

    #[cfg(feature = "unstable-streams")]
    pub use super::unstable_streams::*;

    attributes!("async_std", async_std_main, async_std_test, "", "");
    #[cfg(feature = "attributes")]
    exporting!(
        "async_std",
        async_std_pyfunction,
        async_std_pymethods,
        "async_std::task::sleep"
    );

    /// The names that `pyo3-async-runtimes` re-exports for its attributes. The attributes of this crate do not use them.
    #[cfg(feature = "attributes")]
    pub mod re_exports {
        pub use async_std::task::spawn_blocking;
    }
}

/// The bridge on smol.
///
/// There is nothing to initialize: smol starts its executor itself, with one thread. `SMOL_THREADS` changes their number.
#[cfg(feature = "smol-runtime")]
pub mod smol {
    facade!(
        [],
        Smol,
        "smol",
        "",
        "",
        "smol::Timer::after",
        "On another thread the future cannot run: smol has no local executor that can be looked up."
    );

    pub use crate::runtime::smol::Smol;

    attributes!("smol", smol_main, smol_test, "", "");
    #[cfg(feature = "attributes")]
    exporting!(
        "smol",
        smol_pyfunction,
        smol_pymethods,
        "smol::Timer::after"
    );
}

/// The bridge on tokio.
#[cfg(feature = "tokio-runtime")]
pub mod tokio {
    facade!(
        [],
        Tokio,
        "tokio",
        "",
        "",
        "tokio::time::sleep",
        "On another thread, inside of a `tokio::task::LocalSet`, tokio's `spawn_local` runs the future. With \
         `panic = \"abort\"` it does not: tokio answers only by a panic whether there is a `LocalSet`."
    );

    use std::time::Duration;

    pub use crate::runtime::tokio::{
        AlreadyStarted, Tokio, get_runtime, handle, init, init_with_runtime, try_init,
        try_init_with_runtime,
    };

    #[cfg(feature = "unstable-streams")]
    pub use super::unstable_streams::*;

    /// A new event loop whose thread also runs the Rust futures: asyncio's `SelectorEventLoop`, on a selector that waits in a
    /// `current_thread` runtime of the loop's own.
    ///
    /// While the loop runs, the functions of this module put their futures on its runtime when they are called on its thread.
    /// They can start tasks there with `tokio::spawn` and `spawn_blocking`. On other threads nothing changes: a future
    /// that they make for this loop runs on the runtime of the process. [`handle`] and [`get_runtime`] are about that one.
    ///
    /// Such a loop suits clients and servers that wait on sockets, because no exchange wakes a second thread. Python code that
    /// computes delays the Rust futures, as it delays asyncio's own work, and a Rust future that computes delays the loop.
    /// `docs/one-thread.md` helps to choose.
    ///
    /// - **Closing the loop** drops the futures on its runtime, inside the runtime's context. It does not wait for
    ///   `spawn_blocking`.
    /// - **[`block_on`]** works on the loop's thread. Its future uses the runtime of the process. Sockets and timers that were made
    ///   on the loop make no progress until it returns.
    /// - **Signals** are handled within 50 ms, when nothing else ends the loop's wait.
    /// - **In the child of a fork** the inherited loop raises `RuntimeError` when it runs. A new one works.
    ///
    /// The loop runs on one thread at a time, which must not be a thread on which tokio polls futures. There may be several such
    /// loops, in threads of their own. Called on any thread.
    ///
    /// # Errors
    ///
    /// `NotImplementedError` on Windows, and where the selector has no descriptor of its own. `OSError` if the system has no
    /// descriptor left.
    ///
    /// # Example
    ///
    /// The program that runs the loop chooses it. This exports it to Python, for `asyncio.run(main(), loop_factory=my_module.new_event_loop)`
    /// in Python 3.12, or `asyncio.Runner(loop_factory=my_module.new_event_loop)` in 3.11:
    ///
    /// ```
    /// use pyo3::prelude::*;
    ///
    /// #[pymodule]
    /// mod my_module {
    ///     use pyo3::prelude::*;
    ///
    ///     #[pyfunction]
    ///     fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    ///         pyo3_asyncio::tokio::new_event_loop(py)
    ///     }
    /// }
    /// ```
    ///
    /// A Rust program writes `#[pyo3_asyncio::tokio::main(event_loop = "tokio")]`, or runs the loop itself:
    ///
    /// ```
    /// use std::time::Duration;
    /// use pyo3::prelude::*;
    ///
    /// # Python::initialize();
    /// Python::attach(|py| {
    ///     let event_loop = pyo3_asyncio::tokio::new_event_loop(py)?;
    ///     pyo3_asyncio::tokio::run_until_complete(event_loop.clone(), async {
    ///         tokio::time::sleep(Duration::from_millis(10)).await;
    ///         Ok(())
    ///     })?;
    ///     event_loop.call_method0("close").map(drop)
    /// })
    /// # .unwrap();
    /// ```
    ///
    /// Follows `Lib/selectors.py` and `Lib/asyncio/selector_events.py` of CPython.
    pub fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        crate::entry::new_event_loop(py)
    }

    /// Shuts the runtime down: drops its tasks and ends its threads. Returns whether that was done within `timeout`.
    ///
    /// A Python future whose Rust future this drops raises [`RuntimeStopped`](crate::err::RuntimeStopped). A poll that takes
    /// longer than `timeout` ends in the background. The next use starts the runtime again, built as before or by a new
    /// builder ([`init`]).
    ///
    /// May be called on any thread, attached to the interpreter or not. It waits detached, so that polls that need the
    /// interpreter can end.
    ///
    /// At the end of a Python process this happens by itself, before the interpreter is finalized, with a timeout of
    /// 0.1 seconds.
    ///
    /// A runtime to which others have a reference cannot be shut down: yours ([`init_with_runtime`]), or one that
    /// [`get_runtime`] has lent. The bridge then only stops using it, and this returns `false`. Your own tasks on it still run
    /// when the interpreter is finalized. Use `Python::try_attach` in them, and end them in a callback of `atexit`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pyo3::prelude::*;
    ///
    /// #[pyfunction]
    /// fn close() -> bool {
    ///     pyo3_asyncio::tokio::shutdown(Duration::from_secs(1))
    /// }
    /// ```
    pub fn shutdown(timeout: Duration) -> bool {
        crate::process::shutdown_tokio(timeout)
    }

    /// The names that `pyo3-async-runtimes` re-exports for its attributes. The attributes of this crate do not use them.
    #[cfg(feature = "attributes")]
    pub mod re_exports {
        pub use std::future::pending;

        pub use tokio::runtime;
    }

    attributes!(
        "tokio",
        tokio_main,
        tokio_test,
        "| `flavor` | `\"multi_thread\"`, or `\"current_thread\"`: one thread beside the main one | `\"multi_thread\"` |
| `worker_threads` | the number of threads of the `multi_thread` flavor, at least 1 | tokio's default |",
        "| `flavor` | `\"multi_thread\"` or `\"current_thread\"`, for a runtime of the test's own | the runtime of the process |
| `worker_threads` | the number of threads of the `multi_thread` flavor, for a runtime of the test's own | the runtime of the process |"
    );
    #[cfg(feature = "attributes")]
    exporting!(
        "tokio",
        tokio_pyfunction,
        tokio_pymethods,
        "tokio::time::sleep"
    );
}

/// The bridge on a runtime of your own: implement [`Runtime`](custom::Runtime) and name it as the first type parameter.
///
/// The functions are the same as in the modules of the runtimes. The examples use tokio in the place of your runtime.
/// `examples/custom_runtime.rs` is a complete program. A runtime in the shape of `pyo3-async-runtimes` is for [`generic`].
pub mod custom {
    facade!(
        [R],
        R,
        "custom",
        "::<pyo3_asyncio::tokio::Tokio, _, _>",
        "::<pyo3_asyncio::tokio::Tokio>",
        "tokio::time::sleep",
        "On another thread, [`Runtime::spawn_local`] decides."
    );

    pub use crate::runtime::Runtime;
}
