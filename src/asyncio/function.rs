//! The Python objects behind an exported function: its declaration, bound methods and type hints.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::lookup::{defines, imports, intern};

imports! {
    import_any = "typing", "Any";
    import_async_generator = "collections.abc", "AsyncGenerator";
    import_method_type = "types", "MethodType";
    import_object = "builtins", "object";
    import_optional = "typing", "Optional";
}

defines! {
    declare_function = "declare.py", "declare";
    own_method_function = "declare.py", "own_method";
}

/// An `async def` without a body that looks like `function`, a built-in function of the module or class `owner`.
///
/// The signature is that of the function, unless another is given. `annotations` has the type hints of parameters, by name, and
/// that of the result, as `return`.
pub(crate) fn declare<'py>(
    function: &Bound<'py, PyAny>,
    owner: &Bound<'py, PyAny>,
    signature: Option<&str>,
    is_stream: bool,
    annotations: Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = (function, owner, signature, is_stream, annotations);
    declare_function(function.py())?.call1(arguments)
}

/// The function behind a method of the class itself, and `classmethod` or `staticmethod` if the method is one.
pub(crate) fn own_method<'py>(
    class: &Bound<'py, PyType>,
    name: &str,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    own_method_function(class.py())?
        .call1((class, name))?
        .extract()
}

/// Binds a function to the object whose method it is.
pub(crate) fn bind_method<'py>(
    function: Bound<'py, PyAny>,
    object: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_method_type(function.py())?.call1((function, object))
}

pub(crate) fn doc<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    function.getattr(intern!(function.py(), "__doc__"))
}

pub(crate) fn qualname<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    function.getattr(intern!(function.py(), "__qualname__"))
}

/// `object.__getattribute__(object, name)`
pub(crate) fn own_attribute<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    import_object(py)?.call_method1(intern!(py, "__getattribute__"), (object, name))
}

/// `typing.Any`
pub(crate) fn any_type(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    import_any(py).cloned()
}

/// `typing.Optional[hint]`
pub(crate) fn optional<'py>(hint: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    import_optional(hint.py())?.get_item(hint)
}

/// `collections.abc.AsyncGenerator[hint, None]`
pub(crate) fn async_generator_of<'py>(hint: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    import_async_generator(hint.py())?.get_item((hint, hint.py().None()))
}
