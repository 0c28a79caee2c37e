//! The virtual environment in `.venv`, and the environment variables under which everything of ours runs.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use xshell::{Cmd, Shell, cmd};

use crate::{Result, needs::Need, python::Python, root};

/// maturin tells PyO3 that it builds an extension module since 1.9.4.
pub(crate) const MATURIN: &str = "maturin>=1.9.4,<2";

/// Where the dynamic linker looks for libpython.
const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_FALLBACK_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// `.venv`, made with the chosen Python.
#[derive(Debug)]
pub(crate) struct Venv<'sh> {
    sh: &'sh Shell,
    directory: PathBuf,
    base: Python,
    /// Whether the commands run in it. Else they run with the Python itself, which lacks what is installed here.
    active: bool,
}

impl<'sh> Venv<'sh> {
    /// The one that `make` makes with the Python that the user chose.
    pub(crate) fn choose(sh: &'sh Shell, python: Option<&str>) -> Result<Self> {
        Ok(Venv {
            sh,
            directory: root().join(".venv"),
            base: Python::find(sh, python)?,
            active: true,
        })
    }

    /// One of many that stand side by side.
    pub(crate) fn of(sh: &'sh Shell, base: Python) -> Self {
        Venv {
            sh,
            directory: root().join(format!("target/venv-{}", base.version)),
            active: base.has_ensurepip,
            base,
        }
    }

    /// Makes it, unless it is there and of that Python, and installs what it lacks.
    pub(crate) fn make(&self, requirements: &[&str]) -> Result<()> {
        if !self.is_current() {
            self.create()?;
        }
        self.install(requirements, &[])
    }

    /// Installs uvloop if there is a build of it for this Python: whatever uses it does without where there is none.
    pub(crate) fn add_uvloop(&self) -> bool {
        let outcome = self.install(
            &["uvloop; sys_platform != 'win32'"],
            &["--only-binary", "uvloop"],
        );
        if outcome.is_err() {
            println!("uvloop cannot be installed for this Python: going on without it");
        }
        outcome.is_ok()
    }

    fn is_current(&self) -> bool {
        let python = self.executable().display().to_string();
        self.executable().exists()
            && Python::probe(self.sh, &python)
                .is_ok_and(|found| found.build == self.base.build && found.has_pip)
    }

    fn create(&self) -> Result<()> {
        self.require(&[Need::Ensurepip])?;
        let Python {
            executable,
            version,
            ..
        } = &self.base;
        let directory = &self.directory;
        println!("making {} with Python {version}", self.shown());
        cmd!(self.sh, "{executable} -m venv --clear {directory}")
            .env_remove("PYTHONHOME")
            .quiet()
            .run()?;
        Ok(())
    }

    /// Says how to make a shell in which a command that is shown can be typed.
    pub(crate) fn print_environment(&self) {
        let activate = match self.active {
            true => format!("source {}/bin/activate; ", self.shown()),
            false => String::new(),
        };
        println!(
            "$ {activate}export PYO3_PYTHON={} {LIBRARY_PATH}={}",
            self.base.executable.display(),
            self.base.libdir.display(),
        );
    }

    /// Installs those that no earlier call has installed.
    fn install(&self, requirements: &[&str], options: &[&str]) -> Result<()> {
        let stamp = self.directory.join("installed-by-xtask");
        let stamped = self.sh.read_file(&stamp).unwrap_or_default();
        let (missing, all) = merge(&stamped, requirements);
        if missing.is_empty() {
            return Ok(());
        }
        println!("installing {}", missing.join(", "));
        self.python(["-m", "pip", "--disable-pip-version-check"])
            .args(["install", "--quiet"])
            .args(options)
            .args(missing)
            .quiet()
            .run()?;
        self.sh.write_file(stamp, all)?;
        Ok(())
    }

