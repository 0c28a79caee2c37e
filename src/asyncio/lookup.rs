//! Python objects that are looked up once in a process.
//!
//! PyO3's own cell makes other threads wait for the thread that fills it, and that thread detaches meanwhile. If another thread
//! forks then, the child waits for ever. Here, threads that find the cell empty each look up the object, and filling the cell
//! does not detach.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

pub(super) struct Lookup<T>(OnceLock<Py<T>>);

impl<T> Lookup<T> {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn fill<'py>(&self, found: Bound<'py, T>) -> &Bound<'py, T> {
        let py = found.py();
        // A faster thread may have found it meanwhile.
        self.0.get_or_init(|| found.unbind()).bind(py)
    }
}

impl Lookup<PyAny> {
    /// An attribute of a module.
    pub(super) fn import<'py>(
        &self,
        py: Python<'py>,
        module: &str,
        attribute: &str,
    ) -> PyResult<&Bound<'py, PyAny>> {
        match self.0.get() {
            Some(found) => Ok(found.bind(py)),
            None => Ok(self.fill(py.import(module)?.getattr(attribute)?)),
        }
    }

    /// What a program defines as `name`.
    pub(super) fn define<'py>(
        &self,
        py: Python<'py>,
        program: &str,
        name: &str,
    ) -> PyResult<&Bound<'py, PyAny>> {
        if let Some(defined) = self.0.get() {
            return Ok(defined.bind(py));
        }
        let builtins = py.import("builtins")?;
        let globals = PyDict::new(py);
        globals.set_item("__name__", "pyo3_asyncio")?;
        let code = builtins.call_method1("compile", (program, "<pyo3_asyncio>", "exec"))?;
        // Not `exec`, which crashes on PyPy 8.0 in a thread in which no Python function runs.
        builtins.call_method1("eval", (code, &globals))?;
        Ok(self.fill(globals.as_any().get_item(name)?))
    }
}

impl Lookup<PyString> {
    /// The interned string.
    pub(super) fn intern<'py>(&self, py: Python<'py>, name: &str) -> &Bound<'py, PyString> {
        match self.0.get() {
            Some(found) => found.bind(py),
            None => self.fill(PyString::intern(py, name)),
        }
    }
}

/// A Python name as a string that is made once.
macro_rules! intern {
    ($py:expr, $name:literal) => {{
        static NAME: $crate::asyncio::lookup::Lookup<pyo3::types::PyString> =
            $crate::asyncio::lookup::Lookup::new();
        NAME.intern($py, $name)
    }};
}

/// Defines functions that each import an attribute of a module once.
macro_rules! imports {
    ($($name:ident = $module:literal, $attribute:literal;)*) => {$(
        pub(super) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static CELL: $crate::asyncio::lookup::Lookup<PyAny> =
                $crate::asyncio::lookup::Lookup::new();
            CELL.import(py, $module, $attribute)
        }
    )*};
}

/// Defines functions that each give what a Python program beside this file defines, and run it once.
macro_rules! defines {
    ($($function:ident = $program:literal, $name:literal;)*) => {$(
        fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static CELL: $crate::asyncio::lookup::Lookup<PyAny> =
                $crate::asyncio::lookup::Lookup::new();
            CELL.define(py, include_str!($program), $name)
        }
    )*};
}

pub(super) use {defines, imports, intern};
