//! What the wrappers of exported functions return: a Python object, and the type that a stub shows for it.

use std::convert::Infallible;
use std::marker::PhantomData;

use pyo3::prelude::*;
#[cfg(feature = "experimental-inspect")]
use pyo3::{type_hint_identifier as identifier, type_hint_subscript as subscript, types::PyNone};

#[cfg(feature = "experimental-inspect")]
use super::Shown;

#[cfg(not(feature = "experimental-inspect"))]
pub trait Shown {}

#[cfg(not(feature = "experimental-inspect"))]
impl<T> Shown for T {}

/// Defines types of return values. A stub shows the type behind the arrow.
macro_rules! returned {
    ($($(#[doc = $doc:literal])* $name:ident<T> => $shown:expr;)*) => {$(
        $(#[doc = $doc])*
        pub struct $name<'py, T> {
            object: Bound<'py, PyAny>,
            of: PhantomData<fn() -> T>,
        }

        impl<'py, T> $name<'py, T> {
            pub(super) fn new(object: Bound<'py, PyAny>) -> Self {
                Self { object, of: PhantomData }
            }
        }

        impl<'py, T: Shown> IntoPyObject<'py> for $name<'py, T> {
            type Target = PyAny;
            type Output = Bound<'py, PyAny>;
            type Error = Infallible;

            #[cfg(feature = "experimental-inspect")]
            const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = $shown;

            fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Infallible> {
                Ok(self.object)
            }
        }
    )*};
}

returned! {
    /// A coroutine that returns a `T`.
    Coroutine<T> => subscript!(
        identifier!("collections.abc", "Coroutine"),
        identifier!("typing", "Any"),
        identifier!("typing", "Any"),
        T::OUTPUT_TYPE
    );
    /// An async generator that yields `T`s.
    AsyncGenerator<T> => subscript!(
        identifier!("collections.abc", "AsyncGenerator"),
        T::OUTPUT_TYPE,
        <Py<PyNone> as Shown>::OUTPUT_TYPE
    );
    /// A `T`, of a function that blocks until it has it.
    Blocked<T> => T::OUTPUT_TYPE;
    /// A generator that yields `T`s, and blocks for each.
    Generator<T> => subscript!(
        identifier!("collections.abc", "Generator"),
        T::OUTPUT_TYPE,
        <Py<PyNone> as Shown>::OUTPUT_TYPE,
        <Py<PyNone> as Shown>::OUTPUT_TYPE
    );
}
