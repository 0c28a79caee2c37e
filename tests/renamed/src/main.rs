//! The attribute finds the crate under its name in `Cargo.toml`.

#[bridge::tokio::main]
async fn main() -> python::PyResult<()> {
    renamed::greet("another name").await
}
