//! The public modules, one a runtime: stamped from one text, so that every runtime has the same functions and the same words.

#[cfg(any(
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]
#[macro_use]
mod attributes;
#[cfg(feature = "attributes")]
#[macro_use]
mod exporting;
pub mod generic;
#[cfg(feature = "attributes")]
pub mod private;

/// Stamps the functions of a runtime's module. `$generic` is the parameter that stands for the runtime where that is the
/// caller's choice. The rest is for the documentation: what comes before a function's name and after it in an example, how
/// to sleep on that runtime, and where it polls a future that is not `Send`.
macro_rules! facade {
    ([$($generic:ident)?], $runtime:ty, $path:literal, $turbofish:literal, $sleep:literal, $local:literal) => {
        use std::future::Future;

        use pyo3::prelude::*;

        pub use crate::locals::{get_current_locals, get_current_loop, scope, scope_local};
        use crate::locals::find_current_locals;
        use crate::rust_to_python::Making;
        use crate::{PyTask, TaskLocals};

        /// Starts a Rust future on the runtime and gives a Python future that settles with its result.
        ///
        /// The Python future belongs to the loop of [`get_current_locals`], does everything that an `asyncio.Future` does,
        /// and passes `asyncio.isfuture`. The Rust future runs at once, whether Python awaits it or not; inside of it,
        /// [`get_current_loop`] and [`into_future`] find the loop and the context of this call.
        ///
        /// *Cancelling* the Python future (`cancel()`, `asyncio.timeout`, a cancelled task that awaits it) drops the Rust
        /// future, on the runtime, without polling it again. A Python future that is merely dropped lets it go on;
        /// if it then fails, the loop's exception handler hears of it.
        ///
        /// Where there is no loop, because this thread neither runs one nor polls a Rust future that knows one, it gives a
        /// coroutine, as [`into_coroutine`] does: so `asyncio.run(rust_function())` works, and starts the Rust future.
        ///
        /// Called on any thread that is attached to the interpreter.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed. The Python future raises the error that the Rust
        /// future returns, and [`RustPanic`](crate::err::RustPanic) with the panic's text and place if it panics, or if its
        /// drop or the conversion of its result to Python does. A future that fails with an error type of your own is
        /// taken by way of [`into_py_err`](crate::err::into_py_err), or of `?` inside an `async` block.
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
            match find_current_locals(py)? {
                Some(locals) => future_into_py_with_locals::<$($generic,)? F, T>(py, locals, fut),
                None => into_coroutine::<$($generic,)? F, T>(py, fut),
            }
        }

        /// Like [`future_into_py`], on the loop and in the context of `locals`.
        ///
        /// The locals may be of another thread's loop: then the Python future is to be awaited there.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
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
            crate::rust_to_python::future_into_py::<$runtime, F, T>(py, locals, fut)
        }

        /// Like [`future_into_py`], on `event_loop` and in a copy of this thread's current context.
        ///
        /// # Errors
        ///
        /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
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

        /// Makes a coroutine of a Rust future: in Python, what calling an `async def` gives.
        ///
        /// Nothing runs before it is awaited, or made a task. Then the Rust future starts on the runtime; inside of it,
        /// [`get_current_loop`] and [`into_future`] find the loop and the context of the task that awaits. asyncio takes
        /// it wherever it takes a coroutine: `asyncio.run`, `create_task`, `TaskGroup`, `gather`, `wait_for`. It is named
        /// after the function that calls this.
        ///
        /// *Cancelling* its task drops the Rust future, on the runtime, without polling it again; so do `close()` and dropping
        /// the coroutine. A future that has to clean up first is for [`into_cancellable_coroutine`].
        ///
        /// Python's garbage collector does not see what the Rust future holds: a cycle through that lasts until the future is
        /// done, or the coroutine closed.
        ///
        /// Called on any thread that is attached to the interpreter; no loop has to run yet.
        ///
        /// # Errors
        ///
        /// Python's, if it has no memory for the object. Awaiting it raises the error that the Rust future returns,
        /// [`RustPanic`](crate::err::RustPanic) if it panics, and `RuntimeError` where no event loop runs or when it was
        /// awaited before. Python warns of one that is never awaited.
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
            crate::rust_to_python::into_coroutine::<$runtime, F, T>(py, Making::lazy::<F>(), fut)
        }

        /// Like [`into_coroutine`], for a future that is not dropped when Python cancels it: it is told so by the
        /// [`CancelHandle`](crate::CancelHandle) that `make` is given, and ends by itself.
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
            let making = Making::lazy::<F>();
            let make = |cancel| Ok(make(cancel));
            crate::rust_to_python::into_cancellable_coroutine::<$runtime, F, T>(py, making, make)
        }

        /// Like [`future_into_py`], with the first poll on this thread: *eager start*, as asyncio calls it.
        ///
        /// The poll happens in the runtime's context, detached from the interpreter. A future that is ready then costs
        /// no hop to the runtime and no turn of the loop: the Python future is done when this returns. One that is not goes
        /// on on the runtime, and its second poll comes at once.
        ///
        /// *It pays* where most calls find their result ready: a cache, a buffered read, a channel that holds something.
        /// *It hurts* where the first poll computes for long or blocks, as the event loop waits meanwhile, and it gains
        /// nothing where the future always waits.
        ///
        /// # Errors
        ///
        /// Those of [`future_into_py`]. A `SystemExit` or `KeyboardInterrupt` that the first poll returns comes out here.
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
            match find_current_locals(py)? {
                Some(locals) => crate::rust_to_python::eager_future_into_py::<$runtime, F, T>(py, locals, fut),
                None => {
                    let making = Making::lazy::<F>().eager();
                    crate::rust_to_python::into_coroutine::<$runtime, F, T>(py, making, fut)
                }
            }
        }

        /// Like [`future_into_py`], for a future that is not `Send` and so stays on this thread.
        ///
        /// On the thread of the event loop that the Python future belongs to, the loop polls it, inside the runtime's
        /// context and attached to the interpreter: it may hold a `Py<…>`, an `Rc` or a lock across an `await`, and use the
        /// runtime's timers and sockets. It shares the loop's thread, so what it computes between two awaits delays the loop.
        /// That is so, too, where the loop runs inside of a local executor. If another thread goes on with the loop, the Python
        /// future raises a `RuntimeError`, and the Rust future stays where it is.
        ///
        #[doc = $local]
        ///
        /// # Errors
        ///
        /// Those of [`future_into_py`], and `RuntimeError` on a thread that can poll it in neither way.
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
        pub fn local_future_into_py<$($generic,)? F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
        where
            $($generic: Runtime,)?
            F: Future<Output = PyResult<T>> + 'static,
            T: for<'py> IntoPyObject<'py> + Send + 'static,
        {
            match find_current_locals(py)? {
                Some(locals) => local_future_into_py_with_locals::<$($generic,)? F, T>(py, locals, fut),
                None => Err(crate::rust_to_python::no_loop_for_local_future()),
            }
        }

        /// Like [`local_future_into_py`], on the loop and in the context of `locals`.
        ///
        /// # Errors
        ///
        /// Those of [`local_future_into_py`].
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
            crate::rust_to_python::local_future_into_py::<$runtime, F, T>(py, locals, fut)
        }

        /// Like [`local_future_into_py`], on `event_loop` and in a copy of this thread's current context.
        ///
        /// # Errors
        ///
        /// Those of [`local_future_into_py`].
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

        /// Starts a Python awaitable as a task of the current loop and gives a Rust future of its result.
        ///
        /// The loop and the context are those of [`get_current_locals`]: inside a future that [`future_into_py`] or [`run`]
        /// started, its own. Called on any thread that is attached to the interpreter; what comes back is awaited anywhere.
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
        /// # Python::initialize();
        /// # Python::attach(|py| {
        #[doc = concat!("pyo3_asyncio::", $path, "::run", $turbofish, "(py, async {")]
        ///     let nap = Python::attach(|py| {
        ///         let asyncio = py.import("asyncio")?;
        #[doc = concat!("        pyo3_asyncio::", $path, "::into_future(asyncio.call_method1(\"sleep\", (0.01, \"rested\"))?)")]
        ///     })?;
        ///     let result = nap.await?;
        ///     assert_eq!(Python::attach(|py| result.extract::<String>(py))?, "rested");
        ///     Ok(())
        /// })
        /// # }).unwrap();
        /// ```
        pub fn into_future(awaitable: Bound<'_, PyAny>) -> PyResult<PyTask> {
            let locals = get_current_locals(awaitable.py())?;
            crate::into_future_with_locals(&locals, awaitable)
        }

        /// Runs a Rust future on a new event loop in this thread, as `asyncio.run` runs a coroutine, and gives its result.
        ///
        /// The loop is of the policy's kind (`uvloop.install()` before makes it uvloop's). At the end, whatever it is,
        /// leftover tasks are cancelled, async generators and the default executor are shut down and the loop is closed.
        ///
        /// Ctrl-C, in the main thread and unless the program handles it itself, drops the future, waits until it is
        /// dropped, and ends with `KeyboardInterrupt`. A second Ctrl-C does not wait.
        ///
        /// The interpreter is taken as it is. Only the attribute `main` also sees to it that the packages of the virtual
        /// environment that `VIRTUAL_ENV` names are found where `python3` on the `PATH` is another's.
        ///
        /// # Errors
        ///
        /// The future's own error, [`RustPanic`](crate::err::RustPanic) if it panics, and `RuntimeError` in a thread that
        /// runs a loop already: there, `await` a future of [`future_into_py`], or use [`block_on`].
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

        /// Like [`run`], on a loop of the caller's, which is not ended: as `loop.run_until_complete` in Python.
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

        /// Waits for a Rust future, detached from the interpreter: for exported functions that are not asynchronous.
        ///
        /// No event loop is needed, and one that runs in this thread, as in Jupyter, stands still meanwhile. The future is polled
        /// on this thread, inside the runtime's context, and may borrow from the caller. As it is polled detached, it is to
        /// be `Send`, and attaches itself (`Python::attach`) to touch Python.
        ///
        /// Ctrl-C, in the main thread, drops the future and raises `KeyboardInterrupt` within a tenth of a second, between
        /// two polls; so does every signal whose Python handler raises. Called on any thread that is attached to the
        /// interpreter.
        ///
        /// # Errors
        ///
        /// The future's own error, [`RustPanic`](crate::err::RustPanic) if it panics, and what a signal handler raises.
        /// `RuntimeError` on a thread that the runtime polls futures on, which would wait for itself. Inside the future, awaiting
        /// Python on the loop of this very thread is a `RuntimeError`, as it would never end. A task that the future spawns and
        /// then waits for has nobody to tell it so: what it awaits on that loop does wait for ever, until Ctrl-C.
        ///
        /// With `panic = "abort"` in the profile, tokio cannot be asked whether it polls futures on a thread: every thread that is
        /// inside of a tokio runtime is refused then, those of `spawn_blocking` included.
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
/// async-std starts its executor itself, with as many threads as the machine has processors (`ASYNC_STD_THREAD_COUNT`
/// changes that), so there is nothing to initialize.
#[cfg(feature = "async-std-runtime")]
pub mod async_std {
    facade!(
        [],
        AsyncStd,
        "async_std",
        "",
        "async_std::task::sleep",
        "On another thread, inside of `async_std::task::block_on`, async-std's `spawn_local` runs it."
    );

