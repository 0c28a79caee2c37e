//! `cargo xtask bench`: this library against its predecessor.

use xshell::Shell;

use crate::{
    Result,
    hand_over::hand_over,
    options::Options,
    root,
    venv::{MATURIN, Venv},
};

pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let venv = Venv::choose(sh, options.python.as_deref())?;
    venv.make(&[MATURIN, "matplotlib"])?;
    venv.add_uvloop();
    venv.maturin("benches/versus", &["--release"]).run()?;
    let script = root().join("benches/versus/versus.py");
    hand_over(venv.python([script]).args(&options.rest))
}
