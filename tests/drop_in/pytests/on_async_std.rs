//! A test program for the runtime of its name.

#[macro_use]
mod program;

program!(async_std, {
    use pyo3_async_runtimes::testing::{Args, parse_args, test_harness};

    let args: Args = parse_args();
    test_harness(registered(), args)
});
