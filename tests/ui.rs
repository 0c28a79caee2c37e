//! What the attributes accept, and what they say to what they do not accept.
//!
//! After a change of wording, `TRYBUILD=overwrite cargo test --all-features --test ui` writes the `.stderr` files anew.

#![cfg(all(
    feature = "testing",
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

/// Compiled here, as a part of the test, so that nothing has to be linked or run for it.
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
fn an_accepted_main_gives_the_exit_code() {
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
fn a_refused_function_is_told_why_where_it_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

/// What is accepted is in the tests from Python.
#[test]
fn a_refused_export_is_told_why_where_it_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/export/*.rs");
}
