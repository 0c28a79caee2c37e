//! Programs that end by themselves.

use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;

pub(crate) mod returning {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Ok(())
    }
}

pub(crate) mod raising {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        let task = Python::attach(|py| {
            let module = PyModule::from_code(
                py,
                c"async def fails():\n    raise LookupError('deep down')",
                c"fails.py",
                c"fails",
            )?;
            pyo3_asyncio::tokio::into_future(module.call_method0("fails")?)
        })?;
        task.await.map(drop)
    }
}

pub(crate) mod failing_in_its_own_way {
    use super::*;

    pub(crate) struct Misconfigured;

    impl From<Misconfigured> for PyErr {
        fn from(_: Misconfigured) -> PyErr {
            PyValueError::new_err("misconfigured")
        }
    }

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> Result<(), Misconfigured> {
        Err(Misconfigured)
    }
}

pub(crate) mod panicking {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        if true {
            panic!("the program's own text");
        }
        Err(PyValueError::new_err("not reached"))
    }
}

pub(crate) mod exiting {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Err(PySystemExit::new_err(3))
    }
}

pub(crate) mod exiting_with_text {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Err(PySystemExit::new_err("that is all"))
    }
}

pub(crate) mod exiting_with_nothing {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Err(PySystemExit::new_err(()))
    }
}

pub(crate) mod printing {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        Python::attach(|py| py.run(c"print('buffered', end='')", None, None))
    }
}
