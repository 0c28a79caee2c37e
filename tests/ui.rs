//! The functions that the attributes accept, and the errors for those that they do not.
//!
//! After a change of wording, `TRYBUILD=overwrite cargo test --all-features --test ui` updates the `.stderr` files.

#![cfg(all(
    feature = "testing",
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

/// These programs are compiled as a part of the test, so none has to be linked or run.
#[path = "ui/pass"]
mod pass {
    pub(crate) mod attributes;
    pub(crate) mod by_macro;
    pub(crate) mod by_path;
    pub(crate) mod every_option;
    pub(crate) mod no_options;
    pub(crate) mod other_runtimes;
}

#[test]
fn every_accepted_main_returns_an_exit_code() {
    use std::process::ExitCode;
    let _: [fn() -> ExitCode; 8] = [
        pass::attributes::main,
        pass::by_macro::main,
        pass::by_path::main,
        pass::every_option::main,
        pass::every_option::current_thread::main,
        pass::no_options::main,
        pass::other_runtimes::async_std::main,
        pass::other_runtimes::smol::main,
    ];
}

#[test]
fn errors_of_the_attributes_point_at_their_cause() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

/// The Python tests cover the accepted exports.
#[test]
fn errors_of_the_exports_point_at_their_cause() {
    trybuild::TestCases::new().compile_fail("tests/ui/export/*.rs");
}
