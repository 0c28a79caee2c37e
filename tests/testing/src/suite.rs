//! A test program with one of every kind of test: `tests/processes.rs` starts it and looks at what it says.

#![deny(warnings)]

use std::time::Duration;

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main]
async fn main() -> PyResult<()> {
    pyo3_asyncio::testing::main().await
}

mod passing {
    use super::*;

    #[pyo3_asyncio::tokio::test]
    async fn sleeps() -> PyResult<()> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    #[pyo3_asyncio::tokio::test]
    fn blocks() -> PyResult<()> {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    #[pyo3_asyncio::async_std::test]
    async fn prints() {
        println!("printed by a test");
    }
}

mod failing {
    use std::error::Error;

    use super::*;

    #[pyo3_asyncio::tokio::test]
    async fn raises() -> PyResult<()> {
        Python::attach(|py| {
            let module = PyModule::new(py, "failing")?;
            let code = c"
def fails():
    raise LookupError('deep down')
";
            py.run(code, Some(&module.dict()), None)?;
            module.call_method0("fails").map(drop)
        })
    }

    #[pyo3_asyncio::smol::test]
    fn raises_in_a_box() -> Result<(), Box<dyn Error + Send + Sync>> {
        Python::attach(|py| py.import("no_such_module").map(drop))?;
        Ok(())
    }

    #[pyo3_asyncio::tokio::test]
    async fn panics() {
        panic!("the test's own text");
    }

    #[pyo3_asyncio::tokio::test]
    fn panics_while_it_blocks() {
        std::panic::panic_any(7);
    }

    #[pyo3_asyncio::tokio::test]
    fn gives_an_error_of_rust() -> Result<(), Box<dyn Error>> {
        Ok("one".parse::<u8>().map(drop)?)
    }
}

mod panicking {
    use super::*;

    #[pyo3_asyncio::tokio::test]
    #[should_panic]
    async fn as_it_should() {
        panic!("on purpose");
    }

    #[pyo3_asyncio::tokio::test]
    #[should_panic(expected = "purpose")]
    fn with_the_expected_text() -> PyResult<()> {
        panic!("on purpose");
    }

    #[pyo3_asyncio::tokio::test]
    #[should_panic = "by accident"]
    async fn with_another_text() {
        panic!("on purpose");
    }

    #[pyo3_asyncio::tokio::test]
    #[should_panic]
    async fn not_at_all() {}

    #[pyo3_asyncio::tokio::test]
    #[should_panic]
    async fn but_an_error() -> PyResult<()> {
        Err(pyo3::exceptions::PyLookupError::new_err("no panic"))
    }
}

mod ignored {
    #[pyo3_asyncio::tokio::test]
    #[ignore = "it takes a day"]
    async fn for_a_reason() {}

    #[pyo3_asyncio::tokio::test]
    #[ignore]
    fn for_none() {}
}

mod twins {
    mod one {
        #[pyo3_asyncio::tokio::test]
        async fn same_name() {}
    }

    mod two {
        #[pyo3_asyncio::tokio::test]
        async fn same_name() {
            panic!("only this one fails");
        }
    }
}

/// Tests that need the others of their kind to run with them, or none: not with all the others.
mod started {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static MEETING: Barrier = Barrier::new(2);

    #[pyo3_asyncio::tokio::test]
    #[ignore = "needs the other one"]
    async fn meets_the_other() {
        MEETING.wait();
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "needs the other one"]
    fn meets_the_other_in_a_thread() {
        MEETING.wait();
    }

    static RUNNING: AtomicUsize = AtomicUsize::new(0);

    async fn is_alone() {
        assert_eq!(RUNNING.fetch_add(1, Ordering::SeqCst), 0);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(RUNNING.fetch_sub(1, Ordering::SeqCst), 1);
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "needs to be alone"]
    async fn alone() {
        is_alone().await;
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "needs to be alone"]
    async fn alone_too() {
        is_alone().await;
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "does not end"]
    async fn waits_to_be_interrupted() {
        println!("ready");
        std::future::pending().await
    }
}
