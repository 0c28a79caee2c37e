//! The functions of a runtime's module that make Python awaitables and async generators of Rust futures and streams.

macro_rules! rust_for_python {
    ([$($generic:ident)?], $runtime:ty, $path:literal, $turbofish:literal, $awaitable:literal, $sleep:literal, $local:literal) => {
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
            awaitable::<$($generic)?>().future(py, fut)
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
            awaitable::<$($generic)?>().locals(locals).future(py, fut)
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
        /// Nothing runs before the coroutine is awaited or made a task. Then the Rust future starts on the runtime. Inside of it,
        /// [`get_current_loop`] and [`into_future`] find the loop and the context of the awaiting task. This call needs no loop.
        /// asyncio accepts the coroutine wherever it accepts others: `asyncio.run`, `create_task`, `TaskGroup`, `gather`,
        /// `wait_for`. It is named after the function that calls this.
        ///
        /// *Cancelling* its task drops the Rust future on the runtime, without polling it again. So do `close()` and dropping
        /// the coroutine. Use [`into_cancellable_coroutine`] for a future that has to clean up first.
        ///
        /// Python's garbage collector does not see what a Rust future or stream holds. A reference cycle through it lasts until
        /// it is done or closed.
        ///
        /// # Errors
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
            awaitable::<$($generic)?>().coroutine(py, fut)
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
            let mut builder = awaitable::<$($generic)?>();
            let fut = make(builder.cancel_handle());
            builder.coroutine(py, fut)
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
        /// # Errors
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
            awaitable::<$($generic)?>().async_generator(py, stream)
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
            awaitable::<$($generic)?>().local_async_generator(py, stream)
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
            awaitable::<$($generic)?>().eager_start(true).future(py, fut)
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
            awaitable::<$($generic)?>().local_future(py, fut)
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
            awaitable::<$($generic)?>().locals(locals).local_future(py, fut)
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
    };
}
