//! The attribute finds the crate under the name that `Cargo.toml` gives it.

#[bridge::tokio::main]
async fn main() -> python::PyResult<()> {
    renamed::greet("another name").await
}
