//! A `main` from a `macro_rules!` macro, which wraps its parts in invisible groups.

macro_rules! program {
    ($threads:literal, $event_loop:literal, $result:ty, $body:block) => {
        #[pyo3_asyncio::tokio::main(worker_threads = $threads, event_loop = $event_loop)]
        pub(crate) async fn main() -> $result $body
    };
}

program!(2, "asyncio", pyo3::PyResult<()>, { Ok(()) });
