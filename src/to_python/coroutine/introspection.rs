//! What `inspect`, asyncio's debug mode and `Task.print_stack` ask a coroutine: names, state, and where it was made.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::{RustCoroutine, State};
use crate::asyncio;
use crate::to_python::future::RustFuture;

/// What a coroutine is called, unless Python renames it, and the class that it is a method of. A function, as it takes the
/// least room.
pub(crate) type Names = fn() -> (&'static str, Option<&'static str>);

/// The names of a coroutine whose future is an `F`: those of the Rust function that it comes from.
pub(crate) fn names_of<F>() -> (&'static str, Option<&'static str>) {
    (function_name(std::any::type_name::<F>()), None)
}

/// The function that an `async` block is in, by the block's type: `my_module::sleep<T>::{{closure}}` is in `sleep`.
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

/// Names that Python has set.
#[derive(Default)]
pub(super) struct Renamed {
    name: Option<Py<PyString>>,
    qualname: Option<Py<PyString>>,
}

impl RustCoroutine {
    /// Gives it a name before Python has it.
    pub(in crate::to_python) fn rename(&self, name: Bound<'_, PyString>) {
        let qualname = name.clone().unbind();
        self.replace(|names| names.name.replace(name.unbind()));
        self.replace(|names| names.qualname.replace(qualname));
    }

    /// Replaces a name. The one before is dropped without the lock.
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

/// What the getters of the object answer.
impl RustCoroutine {
    pub(super) fn is(&self, state: fn(&State) -> bool) -> bool {
        state(&self.inner().state)
    }

    /// A name that Python has set, or the one that it was made with.
    pub(super) fn get_name(&self, py: Python<'_>) -> Py<PyString> {
        let given = {
            let inner = self.inner();
            let renamed = inner.renamed.as_ref();
            renamed.and_then(|it| it.name.as_ref().map(|name| name.clone_ref(py)))
        };
        given.unwrap_or_else(|| PyString::new(py, (self.names)().0).unbind())
    }

    /// The same of the qualified name.
    pub(super) fn get_qualname(&self, py: Python<'_>) -> Py<PyString> {
        let given = {
            let inner = self.inner();
            let renamed = inner.renamed.as_ref();
            renamed.and_then(|it| it.qualname.as_ref().map(|name| name.clone_ref(py)))
        };
        given.unwrap_or_else(|| {
            let qualname = match (self.names)() {
                (name, Some(class)) => format!("{class}.{name}"),
                (name, None) => name.to_owned(),
            };
            PyString::new(py, &qualname).unbind()
        })
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
            State::Suspended(future) => Some(future.clone_ref(py)),
            _ => None,
        }
    }

    pub(super) fn code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (file, line) = (self.made_at.file(), self.made_at.line());
        asyncio::empty_code(py, (self.names)().0, file, line)
    }

    pub(super) fn frame(&self, py: Python<'_>) -> PyResult<Option<RustFrame>> {
        let last_instruction = match self.inner().state {
            State::Created(_) => -1,
            State::Running | State::Suspended(_) => 0,
            State::Finished => return Ok(None),
        };
        Ok(Some(RustFrame {
            code: self.code(py)?.unbind(),
            last_instruction,
            line: self.made_at.line(),
        }))
    }

    pub(super) fn describe(&self, py: Python<'_>, address: usize) -> String {
        let state = match self.inner().state {
            State::Created(_) => "created",
            State::Running => "running",
            State::Suspended(_) => "suspended",
            State::Finished => "finished",
        };
        format!(
            "<RustCoroutine {} {state} at {address:#x}>",
            self.get_qualname(py)
        )
    }
}

/// Stands where a coroutine has its frame.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub(super) struct RustFrame {
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
