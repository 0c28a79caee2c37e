//! The attributes of a runtime's module, with their documentation.

/// Exports `#[main]` and `#[test]`. `$main` and `$test` are their names among the macros; the options that only this
/// runtime has are rows of the tables of options.
macro_rules! attributes {
    ($path:literal, $main:ident, $test:ident, $main_options:literal, $test_options:literal) => {
        /// Makes an `async fn main` the program: it runs on this runtime, and a Python event loop runs in the main thread
        /// meanwhile.
        ///
        /// Python is started, `main` is run as by [`run`], with all that `run` does at the end, and the process exits.
        ///
        /// | option | takes | without it |
        /// | --- | --- | --- |
        #[doc = $main_options]
        /// | `event_loop` | the name of a Python module that has `new_event_loop()`, such as `"uvloop"` | asyncio's policy |
        /// | `crate` | the path to this crate | found by `Cargo.toml`, under whatever name it has there |
        ///
        /// Documentation and lint levels (`allow` and the like) on the function are of the program's `main`. Other
        /// attributes, such as `#[tracing::instrument]`, are of the `async fn`.
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
        /// What is not accepted is a compile error that points at it: an option that is unknown, is set twice or has a
        /// wrong value, and a function that is not an `async fn main()` without parameters that returns a `PyResult`, or a
        /// `Result` with an error of your own that becomes a `PyErr`.
        ///
        /// # Example
        ///
        /// ```
        /// use pyo3::prelude::*;
        ///
        #[doc = concat!("#[pyo3_asyncio::", $path, "::main]")]
        /// async fn main() -> PyResult<()> {
        ///     let sleep = Python::attach(|py| {
        ///         let asyncio = py.import("asyncio")?;
        #[doc = concat!("        pyo3_asyncio::", $path, "::into_future(asyncio.call_method1(\"sleep\", (0.1,))?)")]
        ///     })?;
        ///     sleep.await?;
        ///     Ok(())
        /// }
        /// ```
        #[doc(inline)]
        #[cfg(feature = "attributes")]
        pub use pyo3_asyncio_macros::$main as main;

        /// Makes a function a test, under cargo's own harness and under [`testing::main`](crate::testing::main).
        ///
        /// An `async fn` is polled on this runtime; a plain `fn` may block. Either has a thread of its own, that of no
        /// event loop, which is not attached to the interpreter. [`get_current_loop`] and [`into_future`] find the test's
        /// event loop: its own under cargo's harness, that of the program's `main` under [`testing`](crate::testing).
        ///
        /// It may take one parameter, the loop, as a `Py<PyAny>` or as [`TaskLocals`](crate::TaskLocals). It returns
        /// nothing, or a `Result<(), E>` of any `E: Debug`; the traceback of a `PyErr` is in the report.
        /// `#[ignore]` and `#[should_panic]` mean what they mean for `#[test]`.
        ///
        /// | option | takes | without it |
        /// | --- | --- | --- |
        #[doc = $test_options]
        /// | `event_loop` | the name of a Python module that has `new_event_loop()`, for a loop of the test's own | asyncio's policy, or the loop of `main` |
        /// | `crate` | the path to this crate | found by `Cargo.toml`, under whatever name it has there |
        ///
        /// A runtime of the test's own, where there are options for one, polls the test and what it spawns; what Python
        /// awaits runs on that of the process all the same. A test may begin before its event loop does.
        ///
        /// # Errors
        ///
        /// What is not accepted is a compile error that points at it.
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
        ///         let sleep = Python::attach(|py| {
        ///             let asyncio = py.import("asyncio")?;
        #[doc = concat!("            pyo3_asyncio::", $path, "::into_future(asyncio.call_method1(\"sleep\", (0.1,))?)")]
        ///         })?;
        ///         sleep.await?;
        ///         Ok(())
        ///     }
        /// }
        /// ```
        #[doc(inline)]
        #[cfg(feature = "testing")]
        pub use pyo3_asyncio_macros::$test as test;
    };
}
