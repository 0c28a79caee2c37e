//! The guide's applications and its modules of tests, each in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long each of them sleeps.
const SLEEP: Duration = Duration::from_secs(1);

/// Runs a program, and asserts that it sleeps, ends well and says nothing.
#[track_caller]
fn assert_sleeps_in_silence(program: &str) {
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
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_quickstart_async_std"));
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_quickstart_tokio"));
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_initialization"));
}

#[test]
fn an_async_function_of_pythons_is_awaited() {
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_awaiting_python"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_uvloop_when_it_installs_it() {
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_uvloop_application"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_uvloop_when_its_attribute_says_so() {
    assert_sleeps_in_silence(env!("CARGO_BIN_EXE_uvloop_by_attribute"));
}

#[test]
fn both_tests_of_a_module_run_and_pass() {
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
