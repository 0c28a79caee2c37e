//! The Python objects among the arguments of an exported `async fn`, for the garbage collector to see.

use std::marker::PhantomData;
use std::ops::Deref;

use pyo3::prelude::*;

/// What the coroutine holds beside the future, which has a reference of its own to each.
pub type Arguments = Vec<Py<PyAny>>;

/// Tells by its type whether an argument is an object: a method of one type hides those of the types that it derefs to.
pub struct Argument<'a, T>(&'a T, Opaque<T>);

pub struct Opaque<T>(PhantomData<T>);

pub fn argument<T>(value: &T) -> Argument<'_, T> {
    Argument(value, Opaque(PhantomData))
}

impl<T> Argument<'_, Py<T>> {
    pub fn show(&self, py: Python<'_>, arguments: &mut Arguments) {
        arguments.push(self.0.clone_ref(py).into_any());
    }
}

impl<T> Argument<'_, Option<Py<T>>> {
    pub fn show(&self, py: Python<'_>, arguments: &mut Arguments) {
        if let Some(object) = self.0 {
            arguments.push(object.clone_ref(py).into_any());
        }
    }
}

impl<T> Deref for Argument<'_, T> {
    type Target = Opaque<T>;

    fn deref(&self) -> &Self::Target {
        &self.1
    }
}

impl<T> Opaque<T> {
    /// A value without objects, or one of which it is not known how many it has.
    pub fn show(&self, _py: Python<'_>, _arguments: &mut Arguments) {}
}
