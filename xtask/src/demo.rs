//! `cargo xtask demo`: the example on real input.

use xshell::Shell;

use crate::{
    Result,
    hand_over::hand_over,
    options::Options,
    venv::{MATURIN, Venv},
};

pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let venv = Venv::choose(sh, options.python.as_deref())?;
    venv.make(&[MATURIN])?;
    venv.maturin("examples/scan", &["--release"]).run()?;
    hand_over(venv.python(["-m", "scan"]).args(&options.rest))
}
