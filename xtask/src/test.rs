//! `cargo xtask test`: every test there is.

use xshell::Shell;

use crate::{
    Result,
    options::Options,
    steps::{self, Step},
    venv::{MATURIN, Venv},
};

pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let venv = Venv::choose(sh, options.python.as_deref())?;
    let steps = [rust(&venv), python(&venv), examples(&venv)];
    let steps = steps.into_iter().flatten().collect();
    steps::run(steps, &options.rest, || {
        venv.check_that_it_can_be_embedded()?;
        venv.make(&[MATURIN, "anyio", "gunicorn", "pytest>=8", "uvicorn"])?;
        venv.add_uvloop();
        venv.print_environment();
        Ok(())
    })
}

/// Unit, integration, compile-fail and doc tests, and the loom models.
fn rust<'sh>(venv: &Venv<'sh>) -> Vec<Step<'sh>> {
    vec![
        Step::new("rust", venv.cargo("test --workspace --all-features --no-fail-fast")),
        // Doc tests are examples of the API, which is the same for every ABI.
        Step::new(
            "abi3",
            venv.cargo("test --package pyo3-asyncio --lib --tests --all-features --features pyo3/abi3-py39 --no-fail-fast"),
        ),
        Step::new(
            "loom",
            venv.cargo("test --package pyo3-asyncio --lib --release --all-features --target-dir target/loom loom"),
        )
        .with("RUSTFLAGS", "--cfg pyo3_asyncio_loom"),
    ]
}

/// The tests that stand on Python's side.
fn python<'sh>(venv: &Venv<'sh>) -> Vec<Step<'sh>> {
    // A process of the tests covers one doorbell and one flavor of tokio.
    let pytests = |name, doorbell, runtime| {
        let arguments = [
            "-m",
            "pytest",
            "pytests",
            "--doorbell",
            doorbell,
            "--runtime",
            runtime,
        ];
        Step::new(name, venv.python(arguments)).after(venv.maturin("pytests", &[]))
    };
    let (reader, helper) = ("add_reader", "call_soon_threadsafe");
    let (threads, one_thread) = ("multi_thread", "current_thread");
    vec![
        pytests("python", reader, threads),
        pytests("python-current-thread", reader, one_thread),
        pytests("python-doorbell", helper, threads),
        pytests("python-doorbell-current-thread", helper, one_thread),
        pytests("python-debug", reader, threads).with("PYTHONASYNCIODEBUG", "1"),
    ]
}

/// The programs of `examples`.
fn examples<'sh>(venv: &Venv<'sh>) -> Vec<Step<'sh>> {
    const USE_OF_MODULE: &str = "\
import asyncio
from my_async_module import rust_sleep

async def main():
    await rust_sleep()

asyncio.run(main())";
    vec![
        Step::new(
            "example-scan",
            venv.python(["-m", "pytest", "examples/scan/tests"]),
        )
        .after(venv.maturin("examples/scan", &[])),
        Step::new("example-module", venv.python(["-c", USE_OF_MODULE]))
            .after(venv.maturin("examples/my_async_module", &[])),
        Step::new(
            "example-application",
            venv.cargo("run --package rust_application"),
        ),
    ]
}
