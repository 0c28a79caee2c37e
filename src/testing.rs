//! Tests of asynchronous code, under cargo's own harness or on the event loop of a program.
//!
//! `#[pyo3_asyncio::tokio::test]`, [`async_std::test`](macro@crate::async_std::test) and [`smol::test`](macro@crate::smol::test)
//! make a function a test of either. The target in which it is compiled decides which one runs it.
//!
//! | | cargo's harness | [`main`] |
//! | --- | --- | --- |
//! | where | `#[cfg(test)] mod tests`, `tests/*.rs` | a target with `harness = false` |
//! | event loop of a test | a new one for each test | one for the program |
//! | Python's main thread | runs no test and no loop | runs the loop |
//! | output of tests | captured, except the output of Python | not captured |
//! | `cargo nextest` | works | works |
//!
//! Use cargo's harness unless a test needs Python's main thread, for signals for instance, or all tests need one loop.
//!
//! # Under cargo's harness
//!
//! Enable the feature `testing`:
//!
//! ```
//! # fn main() {}
//! use pyo3::prelude::*;
//!
//! async fn nap() -> PyResult<String> {
//!     let nap = pyo3_asyncio::tokio::run_coroutine(|py| {
//!         py.import("asyncio")?.call_method1("sleep", (0.01, "rested"))
//!     });
//!     nap.extract().await
//! }
//!
//! #[cfg(test)]
//! mod tests {
//!     use super::*;
//!
//!     #[pyo3_asyncio::tokio::test]
//!     async fn a_nap_is_restful() -> PyResult<()> {
//!         assert_eq!(nap().await?, "rested");
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # On the event loop of a program
//!
//! The test target is a program. Keep its file out of `tests`, where cargo would run it with its own harness:
//!
//! ```toml
//! [[test]]
//! name = "test_example"
//! path = "pytests/test_example.rs"
//! harness = false
//! ```
//!
//! Its `main` runs the tests of the crate and of the libraries that it links:
//!
//! ```
//! use std::time::Duration;
//! use pyo3::prelude::*;
//!
//! mod tests {
//!     use super::*;
//!
//!     #[pyo3_asyncio::tokio::test]
//!     async fn sleeps() -> PyResult<()> {
//!         tokio::time::sleep(Duration::from_millis(1)).await;
//!         Ok(())
//!     }
//!
//!     /// A plain function may block: it has a thread of its own.
//!     #[pyo3_asyncio::tokio::test]
//!     fn blocks() {
//!         std::thread::sleep(Duration::from_millis(1));
//!     }
//! }
//!
//! #[pyo3_asyncio::tokio::main]
//! async fn main() -> PyResult<()> {
//!     pyo3_asyncio::testing::main().await
//! }
//! ```
//!
//! `cargo test --test test_example -- --help` shows the arguments, which are the stable ones of cargo's harness.
//! `--nocapture` has no effect, because nothing is captured.

mod args;
pub(crate) mod case;
mod harness;
pub(crate) mod outcome;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;

pub use self::args::{Args, parse_args};
pub use self::harness::test_harness;

type TestFn = dyn Fn() -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> + Send + Sync;

/// A test, as the attributes register it and [`test_harness`] runs it.
#[derive(Clone)]
pub struct Test {
    /// The path of the function, which begins with the name of the crate.
    pub name: &'static str,
    /// Makes the future that runs the test.
    pub test_fn: &'static TestFn,
}

impl Test {
    /// Makes the future that runs the test.
    ///
    /// It resolves to the result of the test. If the test panics, polling panics, unless the test should panic.
    #[must_use]
    pub fn task(&self) -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> {
        (self.test_fn)()
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

inventory::collect!(Test);

/// Runs the tests that the attributes have registered, with the arguments of the process.
///
/// Calls [`test_harness`] with those tests and with [`parse_args`].
///
/// # Errors
///
/// The errors of [`test_harness`].
///
/// # Example
///
/// ```
/// use pyo3::prelude::*;
///
/// # #[cfg(feature = "tokio-runtime")]
/// #[pyo3_asyncio::tokio::main]
/// async fn main() -> PyResult<()> {
///     pyo3_asyncio::testing::main().await
/// }
/// # #[cfg(not(feature = "tokio-runtime"))]
/// # fn main() {}
/// ```
pub async fn main() -> PyResult<()> {
    let tests = inventory::iter::<Test>().cloned().collect();
    test_harness(tests, parse_args()).await
}
