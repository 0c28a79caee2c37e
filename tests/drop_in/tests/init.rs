//! A program that chooses how tokio is built. It is a process of its own.

use std::sync::Once;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, get_runtime, init, into_future, run};
use tokio::runtime::{Builder, RuntimeFlavor};

#[test]
fn the_runtime_is_built_as_the_builder_says() {
    static START: Once = Once::new();

    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(3).enable_all();
    // A closure that has to return `()`, and a later call before the first use: both compile and work there.
    START.call_once(|| init(Builder::new_current_thread()));
    init(builder);

    Python::initialize();
    let answer = Python::attach(|py| {
        run(py, async {
            let value = Python::attach(|py| into_future(future_into_py(py, async { Ok(42) })?))?;
            let value = value.await?;
            Python::attach(|py| value.extract::<u8>(py))
        })
    });
    assert_eq!(answer.unwrap(), 42);
    assert_eq!(get_runtime().metrics().num_workers(), 3);
    assert_eq!(
        get_runtime().handle().runtime_flavor(),
        RuntimeFlavor::MultiThread
    );
}
