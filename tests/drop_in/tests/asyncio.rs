//! Code for pyo3-async-runtimes works under asyncio, on both runtimes.

use std::ffi::CStr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ::tokio::sync::oneshot;
use futures_util::{StreamExt, TryStreamExt};
use pyo3::exceptions::{PyException, PyLookupError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::{TaskLocals, err::RustPanic, get_running_loop, into_future_with_locals};

const PYTHON: &CStr = c"
import asyncio
import contextvars

variable = contextvars.ContextVar('variable', default='unset')

async def call(function, *arguments):
    return function(*arguments)

async def wait(function, *arguments):
    return await function(*arguments)

async def wait_with(value, function):
    variable.set(value)
    return await function()

async def get():
    await asyncio.sleep(0)
    return variable.get()

async def double(number):
    await asyncio.sleep(0)
    return number * 2

async def fail():
    raise LookupError('on purpose')

async def numbers(count, seconds):
    for number in range(count):
        if seconds is not None:
            await asyncio.sleep(seconds)
        yield number
";

/// Imports the module above, once: to import it again would replace the variable of a test that runs.
fn python(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = || PyModule::from_code(py, PYTHON, c"drop_in.py", c"drop_in").map(Bound::unbind);
    Ok(MODULE.get_or_try_init(py, module)?.bind(py))
}

/// Makes a Python function of a closure.
fn callback<T>(
    py: Python<'_>,
    function: impl Fn(Python<'_>) -> PyResult<T> + Send + Sync + 'static,
) -> PyResult<Bound<'_, PyCFunction>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    PyCFunction::new_closure(py, None, None, move |arguments, _| function(arguments.py()))
}

fn attached(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    Python::initialize();
    Python::attach(test).unwrap_or_else(|error| {
        panic!(
            "{}",
            Python::attach(|py| format!("{error}: {:?}", error.traceback(py)))
        )
    });
}

#[test]
fn task_locals_keep_their_loop_and_context() {
    attached(|py| {
        let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
        let locals = TaskLocals::new(event_loop.clone());
        assert!(locals.event_loop(py).is(&event_loop));
        assert!(locals.context(py).is_none());

        let context = py.import("contextvars")?.call_method0("Context")?;
        let locals = locals.with_context(context.clone());
        assert!(locals.clone().event_loop(py).is(&event_loop));
        assert!(locals.context(py).is(&context));
        #[expect(
            deprecated,
            reason = "both crates deprecate it, and users still call it"
        )]
        let same = locals.clone_ref(py);
        assert!(same.event_loop(py).is(&event_loop) && same.context(py).is(&context));

        let locals = locals.copy_context(py)?;
        assert!(locals.event_loop(py).is(&event_loop));
        assert!(!locals.context(py).is(&context));
        assert!(format!("{locals:?}").contains("event_loop"));
        event_loop.call_method0("close")?;
        Ok(())
    });
}

#[test]
fn get_running_loop_finds_the_running_loop() {
    attached(|py| {
        assert!(get_running_loop(py).is_err());
        assert!(TaskLocals::with_running_loop(py).is_err());
        let same = callback(py, |py| {
            let event_loop = get_running_loop(py)?;
            let locals = TaskLocals::with_running_loop(py)?;
            Ok(locals.event_loop(py).is(&event_loop) && locals.context(py).is_none())
        })?;
        let main = python(py)?.call_method1("call", (same,))?;
        let same = py.import("asyncio")?.call_method1("run", (main,))?;
        assert!(same.extract::<bool>()?);
        Ok(())
    });
}

/// Blocks on a future that is not `Send`.
fn block_on_tokio<F: Future>(future: F) -> F::Output {
    let runtime = pyo3_async_runtimes::tokio::get_runtime();
    ::tokio::task::LocalSet::new().block_on(runtime, future)
}

