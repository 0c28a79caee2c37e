//! "Using `uvloop` in Rust Applications".

use pyo3::{prelude::*, types::PyType};

fn main() -> PyResult<()> {
    Python::initialize();

    Python::attach(|py| {
        let uvloop = py.import("uvloop")?;
        uvloop.call_method0("install")?;

        // store a reference for the assertion
        let uvloop: Py<PyAny> = uvloop.into();

        pyo3_asyncio::async_std::run(py, async move {
            // verify that we are on a uvloop.Loop
            Python::attach(|py| -> PyResult<()> {
                assert!(
                    pyo3_asyncio::async_std::get_current_loop(py)?
                        .is_instance(uvloop.bind(py).getattr("Loop")?.cast::<PyType>().unwrap())?
                );
                Ok(())
            })?;

            async_std::task::sleep(std::time::Duration::from_secs(1)).await;

            Ok(())
        })
    })
}
