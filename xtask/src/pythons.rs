//! The Pythons that are installed.

use std::{
    env,
    path::{Path, PathBuf},
};

use xshell::{Shell, cmd};

use crate::python::Python;

/// Every CPython that is new enough, the oldest first.
pub(crate) fn installed(sh: &Shell) -> Vec<Python> {
    let mut found: Vec<Python> = Vec::new();
    for program in programs(sh) {
        let Ok(python) = Python::probe(sh, &program.display().to_string()) else {
            continue;
        };
        // A virtual environment says the same of itself as the Python behind it.
        if python.is_ours() && found.iter().all(|other| other.build != python.build) {
            found.push(python);
        }
    }
    found.sort_by(|one, other| {
        let key = |python: &Python| (python.version(), python.version.clone());
        key(one).cmp(&key(other))
    });
    found
}

/// What looks like a Python by its name, in every place where one may be.
fn programs(sh: &Shell) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let mut directories: Vec<PathBuf> = env::split_paths(&path).chain(usual).collect();
    let mut versions = vec![
        // The images in which wheels for Linux are built, and the installers of python.org.
        PathBuf::from("/opt/python"),
        PathBuf::from("/Library/Frameworks/Python.framework/Versions"),
    ];
    versions.extend(pyenv(sh).map(|root| root.join("versions")));
    versions
        .extend(env::var_os("LOCALAPPDATA").map(|local| Path::new(&local).join("Programs/Python")));
    for version in versions.iter().flat_map(|versions| entries(sh, versions)) {
        directories.push(version.join("bin"));
        directories.push(version);
    }
    let programs = directories.iter().flat_map(|place| entries(sh, place));
    programs.filter(|program| is_python(program)).collect()
}

/// The root of pyenv, if there is one.
fn pyenv(sh: &Shell) -> Option<PathBuf> {
    if let Some(root) = env::var_os("PYENV_ROOT") {
        return Some(root.into());
    }
    let root = cmd!(sh, "pyenv root").quiet().ignore_stderr().read();
    root.ok().map(PathBuf::from)
}

/// None where there is no such directory.
fn entries(sh: &Shell, directory: &Path) -> Vec<PathBuf> {
    sh.read_dir(directory).unwrap_or_default()
}

/// `python3`, `python3.11`, `python3.13t`, `python.exe`, and a debug build: `python3.11d`, Debian's `python3.11-dbg`
fn is_python(program: &Path) -> bool {
    let Some(name) = program.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    if let Some(name) = name.strip_suffix(".exe") {
        return name == "python";
    }
    let Some(version) = name.strip_prefix("python3") else {
        return false;
    };
    let minor = version.strip_prefix('.').unwrap_or(version);
    minor
        .trim_end_matches("-dbg")
        .trim_end_matches(['t', 'd'])
        .chars()
        .all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_is_known_by_its_name() {
        for name in [
            "python3",
            "python3.9",
            "python3.13t",
            "python3.11d",
            "python3.11-dbg",
            "python3.13td",
            "python.exe",
        ] {
            assert!(is_python(&Path::new("/usr/bin").join(name)), "{name}");
        }
        for name in [
            "python3-config",
            "python2.7",
            "python3.11-config",
            "python3.11-dbg-config",
            "python3.11d-config",
            "pythonw.exe",
            "ipython3",
        ] {
            assert!(!is_python(&Path::new("/usr/bin").join(name)), "{name}");
        }
    }

    #[test]
    fn every_python_that_is_found_is_another_and_they_are_in_order() {
        let sh = Shell::new().unwrap();
        let found = installed(&sh);
        assert!(found.iter().all(Python::is_ours));
        assert!(found.is_sorted_by(|one, other| one.version() <= other.version()));
        for (index, python) in found.iter().enumerate() {
            let later = &found[index + 1..];
            assert!(later.iter().all(|other| other.build != python.build));
        }
    }
}
