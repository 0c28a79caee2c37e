//! The attributes that export functions, with their documentation: one text for every runtime.

/// Exports `#[pyfunction]` and `#[pymethods]`. `$path` is the runtime's module and `$sleep` how to sleep on it, for the examples.
macro_rules! exporting {
    ($path:literal, $pyfunction:ident, $pymethods:ident, $sleep:literal) => {
        /// Exports an `async fn` as a function that gives Python a coroutine: there, it is an `async def`.
        ///
        /// Arguments are extracted when it is called, so a `TypeError` comes at the call. The future starts on the runtime when the
        /// coroutine is awaited, as that of [`into_coroutine`]: it finds the loop and the context of the task that awaits it,
        /// and cancelling the task drops it. It may return a value, `()`, or a `Result` whose error PyO3 can make an exception
        /// of. In Rust the `async fn` stays what it is, and is called as before.
        ///
        /// | option | says |
        /// | --- | --- |
        /// | `eager_start` | the first poll is on the thread that awaits: see [`eager_future_into_py`] |
        /// | `name`, `signature`, `text_signature`, `pass_module`, `warn` | what they say to PyO3 |
        /// | `signature = (…) -> "list[str]"` | what the coroutine comes to, in a type stub |
        /// | `crate` | the path to this crate, instead of its name in `Cargo.toml` |
        ///
        /// They may stand in a `#[pyo3(…)]` as well, where `crate` is the path to PyO3. A parameter that is marked
        /// `#[pyo3(cancel_handle)]` is not Python's: it is a [`CancelHandle`](crate::CancelHandle), and cancelling the task
        /// tells the future so instead of dropping it.
        ///
        /// Before the first step, Python's garbage collector sees the arguments that are `Py<…>` or `Option<Py<…>>`, and the object
        /// of a method. It sees nothing of what the future holds later, or within another type: a cycle through that lasts until
        /// the future is done, or the coroutine closed. `inspect.iscoroutinefunction` says no of the function, as of all that are
        /// not Python's own; `inspect.iscoroutine` says yes of the coroutine.
        ///
        /// An inline `#[pymodule]` knows its functions by the name of their attribute, so this one has to be `pyfunction` there.
        /// Inside of it, `pyo3::prelude::*` would make that name ambiguous:
        ///
        /// ```
        /// use pyo3::prelude::*;
        #[doc = concat!("use pyo3_asyncio::", $path, "::pyfunction;")]
        ///
        /// #[pymodule]
        /// mod my_module {
        ///     use super::*;
        ///
        ///     #[pyfunction]
        ///     async fn asynchronous() {}
        ///
        ///     #[pyo3::pyfunction]
        ///     fn plain() {}
        /// }
        /// # fn main() -> PyResult<()> {
        /// #     Python::initialize();
        /// #     Python::attach(|py| {
        /// #         let module = pyo3::wrap_pymodule!(my_module)(py);
        /// #         module.getattr(py, "plain")?;
        /// #         module.getattr(py, "asynchronous").map(drop)
        /// #     })
        /// # }
        /// ```
        ///
        /// # Errors
        ///
        /// What is not accepted is a compile error: a function that is not `async`, parameters that borrow (`&str`, `Bound`,
        /// `Python`), a future that is not `Send`. The stub that PyO3's introspection makes says what the coroutine comes to, with
        /// the feature `experimental-inspect`.
        ///
        /// # Example
        ///
        /// ```
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// /// Sleeps, and says for how long.
        #[doc = concat!("#[pyo3_asyncio::", $path, "::pyfunction(signature = (seconds=0.01))]")]
        /// async fn rust_sleep(seconds: f64) -> f64 {
        #[doc = concat!("    ", $sleep, "(Duration::from_secs_f64(seconds)).await;")]
        ///     seconds
        /// }
        ///
        /// # Python::initialize();
        /// Python::attach(|py| {
        ///     let rust_sleep = wrap_pyfunction!(rust_sleep, py)?;
        ///     let seconds = py.import("asyncio")?.call_method1("run", (rust_sleep.call0()?,))?;
        ///     assert_eq!(seconds.extract::<f64>()?, 0.01);
        ///     Ok::<_, PyErr>(())
        /// })
        /// # .unwrap();
        /// ```
        #[doc(inline)]
        pub use pyo3_asyncio_macros::$pyfunction as pyfunction;

        /// PyO3's `#[pymethods]`, in which methods may be `async fn`: they give Python a coroutine, as with
        #[doc = concat!("[`#[pyfunction]`](macro@crate::", $path, "::pyfunction).")]
        ///
        /// Everything else in the block is PyO3's. The options of an `async fn` are in `#[pyo3(…)]` on it, also `eager_start`.
        ///
        /// | receiver | what the coroutine keeps, from the call to its end |
        /// | --- | --- |
        /// | `&self` of a `frozen` class | the object |
        /// | `&self` | the object, and a shared borrow of it |
        /// | `&mut self` | the object, for itself alone |
        /// | `slf: Py<Self>` | the object |
        /// | `cls: Py<PyType>` with `#[classmethod]` | the class |
        /// | none, with `#[staticmethod]` | nothing |
        ///
        /// A call that cannot have its borrow, as another coroutine has it, is a `RuntimeError`. The borrow is given back
        /// before Python goes on, also when the task was cancelled, or the coroutine was closed, thrown into or dropped: that waits
        /// for a poll that is under way, for a quarter of a second at most. A `frozen` class is the better choice where methods run
        /// side by side: it keeps what changes in a lock or a channel of its own.
        ///
        /// `__aenter__`, `__aexit__`, `__anext__` and `__call__` may be `async fn`. An `__anext__` that returns `None` ends the
        /// iteration. Python does not await a constructor: make one a class method that returns `Self`.
        ///
        /// # Errors
        ///
        /// What is not accepted is a compile error.
        ///
        /// # Example
        ///
        /// ```
        /// use std::sync::atomic::{AtomicU32, Ordering};
        /// use std::time::Duration;
        /// use pyo3::prelude::*;
        ///
        /// /// Counts down, and takes its time.
        /// #[pyclass(frozen)]
        /// struct Countdown(AtomicU32);
        ///
        #[doc = concat!("#[pyo3_asyncio::", $path, "::pymethods]")]
        /// impl Countdown {
        ///     #[new]
        ///     fn new(from: u32) -> Self {
        ///         Countdown(AtomicU32::new(from))
        ///     }
        ///
        ///     fn __aiter__(slf: Py<Self>) -> Py<Self> {
        ///         slf
        ///     }
        ///
        ///     async fn __anext__(&self) -> Option<u32> {
        #[doc = concat!("        ", $sleep, "(Duration::from_millis(1)).await;")]
        ///         let next = |left: u32| left.checked_sub(1);
        ///         self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
        ///     }
        /// }
        ///
        /// # Python::initialize();
        /// # Python::attach(|py| {
        /// #     let program = c"
        /// # import asyncio
        /// # async def main():
        /// #     assert [left async for left in countdown] == [3, 2, 1]
        /// # asyncio.run(main())
        /// # ";
        /// #     let globals = pyo3::types::PyDict::new(py);
        /// #     globals.set_item("countdown", Py::new(py, Countdown::new(3))?)?;
        /// #     py.run(program, Some(&globals), None)
        /// # }).unwrap();
        /// ```
        #[doc(inline)]
        pub use pyo3_asyncio_macros::$pymethods as pymethods;
    };
}
