//! The functions of every runtime's module that make Rust futures and streams of Python's awaitables and async iterables, and that
//! call a function on the loop. They need no runtime.

use pyo3::prelude::*;

use crate::locals::{get_current_locals, locals_of_call};
use crate::{PyCall, PyStream, PyTask, to_rust};

/// Starts a Python awaitable as a task of the current loop and returns a Rust future of its result.
///
/// The loop and the context are those of [`get_current_locals`]. Inside a future that
/// [`future_into_py`](crate::tokio::future_into_py) or [`run`](crate::tokio::run) started, they are that future's own.
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
///     let number = pyo3_asyncio::tokio::into_future(awaitable)?.extract::<i32>();
///     pyo3_asyncio::tokio::future_into_py(py, async { Ok(2 * number.await?) })
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
/// [`TaskLocals::share_context`](crate::TaskLocals::share_context) has several calls run in one context instead of copies.
///
/// *Dropping* the [`PyTask`] before the function is called drops the function uncalled, on the loop's thread. Later, it
/// cancels the task. A function that computes or blocks delays the loop; in debug mode, asyncio's log has its name.
///
/// On the loop's own thread, the call comes in a later turn of the loop.
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
/// pyo3_asyncio::tokio::run(py, async {
///     let rested = pyo3_asyncio::tokio::run_coroutine(|py| {
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
    to_rust::run_coroutine(locals_of_call(), function)
}

/// Calls a function on the thread of the event loop, and gives a future of what it returns.
///
/// It replaces `Python::attach` in a Rust future. As with [`run_coroutine`], the loop's thread calls the function, in a later turn
/// and in a copy of the context of the current future. Calls from one thread run in their order.
///
/// *Dropping* the [`PyCall`] before the call drops the function uncalled, on the loop's thread. A function that computes or blocks
/// delays the loop.
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
/// pyo3_asyncio::tokio::run(py, async {
///     let version = pyo3_asyncio::tokio::call_soon(|py| {
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
    PyCall::post(locals_of_call(), function)
}

/// Makes a Rust stream of a Python async generator, or of any object with `__aiter__`.
///
/// One task of the event loop iterates over it, in the context of this call, and may be ahead of the consumer by as many
/// items as [`PyStream::capacity`] says. Nothing runs before the first poll. [`PyStream::extract`] converts the items on the
/// loop's thread.
///
/// The loop and the context are those of [`get_current_locals`]. *Dropping the stream* ends the iteration: the loop awaits
/// `aclose()`.
///
/// Inside a Rust future, use [`run_async_generator`], which does not wait for the interpreter.
///
/// # Errors
///
/// `TypeError` if the object has no `__aiter__`, `RuntimeError` if no loop is known here, and
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
///
/// The error that ends the iteration is the last item of the stream. See [`PyStream`].
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
///     let mut numbers = pyo3_asyncio::tokio::into_stream(numbers)?.extract::<i64>();
///     pyo3_asyncio::tokio::future_into_py(py, async move {
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
/// *Dropping the stream* before the function is called drops the function uncalled. Later, it ends the iteration: the loop
/// awaits `aclose()`.
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
/// pyo3_asyncio::tokio::run(py, async {
///     let letters = pyo3_asyncio::tokio::run_async_generator(move |py| letters.bind(py).call1(("abc",)));
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
    to_rust::run_async_generator(locals_of_call(), function)
}
