//! A program that chooses the builder of tokio. It needs its own process.

use std::sync::Once;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, get_runtime, init, into_future, run};
use tokio::runtime::{Builder, RuntimeFlavor};

#[test]
fn init_builds_the_runtime_with_the_given_builder() {
    static START: Once = Once::new();

    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(3).enable_all();
    // In pyo3-async-runtimes, a closure that returns `()` and a second call before the first use compile and work.
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
