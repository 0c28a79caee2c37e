//! A facade, as a framework has it: its users reach the bridge through it.

use python::prelude::*;

pub use bridge;

/// Awaits Python, and prints what came of it.
///
/// # Errors
///
/// Those of Python.
pub async fn greet(name: &str) -> PyResult<()> {
    let greeting = format!("hello from {name}");
    let sleep = Python::attach(|py| {
        let asyncio = py.import("asyncio")?;
        bridge::tokio::into_future(asyncio.call_method1("sleep", (0, greeting))?)
    })?;
    println!("{}", sleep.await?);
    Ok(())
}
