//! Programs that print what they run on.

use pyo3::prelude::*;
use pyo3_asyncio::tokio::{get_current_loop, get_runtime};

fn print_runtime_and_loop() -> PyResult<()> {
    let runtime = get_runtime();
    let event_loop = Python::attach(|py| {
        let class = get_current_loop(py)?.get_type();
        class.module().map(|module| module.to_string())
    })?;
    let package = event_loop.split('.').next().unwrap_or_default();
    println!(
        "{:?} {} {package}",
        runtime.handle().runtime_flavor(),
        runtime.metrics().num_workers()
    );
    Ok(())
}

pub(crate) mod multi_thread {
    use super::*;

    #[pyo3_asyncio::tokio::main(flavor = "multi_thread", worker_threads = 3)]
    pub(crate) async fn main() -> PyResult<()> {
        print_runtime_and_loop()
    }
}

pub(crate) mod current_thread {
    use super::*;

    #[pyo3_asyncio::tokio::main(flavor = "current_thread")]
    pub(crate) async fn main() -> PyResult<()> {
        print_runtime_and_loop()
    }
}

pub(crate) mod uvloop {
    use super::*;

    #[pyo3_asyncio::tokio::main(worker_threads = 1, event_loop = "uvloop")]
    pub(crate) async fn main() -> PyResult<()> {
        print_runtime_and_loop()
    }
}

#[cfg(unix)]
pub(crate) mod one_thread {
    use std::thread;

    use super::*;

    /// Says whether the main future and a task that it spawns run on the thread of the program's `main`.
    #[pyo3_asyncio::tokio::main(event_loop = "tokio")]
    pub(crate) async fn main() -> PyResult<()> {
        let is_main = || thread::current().name() == Some("main");
        let spawned = tokio::spawn(async move { is_main() }).await;
        println!("{} {}", is_main(), spawned.expect("it does not panic"));
        Ok(())
    }
}

pub(crate) mod packages {
    use super::*;

    /// Prints the version of Python, and whether it finds the package that a test has laid out.
    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Python::attach(|py| {
            let version = py.version_info();
            let package = py.import("pyo3_asyncio_marker");
            let found = package.and_then(|package| package.getattr("NAME"));
            let found = found.map_or_else(|error| error.to_string(), |name| name.to_string());
            println!("{}.{} {found}", version.major, version.minor);
            Ok(())
        })
    }
}
