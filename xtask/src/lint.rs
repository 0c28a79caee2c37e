//! `cargo xtask lint`: formatting, clippy and rustdoc, with warnings denied.

use xshell::{Shell, cmd};

use crate::{
    Result,
    options::Options,
    steps::{self, Step},
    venv::Venv,
};

pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    // PyO3's build script asks a Python what to build for: the one of the tests, so that it is built once for both.
    let venv = Venv::choose(sh, options.python.as_deref())?;
    steps::run(steps(&venv), &options.rest, || {
        require_component(sh, "fmt", "rustfmt")?;
        require_component(sh, "clippy", "clippy")?;
        venv.make(&[])?;
        venv.print_environment();
        Ok(())
    })
}

/// What somebody may build the crate with: one runtime, and what goes with each. The name of a step is its features.
const FEATURES: [&str; 12] = [
    "tokio-runtime",
    "tokio-runtime,attributes",
    "tokio-runtime,testing",
    "tokio-runtime,tracing",
    "async-std-runtime",
    "async-std-runtime,attributes",
    "async-std-runtime,testing",
    "async-std-runtime,tracing",
    "smol-runtime",
    "smol-runtime,attributes",
    "smol-runtime,testing",
    "smol-runtime,tracing",
];

fn steps<'sh>(venv: &Venv<'sh>) -> Vec<Step<'sh>> {
    let bare = "clippy --package pyo3-asyncio --no-default-features";
    let one_runtime = FEATURES.map(|features| {
        let command = format!("{bare} --features {features} -- --deny warnings");
        Step::new(features, venv.cargo(&command))
    });
    let mut steps = vec![
        Step::new("rustfmt", venv.cargo("fmt --all --check")),
        Step::new(
            "clippy",
            // It knows `rust-version`, and which functions of std are younger.
            venv.cargo("clippy --workspace --all-targets --all-features -- --deny warnings"),
        ),
        Step::new(
            "clippy-bare",
            venv.cargo(&format!("{bare} -- --deny warnings")),
        ),
        // The benchmark is a workspace of its own.
        Step::new(
            "rustfmt-versus",
            venv.cargo("fmt --manifest-path benches/versus/Cargo.toml --check"),
        ),
        Step::new(
            "clippy-versus",
            venv.cargo(
                "clippy --manifest-path benches/versus/Cargo.toml --target-dir target -- --deny warnings",
            ),
        ),
        // Only with every feature: without one, the links to what it gives lead nowhere.
        Step::new(
            "rustdoc",
            venv.cargo("doc --workspace --no-deps --all-features"),
        )
        .with("RUSTDOCFLAGS", "--deny warnings"),
    ];
    steps.extend(one_runtime);
    steps
}

fn require_component(sh: &Shell, command: &str, component: &str) -> Result<()> {
    let answer = cmd!(sh, "cargo {command} --version")
        .quiet()
        .ignore_stderr()
        .read();
    answer.map(drop).map_err(|_| {
        format!("cargo has no `{command}`: install it with `rustup component add {component}`")
            .into()
    })
}
