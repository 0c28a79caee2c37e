//! The attributes of a coroutine that `inspect`, asyncio's debug mode and `Task.print_stack` read.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::{Phase, RustCoroutine};
use crate::asyncio;
use crate::to_python::future::RustFuture;

/// Returns the name of a coroutine, and the class if it is a method. A function pointer takes less space than the names.
pub(crate) type Names = fn() -> (&'static str, Option<&'static str>);

/// The names of a coroutine whose future is an `F`: those of the Rust function that returns the future.
pub(crate) fn names_of<F>() -> (&'static str, Option<&'static str>) {
    (function_name(std::any::type_name::<F>()), None)
}

/// The name of the function that contains an `async` block, from the block's type: `sleep` for
/// `my_module::sleep<T>::{{closure}}`.
fn function_name(type_name: &'static str) -> &'static str {
    const CLOSURE: &str = "::{{closure}}";
    let function = type_name.trim_end_matches(CLOSURE);
    if function.len() == type_name.len() {
        return "rust_future";
    }
    let (mut nesting, mut start) = (0, 0);
    for (index, character) in function.char_indices() {
        match character {
            '<' => nesting += 1,
            '>' => nesting -= 1,
            ':' if nesting == 0 => start = index + 1,
            _ => {}
        }
    }
    let segment = &function[start..];
    segment.split_once('<').map_or(segment, |(name, _)| name)
}

pub(crate) fn qualname(names: Names) -> String {
    match names() {
        (name, Some(class)) => format!("{class}.{name}"),
        (name, None) => name.to_owned(),
    }
}

/// Names that Python has set.
#[derive(Default)]
pub(super) struct Renamed {
    name: Option<Py<PyString>>,
    qualname: Option<Py<PyString>>,
}

impl RustCoroutine {
    /// Sets both names.
    pub(in crate::to_python) fn rename(&self, name: Bound<'_, PyString>) {
        let qualname = name.clone().unbind();
        self.replace(|names| names.name.replace(name.unbind()));
        self.replace(|names| names.qualname.replace(qualname));
    }

    /// Replaces a name. The previous name is dropped without the lock.
    fn replace(&self, replace: impl FnOnce(&mut Renamed) -> Option<Py<PyString>>) {
        let previous = replace(self.inner().renamed.get_or_insert_default());
        drop(previous);
    }
}

fn as_name(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Py<PyString>> {
    let name = value.cast::<PyString>();
    let name =
        name.map_err(|_| PyTypeError::new_err(format!("{what} must be set to a string object")))?;
    Ok(name.clone().unbind())
}

/// The getters and setters.
impl RustCoroutine {
    pub(super) fn is(&self, state: fn(&Phase) -> bool) -> bool {
        state(&self.inner().state)
    }

    /// A name that Python has set.
    fn renamed(
        &self,
        py: Python<'_>,
        name: impl FnOnce(&Renamed) -> Option<&Py<PyString>>,
    ) -> Option<Py<PyString>> {
        let inner = self.inner();
        let set = name(inner.renamed.as_deref()?)?;
        Some(set.clone_ref(py))
    }

    pub(super) fn get_name(&self, py: Python<'_>) -> Py<PyString> {
        let set = self.renamed(py, |names| names.name.as_ref());
        set.unwrap_or_else(|| PyString::new(py, (self.names)().0).unbind())
    }

    pub(super) fn get_qualname(&self, py: Python<'_>) -> Py<PyString> {
        let set = self.renamed(py, |names| names.qualname.as_ref());
        set.unwrap_or_else(|| PyString::new(py, &qualname(self.names)).unbind())
    }

    pub(super) fn set_name(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = as_name("__name__", value)?;
        self.replace(|names| names.name.replace(name));
        Ok(())
    }

    pub(super) fn set_qualname(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = as_name("__qualname__", value)?;
        self.replace(|names| names.qualname.replace(name));
        Ok(())
    }

    pub(super) fn awaited(&self, py: Python<'_>) -> Option<Py<RustFuture>> {
        match &self.inner().state {
            Phase::Suspended(future) => Some(future.clone_ref(py)),
            _ => None,
        }
    }

    /// The state, as `inspect.getcoroutinestate` names it.
    pub(super) fn state_name(&self) -> &'static str {
        match self.inner().state {
            Phase::Created(_) => "CORO_CREATED",
            Phase::Running => "CORO_RUNNING",
            Phase::Suspended(_) => "CORO_SUSPENDED",
            Phase::Finished => "CORO_CLOSED",
        }
    }

    /// Where in Rust the coroutine was made, in the form of a frame.
    pub(super) fn origin(&self, py: Python<'_>) -> (&'static str, u32, Py<PyString>) {
        (self.made_at.file(), self.made_at.line(), self.get_name(py))
    }

    pub(super) fn code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (file, line) = (self.made_at.file(), self.made_at.line());
        asyncio::empty_code(py, (self.names)().0, &qualname(self.names), file, line)
    }

    pub(super) fn frame(slf: &Bound<'_, Self>) -> PyResult<Option<RustFrame>> {
        let coroutine = slf.get();
        let last_instruction = match coroutine.inner().state {
            Phase::Created(_) => -1,
            Phase::Running | Phase::Suspended(_) => 0,
            Phase::Finished => return Ok(None),
        };
        Ok(Some(RustFrame {
            coroutine: slf.clone().unbind(),
            code: coroutine.code(slf.py())?.unbind(),
            last_instruction,
            line: coroutine.made_at.line(),
        }))
    }

    pub(super) fn describe(&self, py: Python<'_>, address: usize) -> String {
        let state = match self.inner().state {
            Phase::Created(_) => "created",
            Phase::Running => "running",
            Phase::Suspended(_) => "suspended",
            Phase::Finished => "finished",
        };
        format!(
            "<RustCoroutine {} {state} at {address:#x}>",
            self.get_qualname(py)
        )
    }
}

/// The frame of a coroutine, as far as `inspect` and asyncio read it.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub(super) struct RustFrame {
    coroutine: Py<RustCoroutine>,
    code: Py<PyAny>,
    last_instruction: i32,
    line: u32,
}

#[pymethods]
impl RustFrame {
    #[getter]
    fn f_back(&self) -> Option<Py<PyAny>> {
        None
    }

    #[getter]
    fn f_code(&self, py: Python<'_>) -> Py<PyAny> {
        self.code.clone_ref(py)
    }

    /// asyncio's call graph (Python 3.14) asks it for the name of the coroutine.
    #[getter]
    fn f_generator(&self, py: Python<'_>) -> Py<RustCoroutine> {
        self.coroutine.clone_ref(py)
    }

    #[getter]
    fn f_lasti(&self) -> i32 {
        self.last_instruction
    }

    #[getter]
    fn f_lineno(&self) -> u32 {
        self.line
    }

    #[getter]
    fn f_globals<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
        PyDict::new(py)
    }

    #[getter]
    fn f_locals<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
        PyDict::new(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coroutine_is_named_after_the_function_that_its_async_block_is_in() {
        assert_eq!(function_name("my_module::sleep::{{closure}}"), "sleep");
        let generic = "my_module::Client<a::B>::fetch<c::D>::{{closure}}::{{closure}}";
        assert_eq!(function_name(generic), "fetch");
        let named = "futures_util::future::ready::Ready<()>";
        assert_eq!(function_name(named), "rust_future");
    }
}
