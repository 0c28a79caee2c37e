//! `cargo xtask bench`: this library against `pyo3-async-runtimes`.

use xshell::Shell;

use crate::{Result, hand_over::hand_over, options::Options, root, venv::Venv};

const BUILD: &str = "build --release --workspace --manifest-path benches/versus/Cargo.toml";

/// Builds both sides and passes the arguments to `benches/versus/versus.py`.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let venv = Venv::choose(sh, options.python.as_deref())?;
    venv.make(&[])?;
    venv.add_uvloop();
    // Python loads both sides, so neither links libpython.
    venv.cargo(BUILD)
        .env("PYO3_BUILD_EXTENSION_MODULE", "1")
        .run()?;
    let script = root().join("benches/versus/versus.py");
    hand_over(venv.python([script]).args(&options.rest))
}
