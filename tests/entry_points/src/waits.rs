//! Programs that wait to be interrupted.

use std::future::pending;
use std::process::ExitCode;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3_asyncio::PyTask;
use pyo3_asyncio::tokio::{future_into_py_with_loop, into_future};

/// Says when the future that holds it is dropped.
struct CleansUp;

impl Drop for CleansUp {
    fn drop(&mut self) {
        println!("cleaned up in Rust");
    }
}

async fn wait() -> PyResult<()> {
    let _cleans_up = CleansUp;
    println!("ready");
    pending().await
}

/// A Python task that prints `ready`, waits, and takes several turns of the loop to clean up.
fn wait_in_python() -> PyResult<PyTask> {
    Python::attach(|py| {
        let module = PyModule::from_code(
            py,
            c"
import asyncio

async def wait():
    try:
        print('ready', flush=True)
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)
        print('cleaned up in Python', flush=True)
",
            c"waits.py",
            c"waits",
        )?;
        into_future(module.call_method0("wait")?)
    })
}

pub(crate) mod in_rust {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        wait().await
    }
}

pub(crate) mod in_python {
    use super::*;

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        let _cleans_up = CleansUp;
        wait_in_python()?.await.map(drop)
    }
}

pub(crate) mod on_current_thread {
    use super::*;

    #[pyo3_asyncio::tokio::main(flavor = "current_thread")]
    pub(crate) async fn main() -> PyResult<()> {
        let _cleans_up = CleansUp;
        wait_in_python()?.await.map(drop)
    }
}

pub(crate) mod on_uvloop {
    use super::*;

    #[pyo3_asyncio::tokio::main(event_loop = "uvloop")]
    pub(crate) async fn main() -> PyResult<()> {
        let _cleans_up = CleansUp;
        wait_in_python()?.await.map(drop)
    }
}

#[cfg(unix)]
pub(crate) mod in_one_thread {
    use super::*;

    #[pyo3_asyncio::tokio::main(event_loop = "tokio")]
    pub(crate) async fn main() -> PyResult<()> {
        let _cleans_up = CleansUp;
        wait_in_python()?.await.map(drop)
    }
}

pub(crate) mod in_endless_clean_up {
    use super::*;

    struct NeverEnds;

    impl Drop for NeverEnds {
        fn drop(&mut self) {
            println!("cleaning up");
            loop {
                std::thread::park();
            }
        }
    }

    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        let _never_ends = NeverEnds;
        println!("ready");
        pending().await
    }
}

pub(crate) mod with_own_handler {
    use super::*;

    /// Handles Ctrl-C itself, so that it is not interrupted by it, and ends.
    #[pyo3_asyncio::tokio::main]
    pub(crate) async fn main() -> PyResult<()> {
        let task = Python::attach(|py| {
            let module = PyModule::from_code(
                py,
                c"
import asyncio
import signal

async def wait():
    event_loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    event_loop.add_signal_handler(signal.SIGINT, interrupted.set)
    print('ready', flush=True)
    await interrupted.wait()
    print('handled', flush=True)
",
                c"waits.py",
                c"waits",
            )?;
            into_future(module.call_method0("wait")?)
        })?;
        task.await.map(drop)
    }
}

fn exit_code(py: Python<'_>, result: PyResult<()>) -> ExitCode {
    match result {
        Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => {
            println!("KeyboardInterrupt");
            ExitCode::from(130)
        }
        other => {
            eprintln!("ended with {other:?}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn in_run() -> ExitCode {
    Python::initialize();
    Python::attach(|py| exit_code(py, pyo3_asyncio::tokio::run(py, wait())))
}

/// Whether the first thread of this process sleeps.
#[cfg(target_os = "linux")]
fn main_thread_sleeps() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let state = stat.rsplit_once(") ").map(|(_, behind)| behind);
    state.is_some_and(|state| state.starts_with('S'))
}

/// As if the signal came in the moment in which the loop falls asleep: the thread that runs it does not get it.
#[cfg(target_os = "linux")]
pub(crate) fn while_another_thread_takes_signals() -> ExitCode {
    Python::initialize();
    // Its threads are there before this one refuses the signal.
    pyo3_asyncio::tokio::get_runtime();
    Python::attach(|py| {
        let refused = py.import("signal").and_then(|signal| {
            let block = signal.getattr("SIG_BLOCK")?;
            signal.call_method1("pthread_sigmask", (block, [signal.getattr("SIGINT")?]))
        });
        let result = refused.and_then(|_| {
            pyo3_asyncio::tokio::run(py, async {
                while !main_thread_sleeps() {
                    tokio::task::yield_now().await;
                }
                wait().await
            })
        });
        exit_code(py, result)
    })
}

pub(crate) fn in_run_forever() -> ExitCode {
    Python::initialize();
    Python::attach(|py| {
        let result = (|| {
            let asyncio = py.import("asyncio")?;
            let event_loop = asyncio.call_method0("new_event_loop")?;
            asyncio.call_method1("set_event_loop", (&event_loop,))?;
            let future =
                future_into_py_with_loop(event_loop, async { wait_in_python()?.await.map(drop) })?;
            pyo3_asyncio::run_forever(py)?;
            drop(future);
            Ok(())
        })();
        exit_code(py, result)
    })
}
