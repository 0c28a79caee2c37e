//! The facade of a framework, through which its users reach the bridge.

use python::prelude::*;

pub use bridge;

/// A greeting for Python. The attribute finds both crates under their names in `Cargo.toml`.
#[bridge::tokio::pyfunction]
pub async fn greeting(name: String) -> String {
    format!("hello from {name}")
}

/// A class with a greeting.
#[python::pyclass(frozen, crate = "python")]
#[derive(Debug)]
pub struct Greeter;

#[bridge::tokio::pymethods]
impl Greeter {
    async fn greet(&self, name: String) -> String {
        greeting(name).await
    }
}

/// Awaits Python, which awaits Rust, and prints the result.
///
/// # Errors
///
/// The errors of the Python code.
pub async fn greet(name: &str) -> PyResult<()> {
    let name = name.to_owned();
    let greeting = bridge::tokio::run_coroutine(move |py| {
        let greeter = Py::new(py, Greeter)?.into_bound(py);
        greeter.call_method1("greet", (name,))
    });
    println!("{}", greeting.extract::<String>().await?);
    Ok(())
}
