//! The attributes of a runtime's module, with their documentation.

/// Exports `#[main]` and `#[test]`. `$main` and `$test` are their names in the crate of the macros. `$main_options` and
/// `$test_options` are table rows for the options that only this runtime has.
macro_rules! attributes {
    ($path:literal, $main:ident, $test:ident, $main_options:literal, $test_options:literal) => {
        /// Runs an `async fn main` on this runtime, with a Python event loop in the main thread.
        ///
        /// The program starts Python, runs `main` as [`run`] does, and exits.
        ///
        /// | option | takes | default |
        /// | --- | --- | --- |
        #[doc = $main_options]
        /// | `event_loop` | the name of a Python module that has `new_event_loop()`, such as `"uvloop"`; on tokio, `"tokio"` for [`new_event_loop`](crate::tokio::new_event_loop) | asyncio's policy |
        /// | `crate` | the path to this crate | the name that `Cargo.toml` gives it |
        ///
        /// Documentation and lint levels (such as `allow`) on the function apply to the program's `main`. Other attributes, such
        /// as `#[tracing::instrument]`, apply to the `async fn`.
        ///
        /// # Exit status
        ///
        /// | `main` ends with | status | printed |
        /// | --- | --- | --- |
        /// | `Ok` | 0 | |
        /// | `Err`, or a panic | 1 | the traceback, as Python prints it |
        /// | `SystemExit` | its code | its message, if it has one |
        /// | Ctrl-C | 130 | |
        ///
        /// # Errors
        ///
        /// A mistake is a compile error that points at it. The function must be an `async fn main()` without parameters. It
        /// returns a `PyResult`, or a `Result` with an error of your own that becomes a `PyErr`. An option must be known, be set
        /// once, and have a valid value.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        #[doc = concat!("#[pyo3_asyncio::", $path, "::main]")]
        /// async fn main() -> PyResult<()> {
        #[doc = concat!("    let answer = pyo3_asyncio::", $path, "::run_coroutine(|py| {")]
        ///         py.import("asyncio")?.call_method1("sleep", (0.1, 42))
        ///     });
        ///     assert_eq!(answer.extract::<i32>().await?, 42);
        ///     Ok(())
        /// }
        /// ```
        #[doc(inline)]
        #[cfg(feature = "attributes")]
        pub use pyo3_asyncio_macros::$main as main;

        /// Makes a function a test, under cargo's own harness and under [`testing::main`](crate::testing::main).
        ///
        /// An `async fn` is polled on this runtime; a plain `fn` may block. Each test has a thread of its own. No event loop
        /// runs on that thread, and it is not attached to the interpreter.
        ///
        /// [`get_current_loop`], [`into_future`], [`run_coroutine`] and [`call_soon`] find the test's event loop. Under cargo's
        /// harness each test has its own. Under [`testing`](crate::testing) all tests share that of the program's `main`.
        ///
        /// A test may take one parameter, the loop, as a `Py<PyAny>` or as [`TaskLocals`](crate::TaskLocals). It returns
        /// nothing, or a `Result<(), E>` with any `E: Debug`. The report shows the traceback of a `PyErr`.
        /// `#[ignore]` and `#[should_panic]` work as with `#[test]`.
        ///
        /// | option | takes | default |
        /// | --- | --- | --- |
        #[doc = $test_options]
        /// | `event_loop` | the name of a Python module that has `new_event_loop()`, for a loop of the test's own | asyncio's policy, or the loop of `main` |
        /// | `crate` | the path to this crate | the name that `Cargo.toml` gives it |
        ///
        /// If options ask for a runtime of the test's own, it polls the test and the tasks that the test spawns. Rust futures
        /// that Python awaits still run on the runtime of the process. A test may begin before its event loop runs.
        ///
        /// # Errors
        ///
        /// A mistake is a compile error that points at it.
        ///
        /// # Example
        ///
        /// ```
        /// # fn main() {}
        /// #[cfg(test)]
        /// mod tests {
        ///     use pyo3::prelude::*;
        ///
        #[doc = concat!("    #[pyo3_asyncio::", $path, "::test]")]
        ///     async fn python_sleeps() -> PyResult<()> {
        #[doc = concat!("        let answer = pyo3_asyncio::", $path, "::run_coroutine(|py| {")]
        ///             py.import("asyncio")?.call_method1("sleep", (0.1, 42))
        ///         });
        ///         assert_eq!(answer.extract::<i32>().await?, 42);
        ///         Ok(())
        ///     }
        /// }
        /// ```
        #[doc(inline)]
        #[cfg(feature = "testing")]
        pub use pyo3_asyncio_macros::$test as test;
    };
}
