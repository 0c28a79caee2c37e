//! The functions of a runtime's module that run an event loop, or block a thread.

macro_rules! running {
    ([$($generic:ident)?], $runtime:ty, $path:literal, $turbofish:literal, $awaitable:literal, $sleep:literal, $local:literal) => {
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
        /// # Errors
        ///
        /// The future's own error, [`RustPanic`](crate::err::RustPanic) if it panics, and whatever a signal handler raises.
        ///
        /// `RuntimeError` on a thread on which the runtime polls futures, since it would wait for itself.
        ///
        /// Inside the future, waiting for the loop of this thread fails with `RuntimeError`, since that loop is stopped: for a
        /// [`PyTask`](crate::PyTask) that was made before, or with the locals of that loop. A task that the future spawns does not
        /// get this error: what it awaits on that loop waits until this returns. If the future waits for such a task, both wait
        /// until Ctrl-C.
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