macro_rules! on_each_runtime {
    ($($runtime:ident: $sleep:path, $block_on:path)+) => { $( mod $runtime {
        #[allow(deprecated, reason = "only pyo3-async-runtimes deprecates two of them")]
        use pyo3_async_runtimes::$runtime::{
            future_into_py, future_into_py_with_locals, get_current_locals, get_current_loop,
            into_future, into_stream_v1, into_stream_v2, into_stream_with_locals_v1,
            into_stream_with_locals_v2, local_future_into_py, local_future_into_py_with_locals, run,
            run_until_complete, scope, scope_local,
        };

        use super::*;

        const SHORT: Duration = Duration::from_millis(1);

        #[test]
        fn python_awaits_a_future_that_awaits_python() {
            attached(|py| {
                let double = python(py)?.getattr("double")?.unbind();
                let rust = callback(py, move |py| {
                    let double = double.clone_ref(py);
                    let future = future_into_py(py, async move {
                        $sleep(SHORT).await;
                        let doubled = Python::attach(|py| into_future(double.bind(py).call1((21,))?))?;
                        doubled.await
                    })?;
                    Ok(future.unbind())
                })?;
                let main = python(py)?.call_method1("wait", (rust,))?;
                let answer = py.import("asyncio")?.call_method1("run", (main,))?;
                assert_eq!(answer.extract::<u8>()?, 42);
                Ok(())
            });
        }

        #[test]
        fn run_returns_the_value_of_its_future() {
            attached(|py| {
                let text = run(py, async {
                    $sleep(SHORT).await;
                    Ok(String::from("done"))
                })?;
                assert_eq!(text, "done");
                Ok(())
            });
        }

        #[test]
        fn one_loop_runs_several_futures_in_turn() {
            attached(|py| {
                let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
                for number in [1, 2] {
                    let future = async move {
                        $sleep(SHORT).await;
                        Ok(number)
                    };
                    assert_eq!(run_until_complete(event_loop.clone(), future)?, number);
                }
                event_loop.call_method0("close")?;
                Ok(())
            });
        }

        #[test]
        fn a_python_exception_comes_back_unchanged() {
            attached(|py| {
                let result = run(py, async {
                    Python::attach(|py| into_future(python(py)?.call_method0("fail")?))?.await
                });
                let error = result.unwrap_err();
                assert!(error.is_instance_of::<PyLookupError>(py));
                assert!(error.traceback(py).is_some());
                Ok(())
            });
        }

        #[test]
        fn streams_give_the_items_of_async_generators() {
            // The first generator is slow, and the second one is ahead of any buffer.
            for (count, seconds) in [(10, Some(0.001)), (1000, None)] {
                fn numbers(py: Python<'_>, count: i32, seconds: Option<f64>) -> PyResult<Bound<'_, PyAny>> {
                    python(py)?.call_method1("numbers", (count, seconds))
                }
                let number = |item: Py<PyAny>| Python::attach(|py| item.extract::<i32>(py));
                attached(|py| {
                    let taken = run(py, async move {
                        let streams = Python::attach(|py| {
                            let second = into_stream_with_locals_v1(get_current_locals(py)?, numbers(py, count, seconds)?)?;
                            Ok::<_, PyErr>([into_stream_v1(numbers(py, count, seconds)?)?.boxed(), second.boxed()])
                        })?;
                        let mut taken = Vec::new();
                        for stream in streams {
                            taken.push(stream.and_then(|item| async { number(item) }).try_collect().await?);
                        }
                        let streams = Python::attach(|py| {
                            let second = into_stream_with_locals_v2(get_current_locals(py)?, numbers(py, count, seconds)?)?;
                            Ok::<_, PyErr>([into_stream_v2(numbers(py, count, seconds)?)?.boxed(), second.boxed()])
                        })?;
                        for stream in streams {
                            taken.push(stream.map(number).try_collect::<Vec<i32>>().await?);
                        }
                        Ok(taken)
                    })?;
                    assert_eq!(taken, vec![Vec::from_iter(0..count); 4]);
                    Ok(())
                });
            }
        }

        #[test]
        fn a_panic_is_raised_as_an_exception() {
            attached(|py| {
                let result = run(py, async {
                    let panics = Python::attach(|py| {
                        into_future(future_into_py::<_, ()>(py, async { panic!("on purpose") })?)
                    })?;
                    panics.await
                });
                let error = result.unwrap_err();
                assert!(error.is_instance_of::<RustPanic>(py));
                assert!(error.is_instance_of::<PyException>(py));
                assert!(RustPanic::new_err("text").to_string().contains("text"));
                Ok(())
            });
        }

        #[test]
        fn locals_give_the_loop_and_the_context_to_a_future_of_another_thread() {
            attached(|py| {
                let get = python(py)?.getattr("get")?.unbind();
                let rust = callback(py, move |py| {
                    let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
                    let get = get.clone_ref(py);
                    let of_thread = locals.clone();
                    let future = future_into_py_with_locals(py, locals, async move {
                        let (sender, receiver) = oneshot::channel();
                        thread::spawn(move || {
                            let value = Python::attach(|py| {
                                into_future_with_locals(&of_thread, get.bind(py).call0()?)
                            });
                            let _ = sender.send(value);
                        });
                        let value = receiver.await.expect("the thread sends it")?;
                        value.await
                    })?;
                    Ok(future.unbind())
                })?;
                let main = python(py)?.call_method1("wait_with", ("set", rust))?;
                let value = py.import("asyncio")?.call_method1("run", (main,))?;
                assert_eq!(value.extract::<String>()?, "set");
                Ok(())
            });
        }

        #[test]
        fn a_scope_has_its_given_locals() {
            attached(|py| {
                let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
                let locals = TaskLocals::new(event_loop.clone());
                let expected = event_loop.clone().unbind();
                let is_the_loop = move || {
                    Python::attach(|py| -> PyResult<bool> {
                        let locals = get_current_locals(py)?;
                        Ok(get_current_loop(py)?.is(&expected)
                            && locals.event_loop(py).is(&expected))
                    })
                };
                let both = || {
                    $block_on(async move {
                        let is_the_loop = Arc::new(is_the_loop);
                        let again = Rc::new(Arc::clone(&is_the_loop));
                        let sent = scope(locals.clone(), async move { is_the_loop() });
                        let stays = scope_local(locals, async move { again() });
                        Ok::<_, PyErr>(sent.await? && stays.await?)
                    })
                };
                assert!(py.detach(both)?);
                assert!(get_current_loop(py).is_err());
                event_loop.call_method0("close")?;
                Ok(())
            });
        }

        #[test]
        #[allow(deprecated, reason = "only pyo3-async-runtimes deprecates the functions")]
        fn a_future_that_is_not_send_runs_on_the_thread_of_its_executor() {
            attached(|py| {
                let answer = run(py, async {
                    let locals = Python::attach(get_current_locals)?;
                    let (sender, receiver) = oneshot::channel();
                    thread::spawn(move || {
                        let of_local = locals.clone();
                        let both = scope_local(locals, async move {
                            let future = |number| async move {
                                let number = Rc::new(number);
                                $sleep(SHORT).await;
                                Ok(*number)
                            };
                            let (first, second) = Python::attach(|py| -> PyResult<_> {
                                let first = local_future_into_py(py, future(20))?;
                                let second =
                                    local_future_into_py_with_locals(py, of_local, future(22))?;
                                Ok((into_future(first)?, into_future(second)?))
                            })?;
                            let values = [first.await?, second.await?];
                            Python::attach(|py| {
                                values.iter().map(|value| value.extract::<u8>(py)).sum::<PyResult<u8>>()
                            })
                        });
                        let _ = sender.send($block_on(both));
                    });
                    receiver.await.expect("the thread sends it")
                })?;
                assert_eq!(answer, 42);
                Ok(())
            });
        }
    } )+ };
}

on_each_runtime! {
    async_std: ::async_std::task::sleep, ::async_std::task::block_on
    tokio: ::tokio::time::sleep, block_on_tokio
}
