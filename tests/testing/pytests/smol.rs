//! Tests under the harness of `pyo3_asyncio::testing`, on smol.

#![deny(warnings)]
#![forbid(unsafe_code)]

#[path = "../src/behaviour.rs"]
mod behaviour;

behaviour::behaviour!(smol);

/// One loop for all, that of `main`.
mod of_loops {
    use std::sync::OnceLock;

    use pyo3::prelude::*;
    use pyo3_asyncio::smol::{get_current_loop, test};

    static OF_MAIN: OnceLock<Py<PyAny>> = OnceLock::new();

    pub(crate) fn remember() -> PyResult<()> {
        let event_loop = Python::attach(|py| get_current_loop(py).map(Bound::unbind))?;
        OF_MAIN.set(event_loop).expect("main runs once");
        Ok(())
    }

    fn is_of_main() -> PyResult<bool> {
        let of_main = OF_MAIN.get().expect("main has begun");
        Python::attach(|py| Ok(get_current_loop(py)?.is(of_main)))
    }

    #[test]
    async fn a_test_has_the_loop_of_main() -> PyResult<()> {
        assert!(is_of_main()?);
        Ok(())
    }

    #[test]
    fn a_plain_test_has_the_loop_of_main() -> PyResult<()> {
        assert!(is_of_main()?);
        Ok(())
    }

    #[test(event_loop = "asyncio")]
    async fn a_test_that_names_a_kind_of_loop_has_one_of_its_own() -> PyResult<()> {
        assert!(!is_of_main()?);
        Ok(())
    }
}

#[pyo3_asyncio::smol::main]
async fn main() -> pyo3::PyResult<()> {
    of_loops::remember()?;
    pyo3_asyncio::testing::main().await
}
