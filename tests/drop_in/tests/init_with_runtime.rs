//! A program that has a runtime already. It is a process of its own.

use std::sync::LazyLock;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{get_runtime, init_with_runtime, run};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder.build().expect("the system has a thread for it")
});

#[test]
fn the_runtime_is_the_one_that_was_given() {
    init_with_runtime(&RUNTIME).expect("nothing was started before");
    assert!(std::ptr::eq(get_runtime(), &*RUNTIME));
    assert_eq!(init_with_runtime(&RUNTIME), Err(()));

    Python::initialize();
    let id = Python::attach(|py| run(py, async { Ok(tokio::runtime::Handle::current().id()) }));
    assert_eq!(id.unwrap(), RUNTIME.handle().id());
}
