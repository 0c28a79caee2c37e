//! Not public API: the attributes expand to code that uses it.

#![allow(missing_docs, missing_debug_implementations, reason = "not public API")]

mod blocking;
mod by_type;
mod declaration;
mod export;
mod returned;
mod streams;

use std::future::Future;
use std::process::ExitCode;

use pyo3::prelude::*;

// What PyO3's own attributes expand to. PyO3 may change it in each version.
pub use pyo3::impl_::concat::{combine_to_array, combined_len};
/// A type that a stub can show as the result of a coroutine.
#[cfg(feature = "experimental-inspect")]
pub use pyo3::impl_::introspection::PyReturnType as Shown;
use pyo3::impl_::pyfunction::{PyFunctionDef, WrapPyFunctionArg};
pub use pyo3::impl_::pymodule::PyAddToModule;

pub use self::blocking::*;
pub use self::by_type::*;
pub use self::declaration::*;
pub use self::export::*;
pub use self::returned::*;
pub use self::streams::*;

#[cfg(feature = "testing")]
pub use crate::testing::{
    case::{Ignored, TestCase, event_loop},
    outcome::TestFailure as Failure,
};
#[cfg(feature = "testing")]
pub use inventory;

use crate::runtime::Standalone;
#[cfg(feature = "async-std-runtime")]
pub use crate::runtime::async_std::AsyncStd;
#[cfg(feature = "smol-runtime")]
pub use crate::runtime::smol::Smol;
#[cfg(feature = "tokio-runtime")]
pub use crate::runtime::tokio::{Tokio, TokioOptions};

pub fn run_main<R, F, T, E>(
    options: R::Options,
    event_loop: Option<&str>,
    main: impl FnOnce() -> F,
) -> ExitCode
where
    R: Standalone,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<PyErr>, // Python prints it: write an `impl From<…> for PyErr`, or return a `PyResult`
{
    R::init(options);
    crate::entry::main::<R, _, T>(event_loop, || crate::err::into_py_err(main()))
}