    /// Builds the extension module of the crate in `package` and installs it.
    pub(crate) fn maturin(&self, package: &str, options: &[&str]) -> Cmd<'sh> {
        // PyO3 is built otherwise for an extension module than for a program, so the two would rebuild it in turn in
        // one target directory.
        self.python(["-m", "maturin", "develop"])
            .args(["--target-dir", "target/python", "--manifest-path"])
            .arg(format!("{package}/Cargo.toml"))
            .args(options)
    }

    /// Has PyO3 write the type stubs of the crate in `package`, with its feature `stubs`.
    pub(crate) fn stubs(&self, package: &str, folder: &str) -> Cmd<'sh> {
        self.python(["-m", "maturin", "generate-stubs", "--features", "stubs"])
            .args([
                "--target-dir",
                "target/python",
                "--out",
                folder,
                "--manifest-path",
            ])
            .arg(format!("{package}/Cargo.toml"))
    }

    /// The command `python ARGUMENTS…`.
    pub(crate) fn python<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Cmd<'sh> {
        self.activate(self.sh.cmd(self.executable()).args(arguments))
    }

    /// The command `cargo ARGUMENTS…`.
    pub(crate) fn cargo(&self, arguments: &str) -> Cmd<'sh> {
        self.activate(self.sh.cmd("cargo").args(arguments.split_whitespace()))
    }

    fn activate(&self, command: Cmd<'sh>) -> Cmd<'sh> {
        command
            // Each would have PyO3 or Python itself look elsewhere.
            .env_remove("CONDA_PREFIX")
            .env_remove("PYTHONHOME")
            .env_remove("VIRTUAL_ENV")
            .envs(self.variables())
    }

    /// With these, PyO3 builds for our Python, and a program that embeds Python loads the libpython it was built for
    /// and finds the packages of `.venv`: Python looks for `python3` on the PATH to learn where it lives.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            // PyO3 is built again when this changes, which the path in `.venv` would not if that were made anew.
            ("PYO3_PYTHON", self.base.executable.clone().into()),
            ("PATH", prepended("PATH", &self.programs())),
        ];
        if self.active {
            variables.push(("VIRTUAL_ENV", self.directory.clone().into()));
        }
        if self.base.is_shared && !cfg!(windows) {
            let path = prepended(LIBRARY_PATH, &self.base.libdir);
            variables.push((LIBRARY_PATH, path));
        }
        variables
    }

    /// An error that says what to install for each that the Python lacks.
    pub(crate) fn require(&self, needs: &[Need]) -> Result<()> {
        let lacking = needs.iter().filter(|need| !self.has(**need));
        let lacking: Vec<_> = lacking.map(|need| need.lacking(&self.base)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        Err(lacking.join("\nerror: ").into())
    }

    pub(crate) fn has(&self, need: Need) -> bool {
        match need {
            Need::Library => self.base.is_shared && self.links(),
            Need::Ensurepip => self.base.has_ensurepip,
            Need::Testsuite => self.base.has_testsuite,
        }
    }

    /// Whether a program can be linked with the Python: that is only found out by doing it.
    fn links(&self) -> bool {
        let Python {
            libdir, library, ..
        } = &self.base;
        let Ok(directory) = self.sh.create_temp_dir() else {
            return false;
        };
        cmd!(self.sh, "rustc --edition 2024 --crate-name program -L")
            .arg(libdir)
            .args(["-l", library, "-o"])
            .arg(directory.path().join("program"))
            .arg("-")
            .stdin("fn main() {}")
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
            .is_ok()
    }

    pub(crate) fn base(&self) -> &Python {
        &self.base
    }

    /// The directory as one would type it at the root.
    fn shown(&self) -> std::path::Display<'_> {
        let below = self.directory.strip_prefix(root());
        below.unwrap_or(&self.directory).display()
    }

    fn executable(&self) -> PathBuf {
        self.programs().join(if cfg!(windows) {
            "python.exe"
        } else {
            "python"
        })
    }

    fn programs(&self) -> PathBuf {
        if !self.active {
            let own = self.base.executable.parent();
            return own.expect("a program lies in a directory").to_owned();
        }
        self.directory
            .join(if cfg!(windows) { "Scripts" } else { "bin" })
    }
}

/// What of `requirements` the stamp lacks, and the stamp with it.
fn merge<'a>(stamp: &str, requirements: &[&'a str]) -> (Vec<&'a str>, String) {
    let mut installed: BTreeSet<&str> = stamp.lines().collect();
    let missing = requirements
        .iter()
        .copied()
        .filter(|requirement| installed.insert(requirement))
        .collect();
    let stamp = installed
        .iter()
        .map(|requirement| format!("{requirement}\n"))
        .collect();
    (missing, stamp)
}

fn prepended(variable: &str, directory: &Path) -> OsString {
    let rest = env::var_os(variable).unwrap_or_default();
    let rest = env::split_paths(&rest).filter(|path| !path.as_os_str().is_empty());
    env::join_paths([directory.to_owned()].into_iter().chain(rest)).expect(
        "neither the checkout nor Python lies in a directory with the separator in its name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_stamped_is_installed() {
        let (missing, stamp) = merge("", &["b", "a>=1"]);
        assert_eq!(missing, ["b", "a>=1"]);
        assert_eq!(merge(&stamp, &["a>=1", "b"]).0, [""; 0]);
        assert_eq!(
            merge(&stamp, &["a>=2", "b"]),
            (vec!["a>=2"], "a>=1\na>=2\nb\n".to_owned())
        );
    }
}
