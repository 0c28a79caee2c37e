//! Tests of asynchronous code, under cargo's own harness or on the event loop of a program.
//!
//! `#[pyo3_asyncio::tokio::test]` and [its](macro@crate::async_std::test) [like](macro@crate::smol::test) make a function a
//! test of both: where it is compiled decides which of them runs it.
//!
//! | | cargo's harness | [`main`] |
//! | --- | --- | --- |
//! | where | `#[cfg(test)] mod tests`, `tests/*.rs` | a target with `harness = false` |
//! | event loop of a test | its own, new | that of the program, which all share |
//! | Python's main thread | runs no test, and no loop | runs the loop |
//! | what tests print | captured, but for what Python prints | not captured |
//! | `cargo nextest` | works | works |
//!
//! Take cargo's harness unless something has to be tested in Python's main thread, such as signals, or on one loop for all.
//!
//! # Under cargo's harness
//!
//! The feature `testing` is all that it takes:
//!
//! ```
//! # fn main() {}
//! use pyo3::prelude::*;
//!
//! async fn nap() -> PyResult<String> {
//!     let nap = Python::attach(|py| {
//!         let asyncio = py.import("asyncio")?;
//!         pyo3_asyncio::tokio::into_future(asyncio.call_method1("sleep", (0.01, "rested"))?)
//!     })?;
//!     let result = nap.await?;
//!     Python::attach(|py| result.extract(py))
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
//! The test target is a program. Its file does not lie in `tests`, where cargo would take it for one of its own harness:
//!
//! ```toml
//! [[test]]
//! name = "test_example"
//! path = "pytests/test_example.rs"
//! harness = false
//! ```
//!
//! Its `main` runs the tests of the crate and of the libraries that it uses:
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
//! `cargo test --test test_example -- --help` shows the arguments. They are those of cargo's harness, without its unstable
//! ones. `--nocapture` is taken and changes nothing, as nothing is captured.

pub(crate) mod case;
mod filters;
mod harness;
pub(crate) mod outcome;
mod thread;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;

pub use self::harness::test_harness;

/// The arguments of a test program, from [`parse_args`]. The default is none: every test runs that is not ignored.
#[derive(Clone, Debug, Default)]
pub struct Args {
    arguments: libtest_mimic::Arguments,
    /// A test runs if one of them is a part of its name, or if there is none.
    filters: Vec<String>,
}

/// Reads the arguments of the process, and `RUST_TEST_THREADS`.
///
/// Prints the usage and exits if they ask for help or are not understood.
///
/// # Example
///
/// ```
/// use pyo3::prelude::*;
/// use pyo3_asyncio::testing;
///
/// # async fn in_main() -> PyResult<()> {
/// let mut tests = Vec::new();
/// for name in ["first", "second"] {
///     tests.push(testing::Test {
///         name,
///         test_fn: &|| Box::pin(async { Ok(()) }),
///     });
/// }
/// testing::test_harness(tests, testing::parse_args()).await
/// # }
/// ```
#[must_use]
pub fn parse_args() -> Args {
    // The harness of newer Rust has this name for the flag, and cargo's subcommands begin to use it.
    let arguments = std::env::args_os().map(|argument| {
        if argument == "--no-capture" {
            "--nocapture".into()
        } else {
            argument
        }
    });
    let (arguments, filters) = filters::part(arguments);
    let mut arguments = libtest_mimic::Arguments::from_iter(arguments);
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        arguments.test_threads = threads.and_then(|threads| threads.parse().ok());
    }
    Args { arguments, filters }
}

type TestFn = dyn Fn() -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> + Send + Sync;

/// A test, as the attributes register it and [`test_harness`] runs it.
#[derive(Clone)]
pub struct Test {
    /// The path of the function, with the crate's name before it.
    pub name: &'static str,
    /// Makes the future that runs the test.
    pub test_fn: &'static TestFn,
}

impl Test {
    /// Makes the future that runs the test.
    ///
    /// It resolves with the test's result. A panic of the test comes out of the poll, unless the test has to panic.
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

/// Runs the tests that the attributes have registered, as the arguments of the process say.
///
/// This is [`test_harness`] with those tests and with [`parse_args`]. What is true of that is true here.
///
/// # Errors
///
/// Those of [`test_harness`].
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
