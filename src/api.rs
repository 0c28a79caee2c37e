//! The public modules, one for each runtime. One macro generates their contents, so every runtime has the same functions and the
//! same documentation.

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
mod python_for_rust;
#[macro_use]
mod running;
#[macro_use]
mod rust_for_python;
#[cfg(all(
    feature = "unstable-streams",
    any(feature = "async-std-runtime", feature = "tokio-runtime")
))]
mod unstable_streams;

pub use builder::AwaitableBuilder;

/// Generates the functions of a runtime's module. `$generic` is the type parameter for the runtime, in the module where the
/// caller chooses it. The literals are for the documentation: the module's path, the type arguments of a call, a function
/// that sleeps on this runtime, and where it polls a future that is not `Send`.
macro_rules! facade {
    ($($arguments:tt)*) => {
        use std::future::Future;

        use futures_core::Stream;
        use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python};

        pub use crate::locals::{
            background_loop, get_current_locals, get_current_loop, scope, scope_local,
        };
        pub use crate::api::python_for_rust::*;
        use crate::{AwaitableBuilder, TaskLocals};

        rust_for_python!($($arguments)*);
        running!($($arguments)*);
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
