//! A test program that makes its tests itself.

use std::time::Duration;

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3_asyncio::testing::{Test, parse_args, test_harness};

fn unmade() -> bool {
    panic!("nothing is made of this")
}

#[pyo3_asyncio::tokio::main(flavor = "current_thread")]
async fn main() -> PyResult<()> {
    let tests = vec![
        // What makes the future needs the runtime, and so does the future.
        Test {
            name: "sleeps",
            test_fn: &|| {
                let nap = tokio::time::sleep(Duration::from_millis(1));
                Box::pin(async {
                    nap.await;
                    Ok(())
                })
            },
        },
        Test {
            name: "panics",
            test_fn: &|| Box::pin(async { panic!("by hand") }),
        },
        Test {
            name: "panics before it begins",
            test_fn: &|| {
                assert!(unmade());
                Box::pin(async { Ok(()) })
            },
        },
    ];
    let ended = test_harness(tests, parse_args()).await;
    let failed = ended.expect_err("two of the tests fail");
    Python::attach(|py| assert!(failed.is_instance_of::<PySystemExit>(py)));
    Ok(())
}
