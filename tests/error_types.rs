//! Every function that takes a future accepts a custom error type, on every runtime. Python sees the converted error. The error of
//! an `async fn main` needs a process: see the package `entry_points`.

#![cfg(all(
    feature = "attributes",
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

use std::ffi::CStr;

use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_asyncio::err::into_py_err;
use pyo3_asyncio::{CancelHandle, TaskLocals};

struct NotFound(&'static str);

#[expect(
    clippy::from_over_into,
    reason = "`Into<PyErr>` is the only required bound"
)]
impl Into<PyErr> for NotFound {
    fn into(self) -> PyErr {
        PyLookupError::new_err(self.0)
    }
}

async fn fails(name: &'static str) -> Result<(), NotFound> {
    futures_lite::future::yield_now().await;
    Err(NotFound(name))
}

/// Awaitables with the names of the functions that made them.
type Awaitables<'py> = Vec<(&'static str, Bound<'py, PyAny>)>;

const AWAITS_ALL: &CStr = c"
import asyncio

async def awaits_all(make):
    names, errors = [], []
    for name, awaitable in make():
        names.append(name)
        try:
            await awaitable
        except LookupError as error:
            errors.append(str(error))
    assert errors == names, (errors, names)
    return len(names)

def run(make):
    return asyncio.run(awaits_all(make))
";

/// Makes Python await all awaitables on its loop, and returns their number.
fn assert_that_each_fails(make: fn(Python<'_>) -> PyResult<Awaitables<'_>>) -> PyResult<usize> {
    Python::initialize();
    Python::attach(|py| {
        let make = PyCFunction::new_closure(py, None, None, move |args, _| {
            let awaitables = make(args.py())?.into_pyobject(args.py())?;
            PyResult::Ok(awaitables.unbind())
        })?;
        let python = PyModule::from_code(py, AWAITS_ALL, c"error_types.py", c"error_types")?;
        python.call_method1("run", (make,))?.extract()
    })
}

#[track_caller]
fn assert_fails(py: Python<'_>, name: &str, result: PyResult<()>) {
    let error = result.expect_err(name);
    assert!(error.is_instance_of::<PyLookupError>(py), "{name}: {error}");
    assert_eq!(error.value(py).to_string(), name);
}

/// Calls a function with a future that fails with the name of the function.
macro_rules! call {
    ([$($runtime:ty,)?] $function:ident($($argument:expr),*)) => {{
        let future = into_py_err(fails(stringify!($function)));
        (stringify!($function), bridge::$function::<$($runtime,)? _, _>($($argument,)* future))
    }};
}

/// Tests all functions of a module that take a future.
macro_rules! functions {
    ($name:ident: $module:ident $(, $runtime:ty)?) => {
        mod $name {
            use pyo3_asyncio::$module as bridge;

            use super::*;

            fn make(py: Python<'_>) -> PyResult<Awaitables<'_>> {
                let locals = TaskLocals::with_running_loop(py)?;
                let event_loop = locals.event_loop(py);
                let cancellable = bridge::into_cancellable_coroutine::<$($runtime,)? _, _>(
                    py,
                    |_: CancelHandle| into_py_err(fails("into_cancellable_coroutine")),
                );
                let made = [
                    call!([$($runtime,)?] future_into_py(py)),
                    call!([$($runtime,)?] future_into_py_with_locals(py, locals.clone())),
                    call!([$($runtime,)?] future_into_py_with_loop(event_loop.clone())),
                    call!([$($runtime,)?] into_coroutine(py)),
                    ("into_cancellable_coroutine", cancellable),
                    call!([$($runtime,)?] eager_future_into_py(py)),
                    call!([$($runtime,)?] local_future_into_py(py)),
                    call!([$($runtime,)?] local_future_into_py_with_locals(py, locals)),
                    call!([$($runtime,)?] local_future_into_py_with_loop(event_loop)),
                ];
                made.into_iter().map(|(name, made)| Ok((name, made?))).collect()
            }

            #[test]
            fn python_awaits_raise_the_converted_error() -> PyResult<()> {
                assert_eq!(assert_that_each_fails(make)?, 9);
                Ok(())
            }

            #[test]
            fn blocking_calls_return_the_converted_error() -> PyResult<()> {
                Python::initialize();
                Python::attach(|py| {
                    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
                    let made = [
                        call!([$($runtime,)?] run(py)),
                        call!([$($runtime,)?] run_until_complete(event_loop.clone())),
                        call!([$($runtime,)?] block_on(py)),
                    ];
                    for (name, result) in made {
                        assert_fails(py, name, result);
                    }
                    event_loop.call_method0("close").map(drop)
                })
            }
        }
    };
}

functions!(async_std: async_std);
functions!(smol: smol);
functions!(tokio: tokio);
functions!(custom: custom, pyo3_asyncio::tokio::Tokio);

/// Tests every kind of export of the attributes.
macro_rules! exports {
    ($name:ident: $module:ident) => {
        mod $name {
            use super::*;

            #[pyo3_asyncio::$module::pyfunction]
            async fn function() -> Result<(), NotFound> {
                fails("function").await
            }

            #[pyo3_asyncio::$module::pyfunction(eager_start)]
            async fn eager() -> Result<(), NotFound> {
                fails("eager").await
            }

            #[pyo3_asyncio::$module::pyfunction]
            async fn cancellable(
                #[pyo3(cancel_handle)] _cancel: CancelHandle,
            ) -> Result<(), NotFound> {
                fails("cancellable").await
            }

            #[pyclass]
            struct Class;

            #[pyo3_asyncio::$module::pymethods]
            impl Class {
                async fn shared(&self) -> Result<usize, NotFound> {
                    fails("shared").await.map(|()| 1)
                }

                async fn exclusive(&mut self) -> Result<(), NotFound> {
                    fails("exclusive").await
                }

                async fn __anext__(&self) -> Result<Option<usize>, NotFound> {
                    fails("__anext__").await.map(|()| None)
                }
            }

            fn make(py: Python<'_>) -> PyResult<Awaitables<'_>> {
                let function = wrap_pyfunction!(function, py)?.call0()?;
                let eager = wrap_pyfunction!(eager, py)?.call0()?;
                let cancellable = wrap_pyfunction!(cancellable, py)?.call0()?;
                let mut made = vec![
                    ("function", function),
                    ("eager", eager),
                    ("cancellable", cancellable),
                ];
                for name in ["shared", "exclusive", "__anext__"] {
                    // Use one object for each: `exclusive` borrows its object mutably.
                    made.push((name, Bound::new(py, Class)?.call_method0(name)?));
                }
                Ok(made)
            }

            #[test]
            fn exported_functions_raise_the_converted_error() -> PyResult<()> {
                assert_eq!(assert_that_each_fails(make)?, 6);
                Ok(())
            }
        }
    };
}

exports!(exported_on_async_std: async_std);
exports!(exported_on_smol: smol);
exports!(exported_on_tokio: tokio);
