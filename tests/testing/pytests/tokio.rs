//! Tests under the harness of `pyo3_asyncio::testing`, on tokio.

#![deny(warnings)]
#![forbid(unsafe_code)]

#[path = "../src/behaviour.rs"]
mod behaviour;

behaviour::behaviour!(tokio);

/// One loop for all, that of `main`.
mod of_loops {
    use std::sync::OnceLock;

    use pyo3::prelude::*;
    use pyo3_asyncio::tokio::{get_current_loop, test};

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

mod of_tokio {
    use tokio::runtime::{Handle, RuntimeFlavor};

    #[pyo3_asyncio::tokio::test]
    async fn a_test_is_on_the_runtime_of_main() {
        assert_eq!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::MultiThread
        );
        assert_eq!(Handle::current().metrics().num_workers(), 3);
    }

    #[pyo3_asyncio::tokio::test]
    fn a_plain_test_is_inside_the_runtime_and_may_block_on_it() {
        let spawned = tokio::spawn(async { 42 });
        let spawned = Handle::current().block_on(spawned);
        assert_eq!(spawned.unwrap(), 42);
    }

    #[pyo3_asyncio::tokio::test(flavor = "current_thread")]
    async fn a_test_may_have_a_runtime_of_its_own() {
        assert_eq!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::CurrentThread
        );
    }

    #[pyo3_asyncio::tokio::test(worker_threads = 2)]
    async fn so_may_another() {
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }
}

#[pyo3_asyncio::tokio::main(worker_threads = 3)]
async fn main() -> pyo3::PyResult<()> {
    of_loops::remember()?;
    pyo3_asyncio::testing::main().await
}
