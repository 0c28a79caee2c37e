//! The attribute finds the crate where it is told to.

#[renamed::bridge::tokio::main(crate = "renamed::bridge")]
async fn main() -> python::PyResult<()> {
    renamed::greet("a path").await
}
