//! Python objects that are looked up once in a process.
//!
//! PyO3's own cell makes other threads wait for the thread that fills it, and that thread detaches meanwhile. If another thread
//! forks then, the child waits for ever. Here, threads that find the cell empty each look up the object, and filling the cell
//! does not detach.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

pub(super) struct Lookup<T>(OnceLock<Py<T>>);

impl<T> Lookup<T> {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn fill<'py>(&self, found: Bound<'py, T>) -> &Bound<'py, T> {
        let py = found.py();
        // A faster thread has found the same object.
        self.0.get_or_init(|| found.unbind()).bind(py)
    }
}

impl Lookup<PyAny> {
    /// What `find` returns at the first call.
    pub(super) fn get_or<'py>(
        &self,
        py: Python<'py>,
        find: impl FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<&Bound<'py, PyAny>> {
        match self.0.get() {
            Some(found) => Ok(found.bind(py)),
            None => Ok(self.fill(find(py)?)),
        }
    }

    /// An attribute of a module.
    pub(super) fn import<'py>(
        &self,
        py: Python<'py>,
        module: &str,
        attribute: &str,
    ) -> PyResult<&Bound<'py, PyAny>> {
        self.get_or(py, |py| py.import(module)?.getattr(attribute))
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
        pub(super) fn $name<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
            static CELL: $crate::asyncio::lookup::Lookup<PyAny> =
                $crate::asyncio::lookup::Lookup::new();
            CELL.import(py, $module, $attribute)
        }
    )*};
}

pub(super) use {imports, intern};
