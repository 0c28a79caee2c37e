//! What a Python may have come without, and where to get it.

use crate::python::Python;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Need {
    /// A shared libpython with what a linker needs.
    Library,
    /// What puts pip into a virtual environment.
    Ensurepip,
    /// CPython's own tests of asyncio, which ours run on our futures.
    Testsuite,
}

impl Need {
    pub(crate) const ALL: [Self; 3] = [Need::Library, Need::Ensurepip, Need::Testsuite];

    /// One sentence, for a Python that lacks it.
    pub(crate) fn lacking(self, python: &Python) -> String {
        let (what, packages) = match self {
            Need::Library => (
                format!(
                    "cannot be linked with, for want of a shared library `{}`",
                    python.library
                ),
                "Debian: `apt install python3-dev`; Fedora: `dnf install python3-devel`; \
                 pyenv: `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install`",
            ),
            Need::Ensurepip => (
                "cannot make a virtual environment with pip, for want of its module `ensurepip`"
                    .to_owned(),
                "Debian: `apt install python3-venv`",
            ),
            Need::Testsuite => (
                "came without CPython's own tests of asyncio, `test.test_asyncio`".to_owned(),
                "Debian: `apt install libpython3-testsuite`; Fedora: `dnf install python3-test`",
            ),
        };
        let python = python.executable.display();
        format!(
            "`{python}` {what}: install that ({packages}), or name another Python with `--python PATH`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tests::ANSWER;

    #[test]
    fn whatever_a_python_lacks_has_a_sentence_that_names_the_python_and_the_package() {
        let python = Python::parse(ANSWER).unwrap();
        let packages = ["python3-dev`", "python3-venv`", "libpython3-testsuite`"];
        for (need, package) in Need::ALL.into_iter().zip(packages) {
            let sentence = need.lacking(&python);
            assert!(
                sentence.starts_with("`/opt/python 3.11/bin/python3.11` c"),
                "{sentence}"
            );
            assert!(sentence.contains(package), "{sentence}");
        }
    }
}
