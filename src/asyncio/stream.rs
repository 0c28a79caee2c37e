//! The coroutine that iterates over an async iterable for a Rust stream.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::awaitable::import_compile;
use super::lookup::{Lookup, imports, intern};

imports! {
    import_exec = "builtins", "exec";
}

/// Only Python code can iterate exactly as `async for` does: with its errors, tracebacks, contexts and cancellations.
///
/// `room` counts the items that it may make before it has to ask for more room. The items of one turn of the loop are delivered
/// together, in the next turn.
const ITERATE: &CStr = c"
from asyncio import get_running_loop

async def iterate(sink, iterator, room, items):
    loop = get_running_loop()
    close = getattr(iterator, 'aclose', None)
    try:
        async for item in sink:
            if not items:
                if not sink.is_wanted():
                    break
                loop.call_soon(sink.deliver)
            items.append(item)
            room -= 1
            if not room:
                more_room = loop.create_future()
                sink.ask(more_room)
                room = await more_room
    except GeneratorExit:
        # The task is destroyed. Nothing can be awaited any more.
        close = None
        raise
    finally:
        if close is not None:
            sink.deliver()
            await close()
";

/// The coroutine `iterate(sink, iterator, room, items)`.
///
/// `sink` returns the iterator as its `__aiter__()`, takes what is in `items` by `deliver()`, says by `is_wanted()` whether to go
/// on, and settles the future given to `ask` with the room for more items.
pub(crate) fn iterate<'py>(
    sink: &Bound<'py, PyAny>,
    iterator: &Bound<'py, PyAny>,
    room: usize,
    items: &Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    static FUNCTION: Lookup<PyAny> = Lookup::new();
    let py = sink.py();
    let function = FUNCTION.get_or_define(py, || {
        let code = ITERATE.to_str().expect("the program is text");
        let code = import_compile(py)?.call1((code, "pyo3_asyncio/stream.py", "exec"))?;
        let globals = PyDict::new(py);
        globals.set_item("__name__", "pyo3_asyncio")?;
        import_exec(py)?.call1((code, &globals))?;
        globals.as_any().get_item("iterate")
    })?;
    function.call1((sink, iterator, room, items))
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
