//! The attributes that export functions, with their documentation, which is the same for every runtime.

/// Exports `#[pyfunction]` and `#[pymethods]`. For the examples, `$path` is the runtime's module, and `$sleep` a function that
/// sleeps on it.
macro_rules! exporting {
    ($path:literal, $pyfunction:ident, $pymethods:ident, $sleep:literal) => {
        /// Exports an `async fn` as a function that returns a coroutine. In Python it is an `async def`.
        ///
        /// A call extracts the arguments, so it may raise `TypeError`. The future starts on the runtime when the coroutine is
        /// awaited, as with [`into_coroutine`]. It finds the loop and the context of the awaiting task, and cancelling that task
        /// drops it. It may return a value, `()`, or a `Result` whose error PyO3 can turn into an exception. Rust code can still
        /// call the `async fn`.
        ///
        /// | option | meaning |
        /// | --- | --- |
        /// | `blocking = "name"` | a second function, which blocks: see [below](#functions-that-block) |
        /// | `eager_start` | the awaiting thread polls first: see [`eager_future_into_py`] |
        /// | `detach_on_cancel` | a future that has started goes on to its end when Python cancels it: see [`AwaitableBuilder::detach_on_cancel`](crate::AwaitableBuilder::detach_on_cancel) |
        /// | `share_context` | what the future calls and awaits in Python runs in one context: see [`TaskLocals::share_context`](crate::TaskLocals::share_context) |
        /// | `name`, `signature`, `text_signature`, `pass_module`, `warn` | as in PyO3 |
        /// | `signature = (names: "list[str]") -> "float"` | type hints: of parameters, and of what awaiting the coroutine gives |
        /// | `crate` | the path to this crate, instead of its name in `Cargo.toml` |
        ///
        /// Options may also stand in `#[pyo3(…)]`, where `crate` is the path to PyO3.
        ///
        /// A parameter marked `#[pyo3(cancel_handle)]` is not an argument in Python. It is a
        /// [`CancelHandle`](crate::CancelHandle): cancelling the task tells the future, instead of dropping it.
        ///
        /// Before the first step, Python's garbage collector sees the arguments of the types `Py<…>` and `Option<Py<…>>`, and the
        /// object of a method. It does not see objects inside other types, nor what the future holds later. A reference cycle
        /// through those lasts until the future is done or the coroutine is closed.
        ///
        /// # What Python sees
        ///
        /// `inspect.iscoroutinefunction` is true for the function, and `inspect.isasyncgenfunction` if it returns a stream. So frameworks
        /// such as FastAPI call it on their event loop, and not in a thread. It has the signature, the annotations, the docstring and the
        /// names of an `async def`. It takes attributes, and is pickled by its name. Only a call differs: it extracts the arguments.
        ///
        /// The annotations come from the Rust types. Numbers, `bool`, `char`, strings, `Vec`, `Option`, tuples of up to four, the maps and
        /// sets of std, and `Py<…>` have one, `Vec<u8>` that of `bytes`. Other types have none. `signature = (name: "text") -> "text"`
        /// replaces them, as with quoted annotations in Python. A default value that is no literal is `...` in the signature;
        /// `text_signature` can say more.
        ///
        /// PyO3's `wrap_pyfunction!` makes a plain built-in function, for which `inspect.iscoroutinefunction` is false. Use
        /// [`add_function!`](crate::add_function), or a declarative module.
        ///
        /// # Modules
        ///
        /// An inline `#[pymodule]` recognizes its functions by the name of their attribute, so this attribute must be called
        /// `pyfunction` there. Do not import `pyo3::prelude::*` inside the module, since the name would be ambiguous:
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
        /// # Streams
        ///
        /// A function that returns `impl Stream<Item = …>` gives an async generator, as [`into_async_generator`] does. So does an
        /// `async fn` that returns one. Either may return it inside a `Result`, and the items may be `Result`s. The function itself is
        /// called by the runtime when Python awaits the first item.
        ///
        /// `eager_start` has the awaiting thread poll first. There is no `CancelHandle`: cancelling the task that awaits an item drops
        /// the stream. A stub has `AsyncGenerator` of the type of the items.
        ///
        /// ```
        /// use futures_lite::{Stream, stream};
        /// use pyo3::prelude::*;
        ///
        #[doc = concat!("#[pyo3_asyncio::", $path, "::pyfunction]")]
        /// fn countdown(from: u32) -> impl Stream<Item = PyResult<u32>> {
        ///     stream::iter((0..from).rev().map(Ok))
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
        ///
        /// # Functions that block
        ///
        /// `blocking = "name"` exports the function a second time, as one that blocks and returns the value itself. It calls
        /// [`block_on`], so it works inside of a running loop and without one, and answers Ctrl-C. What it awaits in Python runs on
        /// a [`background_loop`]. If the function returns a stream, the blocking one returns a generator, which blocks for each
        /// item. Its `close()`, and dropping it, drop the stream in the runtime's context.
        ///
        /// The blocking function has the signature, the documentation and the stub of the asynchronous one. A module that is
        /// declared with `#[pymodule]` and has the asynchronous function has the blocking one too. Elsewhere, `wrap_pyfunction!`
        /// takes either name. The page `docs/blocking.md` says more.
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        #[doc = concat!("#[pyo3_asyncio::", $path, "::pyfunction(blocking = \"double_blocking\")]")]
        /// async fn double(number: u32) -> u32 {
        ///     2 * number
        /// }
        ///
        /// # Python::initialize();
        /// Python::attach(|py| {
        ///     let double = wrap_pyfunction!(double_blocking, py)?;
        ///     assert_eq!(double.call1((21,))?.extract::<u32>()?, 42);
        ///     Ok::<_, PyErr>(())
        /// })
        /// # .unwrap();
        /// ```
        ///
        /// # Errors
        ///
        /// A mistake is a compile error: a function that is neither `async` nor returns a stream, parameters that borrow (`&str`, `Bound`, `Python`), or a
        /// future that is not `Send`.
        ///
        /// # Type stubs
        ///
        /// With the feature `experimental-inspect`, the stub that PyO3's introspection generates has the type that awaiting the
        /// coroutine gives.
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

        /// PyO3's `#[pymethods]`, in which a method may be an `async fn`. Such a method returns a coroutine, as with
        #[doc = concat!("[`#[pyfunction]`](macro@crate::", $path, "::pyfunction).")]
        ///
        /// Everything else in the block is PyO3's. The options of an `async fn`, also `eager_start` and `blocking`, stand in `#[pyo3(…)]`
        /// on it.
        ///
        /// | receiver | what the coroutine holds, from the call to its end |
        /// | --- | --- |
        /// | `&self` of a `frozen` class | the object |
        /// | `&self` | the object, and a shared borrow of it |
        /// | `&mut self` | the object, and an exclusive borrow of it |
        /// | `slf: Py<Self>` | the object |
        /// | `cls: Py<PyType>` with `#[classmethod]` | the class |
        /// | none, with `#[staticmethod]` | nothing |
        ///
        /// A call raises `RuntimeError` if another coroutine holds a borrow that conflicts with its own. The borrow ends before
        /// Python continues, also when the task is cancelled, or the coroutine is closed, thrown into or dropped.
        ///
        /// A method that returns a stream, also `__aiter__`, gives an async generator. It takes `&self` of a `frozen` class, from which the
        /// stream may borrow, or `slf: Py<Self>`, or it is a class method or a static method.
        ///
        /// Prefer a `frozen` class if methods run concurrently, and keep its mutable state in a lock or a channel.
        ///
        /// `__aenter__`, `__aexit__`, `__anext__` and `__call__` may be `async fn`. An `__anext__` that returns `None` ends the
        /// iteration. With `blocking`, `__enter__`, `__exit__`, `__next__`, `__call__` and, for a stream, `__iter__` may be second methods.
        /// Python does not await a constructor: write a class method that returns `Self` instead.
        ///
        /// # Errors
        ///
        /// A mistake is a compile error.
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
