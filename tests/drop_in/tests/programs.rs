//! The programs are built for this test by cargo; here they run.

use std::process::Command;

#[test]
fn an_async_main_runs_on_tokio_with_the_options_of_its_attribute() {
    let output = Command::new(env!("CARGO_BIN_EXE_tokio_main")).output();
    let output = output.expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        "2 workers"
    );
}
