//! The programs are built for this test by cargo; here they run.

use std::process::Command;

fn output(program: &str) -> String {
    let output = Command::new(program).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_crate_is_found_under_the_name_that_cargo_toml_gives_it() {
    let printed = output(env!("CARGO_BIN_EXE_renamed"));
    assert_eq!(printed.trim_end(), "hello from another name");
}

#[test]
fn the_crate_is_found_by_the_path_that_the_attribute_gives() {
    let printed = output(env!("CARGO_BIN_EXE_by_path"));
    assert_eq!(printed.trim_end(), "hello from a path");
}
