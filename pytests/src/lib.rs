//! The extension module that the tests in `tests/` import: Rust futures that a test completes, Python awaitables that Rust
//! awaits, and counters of both.
//!
//! It contains only what cannot be written in Python.

mod attributes;
mod blocking;
mod bomb;
mod bridge;
mod calls;
mod coroutine;
mod drops;
mod gate;
mod hooks;
mod iterate;
mod ledger;
mod locals;
mod on_the_loop;
mod places;
mod process;
mod streams;
mod task;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod pyo3_asyncio_pytests {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::attributes::{
        async_std::exported as async_std, smol::exported as smol, tokio::exported as tokio,
    };
    #[pymodule_export]
    use crate::blocking::{
        block_on, block_on_busy, block_on_call, block_on_python, block_on_task, block_on_turns,
        needs_runtime, run, run_python, run_until_complete, wrapped_functions,
    };
    #[pymodule_export]
    use crate::bomb::{bomb, bomb_coroutine, count_panics, panics};
    #[pymodule_export]
    use crate::calls::post_calls;
    #[pymodule_export]
    use crate::coroutine::{
        asks_afterwards, drops_handle_at_gate, drops_handle_at_once, eager_await, eager_block,
        eager_call, eager_turns, eager_wakes, gives_its_handle_away, lazy_call, lazy_turns, let_go,
        never_asks, panics_when_dropped, persistent, ready, refused,
    };
    #[pymodule_export]
    use crate::drops::{
        Drops, Held, Holder, block_on_probe, detached_holding, detached_nap, exported_holding,
        exported_stream_holding, holding, post, run_probe, stream_of_probes,
        stream_that_does_not_convert,
    };
    #[pymodule_export]
    use crate::gate::{Gate, Hold, eager_nap, local_nap, nap, never, turns};
    #[pymodule_export]
    use crate::hooks::{call_both, call_hooks, exported_call_hooks};
    #[pymodule_export]
    use crate::iterate::{Items, collect_items, iterate_for_ever, sum_items, take_items};
    #[pymodule_export]
    use crate::ledger::{dropped, made, wait_until_live};
    #[pymodule_export]
    use crate::locals::{
        call_in_bare_task, call_inside, current_context, current_loop, run_in_scope, running_loop,
        sleep, wrap_sleep,
    };
    #[pymodule_export]
    use crate::on_the_loop::{around, run_ready};
    #[pymodule_export]
    use crate::places::{
        Failed, failed_call, failed_coroutine, failed_eager_export, failed_eager_future,
        failed_export, failed_future, failed_iteration, failed_local_future, failed_start,
        failed_task,
    };
    #[pymodule_export]
    use crate::process::new_event_loop;
    #[pymodule_export]
    use crate::process::{
        call_for_ever, call_on_loop_for_ever, init_runtime, init_runtime_named_by,
        run_coroutines_for_ever, shutdown, workers,
    };
    #[pymodule_export]
    use crate::streams::{
        Feed, Numbers, blocking_stream, calling_stream, empty_local_stream, relay,
        stream_that_panics_when_dropped,
    };
    #[pymodule_export]
    use crate::task::{Task, await_for_turns, await_inside, into_future};

    /// The counters of the bridge.
    #[pyfunction]
    fn metrics() -> pyo3_asyncio::Metrics {
        pyo3_asyncio::metrics()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("WORKERS", crate::bridge::start()?)?;
        pyo3_asyncio::err::register(module)
    }
}
