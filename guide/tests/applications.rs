//! Runs the guide's applications and its test modules, each in its own process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The time that each program sleeps.
const SLEEP: Duration = Duration::from_secs(1);

/// Runs a program, and asserts that it sleeps, succeeds and prints nothing.
#[track_caller]
fn assert_sleeps_silently(program: &str) {
    let begin = Instant::now();
    let output = Command::new(program)
        .env(
            "PYTHONPATH",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("python/library"),
        )
        .env("PYTHONWARNINGS", "ignore::DeprecationWarning")
        .output()
        .expect("the program starts");
    let took = begin.elapsed();
    assert!(took >= SLEEP, "{program} took {took:?}");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{program}: {printed}");
    assert_eq!(printed, "", "{program}");
}

#[test]
fn an_application_awaits_python() {
    assert_sleeps_silently(env!("CARGO_BIN_EXE_quickstart_async_std"));
    assert_sleeps_silently(env!("CARGO_BIN_EXE_quickstart_tokio"));
    assert_sleeps_silently(env!("CARGO_BIN_EXE_initialization"));
}

#[test]
fn an_application_awaits_a_python_function() {
    assert_sleeps_silently(env!("CARGO_BIN_EXE_awaiting_python"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_the_uvloop_that_it_installs() {
    assert_sleeps_silently(env!("CARGO_BIN_EXE_uvloop_application"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_the_uvloop_of_its_attribute() {
    assert_sleeps_silently(env!("CARGO_BIN_EXE_uvloop_by_attribute"));
}

#[test]
fn both_tests_of_each_module_run_and_pass() {
    for program in [
        env!("CARGO_BIN_EXE_tests_async_std"),
        env!("CARGO_BIN_EXE_tests_tokio"),
    ] {
        let output = Command::new(program).output();
        let output = output.expect("the program starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{program}: {printed}");
        let summary = "test result: ok. 2 passed; 0 failed; 0 ignored;";
        assert!(printed.contains(summary), "{program}: {printed}");
    }
}
