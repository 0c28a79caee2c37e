//! Tests under cargo's own harness, and how that sees those that fail.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::process::{Command, Output};
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3_asyncio::tokio::get_current_loop;

#[path = "../src/behaviour.rs"]
mod behaviour;

behaviour::behaviour!(async_std);
behaviour::behaviour!(smol);
behaviour::behaviour!(tokio);

/// Fails if another test has had the loop. What has been seen is kept, so that no loop comes to lie where another was.
fn assert_that_the_loop_is_new() -> PyResult<()> {
    static SEEN: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
    Python::attach(|py| {
        let event_loop = get_current_loop(py)?.unbind();
        let mut seen = SEEN.lock().unwrap();
        assert!(!seen.iter().any(|other| other.is(&event_loop)));
        seen.push(event_loop);
        Ok(())
    })
}

#[pyo3_asyncio::tokio::test]
async fn a_test_has_a_loop_of_its_own() -> PyResult<()> {
    assert_that_the_loop_is_new()
}

#[pyo3_asyncio::async_std::test]
async fn another_test_has_another_loop() -> PyResult<()> {
    assert_that_the_loop_is_new()
}

#[pyo3_asyncio::smol::test]
fn a_plain_test_has_a_loop_of_its_own_too() -> PyResult<()> {
    assert_that_the_loop_is_new()
}

/// It is reported for the function that carries the lint level, and for no other one.
#[pyo3_asyncio::tokio::test]
#[expect(non_snake_case, reason = "this is the lint level")]
async fn a_lint_level_counts_for_the_functions_that_THE_ATTRIBUTE_makes() {}

#[pyo3_asyncio::tokio::test]
async fn no_thread_of_a_test_is_the_main_thread_of_python() -> PyResult<()> {
    let (on_loop, off_loop) = Python::attach(|py| {
        let code = c"
import threading

def is_main():
    return threading.current_thread() is threading.main_thread()

async def is_main_on_loop():
    return is_main()
";
        let module = PyModule::new(py, "threads")?;
        py.run(code, Some(&module.dict()), None)?;
        let on_loop = pyo3_asyncio::tokio::into_future(module.call_method0("is_main_on_loop")?)?;
        Ok::<_, PyErr>((on_loop, module.call_method0("is_main")?.extract::<bool>()?))
    })?;
    let on_loop = on_loop.await?;
    assert!(!off_loop);
    assert!(!Python::attach(|py| on_loop.extract::<bool>(py))?);
    Ok(())
}

/// The tests that are not to be run with the others: those above the line start each in a process of its own.
mod started {
    use pyo3::prelude::*;

    #[pyo3_asyncio::tokio::test]
    #[ignore = "started by another test"]
    async fn raises() -> PyResult<()> {
        Python::attach(|py| {
            let module = PyModule::new(py, "failing")?;
            py.run(
                c"def fails(): raise LookupError('deep down')",
                Some(&module.dict()),
                None,
            )?;
            module.call_method0("fails").map(drop)
        })
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "started by another test"]
    async fn panics() {
        panic!("the test's own text");
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "started by another test"]
    #[should_panic(expected = "another text")]
    async fn panics_with_the_wrong_text() {
        panic!("the test's own text");
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "started by another test"]
    #[should_panic]
    async fn raises_where_it_should_panic() -> PyResult<()> {
        Err(pyo3::exceptions::PyLookupError::new_err("no panic"))
    }

    #[pyo3_asyncio::tokio::test]
    #[ignore = "started by another test"]
    async fn prints() -> PyResult<()> {
        Python::attach(|py| py.run(c"print('printed by Python', end='')", None, None))
    }
}

fn start(test: &str) -> Output {
    let test = format!("started::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--ignored"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_fails(test: &str, expected: &[&str]) {
    let output = start(test);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{printed}");
    for expected in expected {
        assert!(
            printed.contains(expected),
            "{expected:?} is not in {printed}"
        );
    }
}

#[test]
fn the_traceback_of_an_error_is_in_the_report() {
    assert_fails(
        "raises",
        &[
            "---- started::raises stdout ----",
            "Error: Traceback (most recent call last):",
            "in fails",
            "LookupError: deep down",
        ],
    );
}

#[test]
fn the_text_and_the_place_of_a_panic_are_in_the_report() {
    assert_fails(
        "panics",
        &[
            "---- started::panics stdout ----",
            "thread 'started::panics'",
            "tests/cargo_harness.rs",
            "the test's own text",
        ],
    );
}

#[test]
fn a_panic_with_another_text_than_expected_is_a_failure() {
    assert_fails(
        "panics_with_the_wrong_text",
        &["panic did not contain expected string"],
    );
}

#[test]
fn an_error_is_not_the_panic_that_is_expected() {
    assert_fails(
        "raises_where_it_should_panic",
        &["test did not panic as expected", "LookupError: no panic"],
    );
}

#[test]
fn what_python_has_buffered_is_printed() {
    let output = start("prints");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("printed by Python"), "{printed}");
}
