//! The attribute in tests under cargo's harness, where neither crate has its own name.

use python::prelude::*;

#[bridge::tokio::test]
async fn the_crate_is_found_under_another_name() -> PyResult<()> {
    renamed::greet("a test").await
}

#[renamed::bridge::tokio::test(crate = "renamed::bridge", event_loop = "asyncio")]
async fn the_crate_is_found_by_a_path(event_loop: Py<PyAny>) {
    let event_loop = Python::attach(|py| event_loop.bind(py).repr().map(|text| text.to_string()));
    assert!(event_loop.unwrap().contains("closed=False"));
}
