//! The Python type hints of Rust types, for the annotations of exported functions. A type without a [`TypeHint`] has no annotation.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PySet, PyString, PyTuple};

use crate::asyncio;

/// A type that Python has a hint for.
pub trait TypeHint {
    /// The hint.
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;

    /// The hint of a vector of them.
    fn type_hint_of_vec(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        subscript::<PyList>(py, Self::type_hint(py)?)
    }
}

/// `T[items]`
fn subscript<'py, T: PyTypeInfo>(
    py: Python<'py>,
    items: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<T>().get_item(items)
}

macro_rules! type_hints {
    ($($python:ty: $($rust:ty)+;)+) => {$($(
        impl TypeHint for $rust {
            fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                Ok(py.get_type::<$python>().into_any())
            }
        }
    )+)+};
}

type_hints! {
    PyBool: bool;
    PyFloat: f32 f64;
    PyInt: i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize;
    PyString: char &str String Cow<'_, str>;
}

impl TypeHint for u8 {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        i32::type_hint(py)
    }

    fn type_hint_of_vec(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(py.get_type::<PyBytes>().into_any())
    }
}

impl<T: PyTypeInfo> TypeHint for Py<T> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let class = py.get_type::<T>();
        if class.is(py.get_type::<PyAny>()) {
            asyncio::any_type(py)
        } else if class.is(py.None().bind(py).get_type()) {
            Ok(py.None().into_bound(py))
        } else {
            Ok(class.into_any())
        }
    }
}

impl<T: TypeHint> TypeHint for Option<T> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        asyncio::optional(&T::type_hint(py)?)
    }
}

/// A function raises its error.
impl<T: TypeHint, E> TypeHint for Result<T, E> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        T::type_hint(py)
    }
}

impl<T: TypeHint> TypeHint for Vec<T> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        T::type_hint_of_vec(py)
    }
}

macro_rules! generic_type_hints {
    ($($python:ty: <$($item:ident)+ $(, $other:ident)?> $rust:ty;)+) => {$(
        impl<$($item: TypeHint,)+ $($other)?> TypeHint for $rust {
            fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                subscript::<$python>(py, ($($item::type_hint(py)?,)+))
            }
        }
    )+};
}

generic_type_hints! {
    PyDict: <K V> BTreeMap<K, V>;
    PyDict: <K V, S> HashMap<K, V, S>;
    PySet: <T> BTreeSet<T>;
    PySet: <T, S> HashSet<T, S>;
    PyTuple: <A> (A,);
    PyTuple: <A B> (A, B);
    PyTuple: <A B C> (A, B, C);
    PyTuple: <A B C D> (A, B, C, D);
}

/// The items of an async generator.
#[derive(Debug)]
pub struct Streamed<T>(T);

impl<T: TypeHint> TypeHint for Streamed<T> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        asyncio::async_generator_of(&T::type_hint(py)?)
    }
}
