//! The functions of `custom`, as they are called there, on a runtime of one's own.
//!
//! Here, and only here, code has to change: the runtime implements the trait, which is smaller.

use std::future::Future;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::custom::{
    Runtime, future_into_py, future_into_py_with_locals, get_current_locals, get_current_loop,
    into_future, run, run_until_complete,
};

/// async-std, as somebody would bring it.
struct Own;

impl Runtime for Own {
    fn spawn<F>(fut: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        async_std::task::spawn(fut);
    }
}

#[test]
fn a_runtime_of_ones_own_is_the_first_type_parameter() {
    Python::initialize();
    Python::attach(|py| {
        let answer = run::<Own, _, i32>(py, async {
            let awaited = Python::attach(|py| -> PyResult<_> {
                let locals: TaskLocals = get_current_locals(py)?;
                let one = future_into_py::<Own, _, i32>(py, async { Ok(1) })?;
                let two = future_into_py_with_locals::<Own, _, i32>(py, locals, async { Ok(2) })?;
                Ok([into_future(one)?, into_future(two)?])
            })?;
            let mut sum = 0;
            for future in awaited {
                let value = future.await?;
                sum += Python::attach(|py| value.extract::<i32>(py))?;
            }
            Ok(sum)
        })?;
        assert_eq!(answer, 3);
        Ok::<_, PyErr>(())
    })
    .expect("Python and Rust await each other");
}

#[test]
fn a_loop_of_ones_own_runs_until_the_future_is_complete() {
    Python::initialize();
    Python::attach(|py| {
        let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
        let own = event_loop.clone().unbind();
        let is_current = run_until_complete::<Own, _, bool>(event_loop.clone(), async move {
            Python::attach(|py| Ok(get_current_loop(py)?.is(own.bind(py))))
        })?;
        assert!(is_current);
        event_loop.call_method0("close").map(drop)
    })
    .unwrap_or_else(|error: PyErr| panic!("{error}"));
}