    pub use crate::runtime::async_std::AsyncStd;

    attributes!("async_std", async_std_main, async_std_test, "", "");
    #[cfg(feature = "attributes")]
    exporting!(
        "async_std",
        async_std_pyfunction,
        async_std_pymethods,
        "async_std::task::sleep"
    );

    /// What `pyo3-async-runtimes` re-exports for its attributes. Ours do not use it.
    #[cfg(feature = "attributes")]
    pub mod re_exports {
        pub use async_std::task::spawn_blocking;
    }
}

/// The bridge on smol.
///
/// smol starts its executor itself, with one thread (`SMOL_THREADS` changes that), so there is nothing to initialize.
#[cfg(feature = "smol-runtime")]
pub mod smol {
    facade!(
        [],
        Smol,
        "smol",
        "",
        "smol::Timer::after",
        "Elsewhere it cannot run: smol has no local executor of its own that could be found."
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
        "tokio::time::sleep",
        "On another thread, inside of a `tokio::task::LocalSet`, tokio's `spawn_local` runs it. With `panic = \"abort\"` it \
         does not: tokio tells whether there is one by a panic only."
    );

    use std::time::Duration;

    pub use crate::runtime::tokio::{
        AlreadyStarted, Tokio, get_runtime, handle, init, init_with_runtime, try_init,
        try_init_with_runtime,
    };

