//! Runs the programs, which cargo builds for this test.

use std::process::Command;

fn output(program: &str) -> String {
    let output = Command::new(program).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_program_finds_the_crate_under_its_cargo_toml_name() {
    let printed = output(env!("CARGO_BIN_EXE_renamed"));
    assert_eq!(printed.trim_end(), "hello from another name");
}

#[test]
fn a_program_finds_the_crate_by_the_path_in_its_attribute() {
    let printed = output(env!("CARGO_BIN_EXE_by_path"));
    assert_eq!(printed.trim_end(), "hello from a path");
}
