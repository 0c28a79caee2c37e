//! The recipes of `docs/recipes.md`, a module for each.

mod client;
mod listener;
mod lock;
mod logging;
mod timeouts;
mod traces;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod recipes {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::listener::subscribe;
    #[pymodule_export]
    use crate::lock::Prices;
    #[pymodule_export]
    use crate::logging::{log_from_worker, log_to_python};
    #[pymodule_export]
    use crate::timeouts::{call_within, fetch_within, sleep};
    #[pymodule_export]
    use crate::traces::{handle, rust_spans};

    /// The counters of the bridge.
    #[pyfunction]
    fn metrics() -> pyo3_asyncio::Metrics {
        pyo3_asyncio::metrics()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::traces::init();
        pyo3_asyncio::err::register(module)
    }
}
