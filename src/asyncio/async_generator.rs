//! The async generator of a Rust stream: Python's own, so that it has all of PEP 525 as each version of Python has it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::lookup::{Lookup, imports, intern};

imports! {
    import_compile = "builtins", "compile";
    import_exec = "builtins", "exec";
}

/// An async generator that yields what `stream.fetch()` brings, and calls `stream.close()` in the end.
///
/// `fetch` returns an awaitable of a list of items, or `None` at the end of the stream.
pub(crate) fn async_generator<'py>(stream: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static FUNCTION: Lookup<PyAny> = Lookup::new();
    FUNCTION.get_or(stream.py(), define)?.call1((stream,))
}

fn define(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let source = include_str!("async_generator.py");
    let code = import_compile(py)?.call1((source, "<pyo3_asyncio>", "exec"))?;
    let globals = PyDict::new(py);
    globals.set_item(intern!(py, "__name__"), "pyo3_asyncio")?;
    import_exec(py)?.call1((code, &globals))?;
    globals.as_any().get_item("rust_stream")
}

/// Sets the names of an async generator.
pub(crate) fn rename(generator: &Bound<'_, PyAny>, name: &str, qualname: &str) -> PyResult<()> {
    let py = generator.py();
    generator.setattr(intern!(py, "__name__"), name)?;
    generator.setattr(intern!(py, "__qualname__"), qualname)
}
