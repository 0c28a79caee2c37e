//! The guide's applications, each in a process of its own.

use std::path::Path;
use std::process::Command;

#[track_caller]
fn assert_runs_in_silence(program: &str) {
    let output = Command::new(program)
        .env(
            "PYTHONPATH",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("python/library"),
        )
        .env("PYTHONWARNINGS", "ignore::DeprecationWarning")
        .output()
        .expect("the program starts");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{program}: {printed}");
    assert_eq!(printed, "", "{program}");
}

#[test]
fn an_application_on_async_std_awaits_python() {
    assert_runs_in_silence(env!("CARGO_BIN_EXE_quickstart_async_std"));
    assert_runs_in_silence(env!("CARGO_BIN_EXE_initialization"));
}

#[test]
fn an_async_function_of_pythons_is_awaited() {
    assert_runs_in_silence(env!("CARGO_BIN_EXE_awaiting_python"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_uvloop_when_it_installs_it() {
    assert_runs_in_silence(env!("CARGO_BIN_EXE_uvloop_application"));
}

#[cfg(unix)]
#[test]
fn an_application_runs_on_uvloop_when_its_attribute_says_so() {
    assert_runs_in_silence(env!("CARGO_BIN_EXE_uvloop_by_attribute"));
}
