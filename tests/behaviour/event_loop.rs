//! The kinds of loop that every behaviour runs on.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

#[derive(Clone, Copy, Debug)]
pub(super) enum LoopKind {
    Asyncio,
    Uvloop,
    /// Woken by `call_soon_threadsafe`, because it cannot watch descriptors.
    AsyncioWithoutAddReader,
    UvloopWithoutAddReader,
    /// Its selector waits in a tokio runtime. Only where tokio is the runtime of the tests.
    #[allow(
        dead_code,
        reason = "not every program that includes this file runs on it"
    )]
    Tokio,
}

impl LoopKind {
    pub(super) fn new_event_loop(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::Tokio => return pyo3_asyncio::tokio::new_event_loop(py),
            Self::Asyncio => selector_loop(py)?,
            Self::Uvloop => uvloop(py)?,
            Self::AsyncioWithoutAddReader => {
                static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                without_add_reader(py, &CLASS, selector_loop)?
            }
            Self::UvloopWithoutAddReader => {
                static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                without_add_reader(py, &CLASS, uvloop)?
            }
        }
        .call0()
    }
}

fn selector_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("asyncio")?.getattr("SelectorEventLoop")
}

fn uvloop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let uvloop = py.import("uvloop");
    let uvloop = uvloop.expect("these tests need uvloop: pip install uvloop");
    uvloop.getattr("Loop")
}

fn without_add_reader<'py>(
    py: Python<'py>,
    class: &'static PyOnceLock<Py<PyAny>>,
    base: fn(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = class.get_or_try_init(py, || -> PyResult<_> {
        let python = PyModule::from_code(
            py,
            c"
def without_add_reader(base):
    class Loop(base):
        def add_reader(self, *args):
            raise NotImplementedError
    return Loop
",
            c"loops.py",
            c"loops",
        )?;
        Ok(python
            .call_method1("without_add_reader", (base(py)?,))?
            .unbind())
    })?;
    Ok(class.bind(py).clone())
}
