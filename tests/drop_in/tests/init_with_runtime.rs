//! A program that has a runtime already. It needs its own process.

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
fn init_with_runtime_uses_the_given_runtime() {
    init_with_runtime(&RUNTIME).expect("nothing was started before");
    assert!(std::ptr::eq(get_runtime(), &*RUNTIME));
    assert_eq!(init_with_runtime(&RUNTIME), Err(()));

    Python::initialize();
    let id = Python::attach(|py| run(py, async { Ok(tokio::runtime::Handle::current().id()) }));
    assert_eq!(id.unwrap(), RUNTIME.handle().id());
}
