//! Runs the programs, which cargo builds for this test.

use std::process::Command;

fn output(program: &str) -> String {
    let output = Command::new(program).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_async_main_runs_on_tokio_with_the_options_of_its_attribute() {
    let printed = output(env!("CARGO_BIN_EXE_tokio_main"));
    assert_eq!(printed.trim_end(), "2 workers");
}

#[test]
fn an_async_main_runs_on_async_std() {
    let printed = output(env!("CARGO_BIN_EXE_async_std_main"));
    assert_eq!(printed.trim_end(), "slept");
}
