//! The harness: `libtest-mimic` schedules the tests and prints the report, the caller's task polls the tests.
//!
//! 1. `libtest-mimic` blocks, so it runs in its own thread, and starts one thread for each test that runs at a time.
//! 2. Such a thread sends its test to the caller's task through [`Arrivals`], wakes the task, and waits for the result.
//! 3. The caller's task runs on its runtime and has an event loop. It polls the tests that have arrived and sends back their
//!    results, until `libtest-mimic` is done.
//! 4. If the task is dropped before that, the threads that wait for a result park until the process ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::thread;

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;

use super::case::{Ignored, on_thread};
use super::outcome::TestFailure;
use super::{Args, Test};
use crate::sync::cell::{WakerAction, WakerCell};

/// Runs the tests that `args` select, prints the report of cargo's harness, and fails if a test fails.
///
/// Tests run on the event loop of the caller, `--test-threads` at a time. A failure does not stop the other tests. The output of
/// tests is not captured. If all tests are of one crate, names omit it, as under cargo's harness.
///
/// # Errors
///
/// `SystemExit` with the status 101 if a test fails, so that a `main` that returns it exits as other test programs do.
/// `ValueError` for `--test-threads 0`.
///
/// # Cancellation
///
/// If the future is dropped, no further test starts. Running tests end by themselves.
pub async fn test_harness(tests: Vec<Test>, args: Args) -> PyResult<()> {
    if args.arguments().test_threads == Some(0) {
        return Err(PyValueError::new_err(
            "`--test-threads` cannot be 0: give the number of tests that may run at once, 1 or more",
        ));
    }
    let arrivals = Arc::new(Arrivals(WakerCell::new(Vec::new())));
    let common = common_crate(&tests);
    let trials: Vec<_> = tests
        .into_iter()
        .map(|test| trial(test, &common, args.arguments(), &arrivals))
        .collect();
    let arguments = args.select(trials.iter().map(Trial::name));
    let conclusion = on_thread("libtest-mimic".to_owned(), move || {
        libtest_mimic::run(&arguments, trials)
    });
    if drive(&arrivals, conclusion).await.has_failed() {
        return Err(PySystemExit::new_err(FAILED));
    }
    Ok(())
}

/// The exit status of cargo's harness.
const FAILED: u8 = 101;

/// The crate that all names begin with, followed by `::`, or an empty string.
fn common_crate(tests: &[Test]) -> String {
    let prefix = |test: &Test| {
        let (krate, _) = test.name.split_once("::")?;
        Some(format!("{krate}::"))
    };
    let first = tests.first().and_then(prefix).unwrap_or_default();
    let is_common = tests.iter().all(|test| test.name.starts_with(&first));
    if is_common { first } else { String::new() }
}

fn trial(test: Test, common: &str, arguments: &Arguments, arrivals: &Arc<Arrivals>) -> Trial {
    let name = test.name.strip_prefix(common).unwrap_or(test.name);
    let ignored = inventory::iter::<Ignored>().find(|ignored| ignored.name == test.name);
    let only_listed = arguments.list || arguments.ignored || arguments.include_ignored;
    match ignored {
        // `with_ignored_flag` would not print the reason.
        Some(Ignored {
            reason: Some(reason),
            ..
        }) if !only_listed => {
            Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
        }
        _ => {
            let arrivals = Arc::clone(arrivals);
            Trial::test(name, move || arrivals.run(test)).with_ignored_flag(ignored.is_some())
        }
    }
}

type TestEnd = thread::Result<PyResult<()>>;

struct RunningTest {
    future: Pin<Box<dyn Future<Output = PyResult<()>> + Send>>,
    result: SyncSender<TestEnd>,
}

/// Tests on their way from the threads of `libtest-mimic` to the caller's task.
struct Arrivals(WakerCell<Vec<RunningTest>>);

impl Arrivals {
    /// Sends the test and waits for its result.
    fn run(&self, test: Test) -> Result<(), Failed> {
        let (result, received) = sync_channel(1);
        // The caller's task calls `task()`, because that may use the runtime too.
        let future = Box::pin(async move { test.task().await });
        let test = RunningTest { future, result };
        self.0
            .change(|arrived| (arrived.push(test), [WakerAction::Wake]));
        match received.recv() {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(TestFailure::of_error(&error).into()),
            Ok(Err(panic)) => Err(TestFailure::of_panic(&*panic).into()),
            Err(_) => loop {
                thread::park();
            },
        }
    }

    /// Takes the tests that have arrived. The next one wakes the waker.
    fn take(&self, waker: &Waker) -> Vec<RunningTest> {
        let take = |arrived: &mut Vec<_>| (!arrived.is_empty()).then(|| std::mem::take(arrived));
        let mut taken = Vec::new();
        while let Poll::Ready(arrived) = self.0.poll(0, waker, take) {
            taken.extend(arrived);
        }
        taken
    }
}

async fn drive(
    arrivals: &Arrivals,
    mut conclusion: impl Future<Output = thread::Result<Conclusion>> + Unpin,
) -> Conclusion {
    let mut running = Vec::new();
    let ended = poll_fn(|cx| {
        running.extend(arrivals.take(cx.waker()));
        running.retain_mut(|test: &mut RunningTest| test.poll(cx).is_pending());
        Pin::new(&mut conclusion).poll(cx)
    });
    ended.await.unwrap_or_else(|panic| resume_unwind(panic))
}

impl RunningTest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.future.as_mut();
        let ended = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        // The receiver waits in `Arrivals::run`.
        let _ = self.result.send(ended);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&'static str]) -> Vec<String> {
        let tests: Vec<_> = paths
            .iter()
            .map(|name| Test {
                name,
                test_fn: &|| Box::pin(async { Ok(()) }),
            })
            .collect();
        let common = common_crate(&tests);
        let arguments = Arguments::default();
        let arrivals = Arc::new(Arrivals(WakerCell::new(Vec::new())));
        let trials = tests
            .into_iter()
            .map(|test| trial(test, &common, &arguments, &arrivals));
        trials.map(|trial| trial.name().to_owned()).collect()
    }

    #[test]
    fn a_name_is_without_the_crate_unless_there_are_tests_of_two() {
        assert_eq!(
            names(&["one::a::works", "one::works"]),
            ["a::works", "works"]
        );
        assert_eq!(
            names(&["one::works", "two::works"]),
            ["one::works", "two::works"]
        );
        assert_eq!(
            names(&["one::works", "one_more::works"]),
            ["one::works", "one_more::works"]
        );
        assert_eq!(names(&["works", "one::works"]), ["works", "one::works"]);
        assert_eq!(names(&[]), [""; 0]);
    }
}
