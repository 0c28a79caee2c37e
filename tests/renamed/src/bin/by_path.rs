//! The attribute finds the crate under the path in its options.

#[renamed::bridge::tokio::main(crate = "renamed::bridge")]
async fn main() -> python::PyResult<()> {
    renamed::greet("a path").await
}
