//! The Rust half of the benchmark: one source, compiled as two extension modules, one for each bridge.
//!
//! The two packages differ in one line of `Cargo.toml`, which says what `pyo3_async_runtimes` is.

#[cfg(feature = "coroutines")]
mod coroutines;
mod echo;
mod floor;
#[cfg(feature = "one-thread")]
mod one_thread;
mod queue;
mod redis;
mod streams;
mod to_python;
mod to_rust;

#[pyo3::pymodule]
mod workload {
    #[cfg(feature = "coroutines")]
    #[pymodule_export]
    use super::coroutines::{Exporting, coroutine};
    #[pymodule_export]
    use super::echo::Echo;
    #[pymodule_export]
    use super::floor::Hops;
    #[cfg(feature = "one-thread")]
    #[pymodule_export]
    use super::one_thread::new_event_loop;
    #[pymodule_export]
    use super::queue::Queue;
    #[pymodule_export]
    use super::redis::Redis;
    #[pymodule_export]
    use super::streams::{
        await_each_item, extract_items, into_stream_v1, into_stream_v2, number_bursts, numbers,
    };
    #[cfg(feature = "calls")]
    #[pymodule_export]
    use super::streams::{generate, generate_bursts};
    #[pymodule_export]
    use super::to_python::{
        awaits_a_task, computes, ready, sleep, sleeping, timer_delays, yields_once,
    };
    #[pymodule_export]
    use super::to_rust::{await_at_once, await_in_turn, serve};
}
