//! What holds for a test under either harness, on every runtime.

/// Tests of `#[pyo3_asyncio::$runtime::test]`.
macro_rules! behaviour {
    ($runtime:ident) => {
        mod $runtime {
            use std::cell::Cell;
            use std::rc::Rc;
            use std::sync::mpsc;
            use std::thread;

            use pyo3::exceptions::PyRuntimeError;
            use pyo3::prelude::*;
            use pyo3::types::PyCFunction;
            use pyo3_asyncio::TaskLocals;
            use pyo3_asyncio::$runtime::{
                future_into_py, get_current_loop, into_future, run_coroutine, test,
            };

            /// It runs as soon as its thread comes to it: a test may be faster.
            fn assert_is_open(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
                let is_closed: bool = event_loop.call_method0("is_closed")?.extract()?;
                assert!(!is_closed);
                Ok(())
            }

            // By an import, under the name of the standard attribute.
            #[test]
            async fn an_async_test_awaits_python_and_is_awaited_by_it() -> PyResult<()> {
                let sum = Python::attach(|py| {
                    let nap = future_into_py(py, async { Ok(2) })?;
                    let code = c"async def add(one, other): return one + await other";
                    let module = PyModule::new(py, "sum")?;
                    py.run(code, Some(&module.dict()), None)?;
                    into_future(module.call_method1("add", (40, nap))?)
                })?;
                let sum = sum.await?;
                assert_eq!(Python::attach(|py| sum.extract::<i32>(py))?, 42);
                Ok(())
            }

            /// Its `Send` is nobody's concern.
            #[test]
            async fn an_async_test_stays_on_its_thread() {
                let before = (thread::current().id(), Rc::new(Cell::new(1)));
                let nap = run_coroutine(|py| py.import("asyncio")?.call_method1("sleep", (0.001,)));
                nap.await.unwrap();
                before.1.set(2);
                assert_eq!(before.0, thread::current().id());
            }

            #[test]
            fn a_plain_test_blocks_while_its_loop_runs() -> PyResult<()> {
                let (sender, receiver) = mpsc::channel();
                Python::attach(|py| {
                    let event_loop = get_current_loop(py)?;
                    assert_is_open(&event_loop)?;
                    let callback = PyCFunction::new_closure(py, None, None, move |_, _| {
                        sender
                            .send("called by the loop")
                            .map_err(|_| PyRuntimeError::new_err("gone"))
                    })?;
                    event_loop
                        .call_method1("call_soon_threadsafe", (callback,))
                        .map(drop)
                })?;
                assert_eq!(receiver.recv(), Ok("called by the loop"));
                Ok(())
            }

            #[test]
            fn a_plain_test_may_take_its_loop(event_loop: Py<PyAny>) -> PyResult<()> {
                Python::attach(|py| {
                    assert!(event_loop.bind(py).is(get_current_loop(py)?));
                    assert_is_open(event_loop.bind(py))
                })
            }

            #[test]
            async fn an_async_test_may_take_its_loop(locals: TaskLocals) -> PyResult<()> {
                Python::attach(|py| assert_is_open(&locals.event_loop(py)))
            }

            #[test]
            fn a_thread_is_named_after_its_test() {
                let name = thread::current().name().map(str::to_owned);
                let (_, module) = module_path!().split_once("::").unwrap();
                assert_eq!(
                    name,
                    Some(format!("{module}::a_thread_is_named_after_its_test"))
                );
            }

            // uvloop is not for Windows.
            #[cfg(unix)]
            #[test(event_loop = "uvloop")]
            async fn a_test_may_choose_its_loop() -> PyResult<()> {
                Python::attach(|py| {
                    let event_loop = get_current_loop(py)?;
                    assert_is_open(&event_loop)?;
                    let module: String = event_loop.get_type().getattr("__module__")?.extract()?;
                    assert_eq!(module, "uvloop");
                    Ok(())
                })
            }

            #[test]
            fn a_test_may_give_an_error_of_rust() -> Result<(), Box<dyn std::error::Error>> {
                let number: u8 = "1".parse()?;
                assert_eq!(number, 1);
                Ok(())
            }

            #[test]
            #[should_panic(expected = "on purp")]
            async fn a_panic_may_be_what_is_expected() {
                panic!("on purpose");
            }

            #[test]
            #[should_panic]
            fn a_plain_panic_may_be_what_is_expected() -> PyResult<()> {
                panic!("on purpose");
            }
        }
    };
}

pub(crate) use behaviour;
