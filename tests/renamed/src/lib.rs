//! A facade, as a framework has it: its users reach the bridge through it.

use python::prelude::*;

pub use bridge;

/// A greeting, as Python gets it: the attributes find both crates under the names that `Cargo.toml` gives them.
#[bridge::tokio::pyfunction]
pub async fn greeting(name: String) -> String {
    format!("hello from {name}")
}

/// Somebody who greets.
#[python::pyclass(frozen, crate = "python")]
#[derive(Debug)]
pub struct Greeter;

#[bridge::tokio::pymethods]
impl Greeter {
    async fn greet(&self, name: String) -> String {
        greeting(name).await
    }
}

/// Awaits Python, which awaits Rust, and prints what came of it.
///
/// # Errors
///
/// Those of Python.
pub async fn greet(name: &str) -> PyResult<()> {
    let name = name.to_owned();
    let greeting = bridge::tokio::run_coroutine(move |py| {
        let greeter = Py::new(py, Greeter)?.into_bound(py);
        greeter.call_method1("greet", (name,))
    });
    println!("{}", greeting.extract::<String>().await?);
    Ok(())
}
