//! `cargo xtask stress` and `fuzz`: the programs that stand beside the Python tests and use the same extension module.

use xshell::Shell;

use crate::{
    Result,
    hand_over::hand_over,
    options::Options,
    root,
    venv::{MATURIN, Venv},
};

/// Runs the program in the folder `pytests/NAME`.
pub(crate) fn run(sh: &Shell, options: &Options, name: &str) -> Result<()> {
    let venv = Venv::choose(sh, options.python.as_deref())?;
    venv.make(&[MATURIN])?;
    venv.add_uvloop();
    venv.maturin("pytests", &[]).run()?;
    let program = root().join("pytests").join(name);
    hand_over(venv.python([program]).args(&options.rest))
}
