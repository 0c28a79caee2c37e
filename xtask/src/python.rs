//! Which Python to use, and what it is.

use std::{collections::HashMap, env, fmt, path::PathBuf};

use xshell::{Shell, cmd};

use crate::Result;

const OLDEST: Version = Version(3, 9);

/// Major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        Some(Version(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

/// What `probe.py` says of an interpreter.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// Never a virtual environment's, and no link: the same however it was found.
    pub(crate) executable: PathBuf,
    /// `CPython`
    implementation: String,
    /// `3.11.7`, `3.11.7d` for a debug build.
    pub(crate) version: String,
    /// Equal for a Python and the virtual environments made with it, different for any other.
    pub(crate) build: String,
    pub(crate) has_ensurepip: bool,
    pub(crate) has_pip: bool,
    /// It came with CPython's own tests of asyncio.
    pub(crate) has_testsuite: bool,
    /// It has a shared libpython.
    pub(crate) is_shared: bool,
    /// Where its libpython is.
    pub(crate) libdir: PathBuf,
    /// What `-l` takes.
    pub(crate) library: String,
}

impl Python {
    /// The first of the candidates that is new enough.
    pub(crate) fn find(sh: &Shell, option: Option<&str>) -> Result<Self> {
        let mut refused = Vec::new();
        for program in candidates(option, |name| env::var(name).ok()) {
            match Self::probe(sh, &program).and_then(Self::new_enough) {
                Ok(python) => return Ok(python),
                Err(error) => refused.push(format!("`{program}` {error}")),
            }
        }
        Err(format!(
            "no Python to use ({}): install Python 3.9 or newer, or name one with `--python PATH`",
            refused.join(", ")
        )
        .into())
    }

    pub(crate) fn probe(sh: &Shell, program: &str) -> Result<Self> {
        let script = include_str!("probe.py");
        let answer = cmd!(sh, "{program} -c {script}")
            .env_remove("PYTHONHOME")
            .quiet()
            .ignore_stderr()
            .read()
            .map_err(|_| "is not there or does not run")?;
        Self::parse(&answer).ok_or_else(|| "is not a Python".into())
    }

    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let facts: HashMap<&str, &str> = answer
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let fact = |name| facts.get(name).copied();
        let holds = |name| fact(name).map(|value| value == "True");
        Some(Python {
            executable: fact("executable")?.into(),
            implementation: fact("implementation")?.to_owned(),
            version: fact("version")?.to_owned(),
            build: fact("build")?.to_owned(),
            has_ensurepip: holds("ensurepip")?,
            has_pip: holds("pip")?,
            has_testsuite: holds("testsuite")?,
            is_shared: holds("shared")?,
            libdir: fact("libdir")?.into(),
            library: fact("library")?.to_owned(),
        })
    }

    /// A CPython that is new enough.
    pub(crate) fn is_ours(&self) -> bool {
        self.implementation == "CPython" && self.version() >= Some(OLDEST)
    }

    pub(crate) fn version(&self) -> Option<Version> {
        Version::parse(&self.version)
    }

    fn new_enough(self) -> Result<Self> {
        if self.version() >= Some(OLDEST) {
            Ok(self)
        } else {
            Err(format!("is {}", self.version).into())
        }
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {} ({})", self.version, self.executable.display())
    }
}

/// The programs to try, in order. One that the user named stands alone: another in its place would surprise.
fn candidates(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(named) = option
        .map(str::to_owned)
        .or_else(|| variable("PYO3_PYTHON"))
    {
        return vec![absolute(named)];
    }
    let in_virtual = if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    };
    let in_conda = if cfg!(windows) {
        "python.exe"
    } else {
        "bin/python"
    };
    [("VIRTUAL_ENV", in_virtual), ("CONDA_PREFIX", in_conda)]
        .into_iter()
        .filter_map(|(name, program)| Some(format!("{}/{program}", variable(name)?)))
        .chain(["python3".to_owned(), "python".to_owned()])
        .collect()
}

/// A path from the user's directory, since our commands run at the root. A bare name stays one, for the PATH.
fn absolute(program: String) -> String {
    if program.contains(std::path::is_separator) {
        std::path::absolute(&program).map_or(program, |path| path.display().to_string())
    } else {
        program
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ANSWER: &str = "\
implementation CPython
version 3.11.7
build /opt/python 3.11 3.11.7 3.11.7 (main, Dec  4 2023) [GCC 12.2.0]
executable /opt/python 3.11/bin/python3.11
ensurepip True
pip False
testsuite True
shared True
libdir /opt/python 3.11/lib
library python3.11";

    fn with(variables: &[(&str, &str)], option: Option<&str>) -> Vec<String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        candidates(option, |name| variables.get(name).map(|v| (*v).to_owned()))
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(Version::parse("3.13.0rc1"), Some(Version(3, 13)));
        assert_eq!(Version::parse("3.9.18+"), Some(Version(3, 9)));
        assert_eq!(Version::parse("3.11.2d"), Some(Version(3, 11)));
        assert!(Version::parse("3.10.2") > Version::parse("3.9.18"));
        assert!(Version::parse("2.7.18") < Some(OLDEST));
        assert_eq!(Version::parse("Python"), None);
    }

    #[test]
    fn an_answer_keeps_its_blanks() {
        let python = Python::parse(ANSWER).unwrap();
        assert_eq!(
            python.executable,
            PathBuf::from("/opt/python 3.11/bin/python3.11")
        );
        assert_eq!(python.libdir, PathBuf::from("/opt/python 3.11/lib"));
        assert!(python.has_ensurepip && !python.has_pip && python.is_shared);
        assert!(python.is_ours());
        assert!(python.new_enough().is_ok());
    }

    #[test]
    fn only_a_cpython_that_is_new_enough_is_ours() {
        for (from, to) in [("CPython", "PyPy"), ("3.11.7", "3.8.18")] {
            let python = Python::parse(&ANSWER.replace(from, to)).unwrap();
            assert!(!python.is_ours(), "{to}");
        }
    }

    #[test]
    fn an_old_python_says_its_version() {
        let python = Python::parse(&ANSWER.replace("3.11.7", "3.8.10")).unwrap();
        assert_eq!(python.new_enough().unwrap_err().to_string(), "is 3.8.10");
    }

    #[test]
    fn an_answer_that_lacks_a_line_is_no_answer() {
        assert!(Python::parse("version 3.11.7").is_none());
        assert!(Python::parse("").is_none());
    }

    #[test]
    fn a_named_python_stands_alone() {
        let all = [("PYO3_PYTHON", "p"), ("VIRTUAL_ENV", "/v")];
        assert_eq!(with(&all, Some("q")), ["q"]);
        assert_eq!(with(&all, None), ["p"]);
    }

    #[test]
    fn an_active_virtual_environment_comes_before_the_path() {
        let found = with(&[("VIRTUAL_ENV", "/v"), ("PYO3_PYTHON", "")], None);
        assert!(found[0].starts_with("/v/"), "{found:?}");
        assert_eq!(found[1..], ["python3", "python"]);
    }
}
