//! Tests under the harness of `testing`, in a package that renames both crates.

use python::prelude::*;

#[bridge::tokio::test]
async fn a_test_finds_the_crate_under_another_name() -> PyResult<()> {
    renamed::greet("a test").await
}

#[renamed::bridge::tokio::test(crate = "renamed::bridge")]
fn a_test_finds_the_crate_by_a_path(locals: bridge::TaskLocals) -> PyResult<()> {
    Python::attach(|py| {
        let event_loop = bridge::tokio::get_current_loop(py)?;
        assert!(locals.event_loop(py).is(&event_loop));
        Ok(())
    })
}

#[bridge::tokio::main]
async fn main() -> PyResult<()> {
    bridge::testing::main().await
}
