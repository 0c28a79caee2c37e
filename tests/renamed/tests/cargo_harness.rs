//! Tests under cargo's harness, in a package that renames both crates.

use python::prelude::*;

#[bridge::tokio::test]
async fn a_test_finds_the_crate_under_another_name() -> PyResult<()> {
    renamed::greet("a test").await
}

#[renamed::bridge::tokio::test(crate = "renamed::bridge", event_loop = "asyncio")]
async fn a_test_finds_the_crate_by_a_path(event_loop: Py<PyAny>) {
    let event_loop = Python::attach(|py| event_loop.bind(py).repr().map(|text| text.to_string()));
    assert!(event_loop.unwrap().contains("closed=False"));
}