    /// Ends the runtime: what runs on it is dropped, and its threads end. Whether all of that has happened within `timeout`.
    ///
    /// A Python future whose Rust future is dropped by this raises [`RuntimeStopped`](crate::err::RuntimeStopped). Called on
    /// any thread, attached to the interpreter or not: it waits detached, so that a poll that needs the interpreter can end.
    /// What has not ended in time, such as a poll that does not come back, goes on ending in the background. The runtime
    /// starts again when it is next used, as it was built before, or by a new builder ([`init`]).
    ///
    /// At the end of a Python process this is done by itself, before the interpreter is finalized, with a timeout of
    /// 0.1 seconds. A runtime that others have a reference to, yours ([`init_with_runtime`]) or one that was lent
    /// ([`get_runtime`]), cannot be ended: the bridge only lets go of it, and this is `false`. Tasks of your own on it then run into
    /// the end of the interpreter: let them use `Python::try_attach`, and end them in a callback of `atexit`.
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

    /// What `pyo3-async-runtimes` re-exports for its attributes. Ours do not use it.
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
| `worker_threads` | how many threads the `multi_thread` flavor has, from 1 up | tokio's own default |",
        "| `flavor` | `\"multi_thread\"` or `\"current_thread\"`, for a runtime of the test's own | that of the process |
| `worker_threads` | how many threads the `multi_thread` flavor has, for a runtime of the test's own | that of the process |"
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
/// The functions are those of the runtimes' own modules; the examples use tokio where yours would stand. A whole program is
/// `examples/custom_runtime.rs`. A runtime in the shape of `pyo3-async-runtimes` is for [`generic`].
pub mod custom {
    facade!(
        [R],
        R,
        "custom",
        "::<pyo3_asyncio::tokio::Tokio, _, _>",
        "tokio::time::sleep",
        "Elsewhere [`Runtime::spawn_local`] decides."
    );

    pub use crate::runtime::Runtime;
}
