//! Tests of every kind, in a program for one runtime. A test can take the loop only on the runtime of its `main`.

/// Defines the tests of a runtime, and a `main` that runs them.
macro_rules! program {
    ($runtime:ident, $runs_them:expr) => {
        mod tests {
            use pyo3::prelude::*;
            use pyo3::types::PyCFunction;
            use pyo3_async_runtimes::$runtime::{future_into_py, into_future};

            #[pyo3_async_runtimes::$runtime::test]
            async fn an_async_test_awaits_python() -> PyResult<()> {
                let sleep = Python::attach(|py| {
                    into_future(py.import("asyncio")?.call_method1("sleep", (0, 42))?)
                })?;
                let slept = sleep.await?;
                assert_eq!(Python::attach(|py| slept.extract::<u8>(py))?, 42);
                Ok(())
            }

            #[pyo3_async_runtimes::$runtime::test]
            fn a_plain_test_can_take_the_loop(event_loop: Py<PyAny>) -> PyResult<()> {
                let is_running = Python::attach(|py| {
                    event_loop
                        .call_method0(py, "is_running")?
                        .extract::<bool>(py)
                })?;
                assert!(is_running);
                Ok(())
            }

            #[pyo3_async_runtimes::$runtime::test]
            fn a_plain_test_can_run_its_own_loops() -> PyResult<()> {
                Python::attach(|py| {
                    let python = PyModule::from_code(
                        py,
                        c"async def wait(function):\n    return await function()",
                        c"wait.py",
                        c"wait",
                    )?;
                    let rust = PyCFunction::new_closure(py, None, None, |arguments, _| {
                        future_into_py(arguments.py(), async { Ok(42) }).map(Bound::unbind)
                    })?;
                    for _ in 0..2 {
                        let main = python.call_method1("wait", (&rust,))?;
                        let answer = py.import("asyncio")?.call_method1("run", (main,))?;
                        assert_eq!(answer.extract::<u8>()?, 42);
                    }
                    Ok(())
                })
            }
        }

        mod by_hand {
            use std::future::Future;
            use std::pin::Pin;

            use pyo3::PyResult;
            use pyo3_async_runtimes::{inventory, testing::Test};

            fn test() -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> {
                Box::pin(async {
                    let inner = Test {
                        name: "inner",
                        test_fn: &|| Box::pin(async { Ok(()) }),
                    };
                    assert_eq!(inner.clone().name, "inner");
                    inner.task().await
                })
            }

            inventory::submit! {
                Test {
                    name: concat!(module_path!(), "::a_test_is_registered_without_an_attribute"),
                    test_fn: &test,
                }
            }
        }

        #[pyo3_async_runtimes::$runtime::main]
        async fn main() -> pyo3::PyResult<()> {
            assert_eq!(registered().len(), 4);
            $runs_them.await
        }

        fn registered() -> Vec<pyo3_async_runtimes::testing::Test> {
            let registered = pyo3_async_runtimes::inventory::iter::<_>();
            registered.cloned().collect()
        }
    };
}
