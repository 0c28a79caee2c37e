//! Streams, by functions that are written in Python: the generators of a Rust stream, and the coroutine that iterates for a Rust
//! consumer.

use pyo3::prelude::*;

use super::lookup::{defines, intern};

defines! {
    rust_stream_function = "rust_stream.py", "rust_stream";
    iterate_function = "iterate.py", "iterate";
}

#[cfg(feature = "attributes")]
defines! {
    blocking_stream_function = "rust_stream.py", "blocking_stream";
}

/// An async generator that yields what `stream.fetch()` brings, and calls `stream.close()` in the end.
///
/// It is Python's own, so it has all of PEP 525 as each version of Python has it. `fetch` returns an awaitable of a list of items,
/// or `None` at the end of the stream.
pub(crate) fn async_generator(stream: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    rust_stream_function(stream.py())?.call1((stream,))
}

/// A generator that yields the items of an iterator, and calls `iterator.close()` in the end.
#[cfg(feature = "attributes")]
pub(crate) fn generator(iterator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    blocking_stream_function(iterator.py())?.call1((iterator,))
}

/// Sets the names of a generator.
pub(crate) fn rename(generator: &Bound<'_, PyAny>, name: &str, qualname: &str) -> PyResult<()> {
    let py = generator.py();
    generator.setattr(intern!(py, "__name__"), name)?;
    generator.setattr(intern!(py, "__qualname__"), qualname)
}

/// A coroutine that iterates as only Python's `async for` does: with its errors, tracebacks, contexts and cancellations.
///
/// `room` counts the items that the coroutine may make before it asks for more room. The items of one step of the task are
/// delivered together, when the step ends. These are the methods of `sink`:
///
/// - `__aiter__()` returns the iterator.
/// - `is_wanted()` says whether to go on.
/// - `deliver(items)` takes the items out of a list.
/// - `ask(future)` settles the future with the room for more items, once there is some.
/// - `clean_up(items)` takes the last items. From then on, nothing cancels the task.
pub(crate) fn iterate<'py>(
    sink: &Bound<'py, PyAny>,
    iterator: &Bound<'py, PyAny>,
    room: usize,
) -> PyResult<Bound<'py, PyAny>> {
    iterate_function(sink.py())?.call1((sink, iterator, room))
}

/// Whether `async for` accepts the object.
pub(crate) fn is_async_iterable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.get_type().hasattr(intern!(object.py(), "__aiter__"))
}

/// `aiter(iterable)`, which the builtins have from Python 3.10 on.
pub(crate) fn aiter<'py>(iterable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let aiter = iterable
        .get_type()
        .getattr(intern!(iterable.py(), "__aiter__"))?;
    aiter.call1((iterable,))
}

/// `future.set_result(result)`, unless the future is done.
pub(crate) fn settle<'py>(
    future: &Bound<'py, PyAny>,
    result: impl IntoPyObject<'py>,
) -> PyResult<()> {
    if super::done(future)? {
        return Ok(());
    }
    future
        .call_method1(intern!(future.py(), "set_result"), (result,))
        .map(drop)
}
