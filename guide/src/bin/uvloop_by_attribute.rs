//! "Using `uvloop` in Rust Applications" says that the attribute cannot select uvloop. Here it does.

use pyo3::{prelude::*, types::PyType};

#[pyo3_asyncio::async_std::main(event_loop = "uvloop")]
async fn main() -> PyResult<()> {
    Python::attach(|py| -> PyResult<()> {
        let uvloop = py.import("uvloop")?;
        assert!(
            pyo3_asyncio::async_std::get_current_loop(py)?
                .is_instance(uvloop.getattr("Loop")?.cast::<PyType>().unwrap())?
        );
        Ok(())
    })?;

    async_std::task::sleep(std::time::Duration::from_secs(1)).await;

    Ok(())
}
