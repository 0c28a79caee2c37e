//! The functions of `generic`, as they are called there, on a runtime of one's own.
//!
//! Here, and only here, code has to change: the runtime implements the trait, which is smaller.

use std::future::Future;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{
    Runtime, future_into_py, future_into_py_with_locals, get_current_locals, into_future, run,
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
