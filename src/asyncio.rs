//! Every name of Python's that the crate uses, as typed functions. Nothing else interns a name or imports a module.

mod awaitable;
mod event_loop;
mod first_step;
#[cfg(feature = "attributes")]
mod program;
mod signals;

/// Defines functions that import an attribute of a module once.
macro_rules! imports {
    ($($name:ident = $module:literal, $attribute:literal;)*) => {$(
        pub(super) fn $name<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
            static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            CELL.import(py, $module, $attribute)
        }
    )*};
}

use imports;

pub(crate) use awaitable::*;
pub use event_loop::get_running_loop;
pub(crate) use event_loop::*;
#[cfg(feature = "attributes")]
pub(crate) use program::*;
pub(crate) use signals::*;
