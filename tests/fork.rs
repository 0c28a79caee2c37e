//! The child of a fork cannot use the executors of its parent. `pytests/tests/test_fork.py` tests forks from Python.

#![cfg(all(
    unix,
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

use pyo3::prelude::*;
use pyo3_asyncio::{async_std, smol, tokio};

/// Calls `use_child` in a child of this process, and returns whether the child succeeded.
fn in_child(py: Python<'_>, use_child: fn(Python<'_>) -> PyResult<()>) -> PyResult<bool> {
    let os = py.import("os")?;
    let child: i32 = os.call_method0("fork")?.extract()?;
    if child != 0 {
        let (_, status): (i32, i32) = os.call_method1("waitpid", (child, 0))?.extract()?;
        return Ok(status == 0);
    }
    let used = use_child(py);
    if let Err(error) = &used {
        error.display(py);
    }
    os.call_method1("_exit", (i32::from(used.is_err()),))?;
    Ok(false)
}

#[test]
fn using_an_executor_of_the_parent_in_a_child_returns_runtime_stopped() {
    use pyo3_asyncio::err::RuntimeStopped;

    fn refuses(py: Python<'_>) -> PyResult<()> {
        for error in [
            async_std::run(py, async { Ok(()) }).unwrap_err(),
            smol::run(py, async { Ok(()) }).unwrap_err(),
        ] {
            assert!(error.is_instance_of::<RuntimeStopped>(py), "{error}");
            assert!(error.to_string().contains("parent"), "{error}");
        }
        tokio::run(py, async { Ok(()) })
    }

    Python::initialize();
    Python::attach(|py| -> PyResult<()> {
        async_std::run(py, async { Ok(()) })?;
        smol::run(py, async { Ok(()) })?;
        tokio::run(py, async { Ok(()) })?;
        assert!(in_child(py, refuses)?);
        Ok(())
    })
    .unwrap();
}
