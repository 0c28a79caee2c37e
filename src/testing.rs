//! Tests of asynchronous code, under cargo's own harness or under one that runs on the program's event loop.

pub(crate) mod case;
mod harness;
pub(crate) mod outcome;
mod thread;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;

pub use self::harness::test_harness;

/// The arguments of a test program: those that a test binary of cargo's takes.
#[derive(Clone, Debug, Default)]
pub struct Args(libtest_mimic::Arguments);

/// Reads the arguments of the process, and `RUST_TEST_THREADS`.
///
/// Prints the usage and exits if they ask for help or are not understood.
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
    let mut arguments = libtest_mimic::Arguments::from_iter(arguments);
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        arguments.test_threads = threads.and_then(|threads| threads.parse().ok());
    }
    Args(arguments)
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
/// # Errors
///
/// As [`test_harness`].
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
