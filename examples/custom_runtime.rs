//! A runtime of your own: four threads on which a future may block, as it may not on tokio's workers.
//!
//! `cargo run --example custom_runtime` counts the lines of asyncio's source code with it.

use std::{future::Future, path::PathBuf, sync::LazyLock};

use async_executor::Executor;
use futures_lite::future::{block_on, pending};
use pyo3::prelude::*;
use pyo3_asyncio::custom::{self, Runtime};

pub(crate) struct Pool;

static EXECUTOR: LazyLock<Executor<'_>> = LazyLock::new(|| {
    for _ in 0..4 {
        std::thread::spawn(|| block_on(EXECUTOR.run(pending::<()>())));
    }
    Executor::new()
});

impl Runtime for Pool {
    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) {
        EXECUTOR.spawn(future).detach();
    }
}

#[pyfunction]
fn count_lines(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    custom::future_into_py::<Pool, _, _>(py, async move {
        Ok(std::fs::read_to_string(path)?.lines().count())
    })
}

pub(crate) fn main() -> PyResult<()> {
    const COUNT_ALL: &std::ffi::CStr = c"
import asyncio, pathlib

async def count_all(count_lines):
    files = list(pathlib.Path(asyncio.__file__).parent.glob('*.py'))
    counts = await asyncio.gather(*map(count_lines, files))
    print(f'{sum(counts)} lines in {len(files)} files')";
    Python::initialize();
    Python::attach(|py| {
        let python = PyModule::from_code(py, COUNT_ALL, c"count.py", c"count")?;
        let counted = python.call_method1("count_all", (wrap_pyfunction!(count_lines, py)?,))?;
        let asyncio = py.import("asyncio")?;
        asyncio.call_method1("run", (counted,)).map(drop)
    })
}
