//! The Rust half of the comparison: the same workload on both bridges, the floor of one hop, and a timer to watch.
//!
//! Everything runs on one tokio runtime, so neither side has threads or settings that the other has not.

use std::sync::LazyLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

mod floor;
mod ours;
mod peer;
mod timer;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime of two workers can be built")
});

/// PyO3's own coroutine, which polls on the thread that awaits and has no runtime.
#[pyfunction]
async fn bare_coroutine() -> i32 {
    1
}

/// One workload on two bridges.
#[pymodule]
fn bridges(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let taken = |side| PyRuntimeError::new_err(format!("{side} already has a runtime"));
    pyo3_async_runtimes::tokio::init_with_runtime(&RUNTIME).map_err(|()| taken("the peer"))?;
    pyo3_asyncio::tokio::init_with_runtime(&RUNTIME).map_err(|_| taken("pyo3-asyncio"))?;

    for (name, register) in [
        ("peer", peer::register as fn(&Bound<'_, PyModule>) -> _),
        ("ours", ours::register),
    ] {
        let side = PyModule::new(module.py(), name)?;
        register(&side)?;
        module.add_submodule(&side)?;
    }
    floor::register(module)?;
    module.add_function(wrap_pyfunction!(bare_coroutine, module)?)?;
    module.add_class::<timer::TimerWatch>()
}
