//! The harness: `libtest-mimic` decides what runs when and does all the talking, the caller's task polls the tests.
//!
//! 1. `libtest-mimic` blocks, so it has a thread. So does each test that it runs at a time.
//! 2. Such a thread sends its test to the caller's task (`Arrivals`), wakes it, and waits for the verdict.
//! 3. The caller's task, inside of its runtime and knowing its event loop, polls the tests that have come, and sends the
//!    verdicts, until `libtest-mimic` is done.
//! 4. If the task is dropped before that, no verdict comes: what waits for one stays where it is, until the process ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;

use super::case::Ignored;
use super::outcome::Failure;
use super::thread::on_thread;
use super::{Args, Test, filters};

/// Runs tests as `args` say, prints what cargo's own harness would print, and fails if a test fails.
///
/// Every test runs, whatever becomes of the others, on the event loop of whoever awaits this; as many at once as
/// `--test-threads` says. What tests print is not captured. Names are printed, and matched by `--exact`, without the crate
/// that all tests have in common, as cargo does.
///
/// # Errors
///
/// `SystemExit` with the status 101 if a test has failed, so that a `main` which returns it ends as other test programs
/// do. `ValueError` for `--test-threads 0`.
///
/// # Cancellation
///
/// If this is dropped, no further test begins. Those that run already end by themselves.
pub async fn test_harness(tests: Vec<Test>, args: Args) -> PyResult<()> {
    let Args {
        mut arguments,
        filters,
    } = args;
    if arguments.test_threads == Some(0) {
        let message =
            "`--test-threads` cannot be 0: it takes how many tests run at once, from 1 up";
        return Err(PyValueError::new_err(message));
    }
    let arrivals = Arc::new(Arrivals::default());
    let common = common_crate(&tests);
    let trials = tests
        .into_iter()
        .map(|test| trial(test, &common, &arguments, &arrivals));
    let trials: Vec<_> = trials.collect();
    filters::apply(&mut arguments, &filters, trials.iter().map(Trial::name));
    let conclusion = on_thread("libtest-mimic".to_owned(), move || {
        libtest_mimic::run(&arguments, trials)
    });
    if drive(&arrivals, conclusion).await.has_failed() {
        return Err(PySystemExit::new_err(FAILED));
    }
    Ok(())
}

/// The status of cargo's harness.
const FAILED: u8 = 101;

/// The crate, with `::` behind it, that all the names begin with, if there is one.
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
        // A flagged one is reported without its reason.
        Some(Ignored {
            reason: Some(reason),
            ..
        }) if !only_listed => {
            Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
        }
        _ => {
            let arrivals = Arc::clone(arrivals);
            Trial::test(name, move || arrivals.verdict_on(test))
                .with_ignored_flag(ignored.is_some())
        }
    }
}

type Ended = thread::Result<PyResult<()>>;

struct Running {
    future: Pin<Box<dyn Future<Output = PyResult<()>> + Send>>,
    verdict: SyncSender<Ended>,
}

/// Tests on their way from the threads of `libtest-mimic` to the caller's task.
#[derive(Default)]
struct Arrivals(Mutex<(Vec<Running>, Option<Waker>)>);

impl Arrivals {
    /// Has the test run, and waits.
    fn verdict_on(&self, test: Test) -> Result<(), Failed> {
        let (verdict, has_ended) = sync_channel(1);
        // Made by the task: what makes a test's future may use the runtime too.
        let future = Box::pin(async move { test.task().await });
        self.send(Running { future, verdict });
        match has_ended.recv() {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Failure::of_error(&error).into()),
            Ok(Err(panic)) => Err(Failure::of_panic(&*panic).into()),
            Err(_) => loop {
                thread::park();
            },
        }
    }

    fn send(&self, running: Running) {
        let waker = {
            let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.0.push(running);
            arrivals.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what has come, and has the waker woken by what comes next.
    fn take(&self, waker: &Waker) -> Vec<Running> {
        let waker = waker.clone();
        let (running, before) = {
            let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut arrivals.0), arrivals.1.replace(waker))
        };
        drop(before);
        running
    }
}

async fn drive(
    arrivals: &Arrivals,
    mut conclusion: impl Future<Output = thread::Result<Conclusion>> + Unpin,
) -> Conclusion {
    let mut running = Vec::new();
    let ended = poll_fn(|cx| {
        running.extend(arrivals.take(cx.waker()));
        running.retain_mut(|test: &mut Running| test.poll(cx).is_pending());
        Pin::new(&mut conclusion).poll(cx)
    });
    ended.await.unwrap_or_else(|panic| resume_unwind(panic))
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.future.as_mut();
        let ended = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        // The thread waits for it.
        let _ = self.verdict.send(ended);
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
        let arrivals = Arc::default();
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
