//! What a Rust program sets up so that its interpreter behaves as `python3` does.

use std::path::{Path, PathBuf};

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::lookup::intern;

/// PyO3 has no `Python::initialize` for PyPy, which no program can start. This trait's function then takes its place.
#[allow(
    dead_code,
    reason = "on CPython, a function of the type goes before one of a trait"
)]
trait Initialize {
    fn initialize();
}

impl Initialize for Python<'_> {
    fn initialize() {
        panic!(
            "a Rust program cannot start PyPy: use CPython, or an extension module that PyPy imports"
        );
    }
}

/// Starts Python, unless it runs.
///
/// # Panics
///
/// On PyPy.
pub(crate) fn initialize() {
    Python::initialize();
}

/// Makes this thread the main thread of `threading`, which is the thread that imports it first.
pub(crate) fn be_main_thread(py: Python<'_>) -> PyResult<()> {
    py.import("threading").map(drop)
}

/// Flushes `sys.stdout` and `sys.stderr`. A program that never finalizes its interpreter would lose what they buffer.
pub(crate) fn flush_standard_streams(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for stream in ["stdout", "stderr"] {
        let stream = sys.getattr(stream)?;
        if !stream.is_none() {
            stream.call_method0(intern!(py, "flush"))?;
        }
    }
    Ok(())
}

/// The exit status of a `SystemExit`.
pub(crate) fn system_exit_code<'py>(
    error: &Bound<'py, PyBaseException>,
) -> PyResult<Bound<'py, PyAny>> {
    error.getattr(intern!(error.py(), "code"))
}

/// The traceback that Python prints for an uncaught error, its causes included.
#[cfg(feature = "testing")]
pub(crate) fn format_exception(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    let lines = py.import("traceback")?.call_method1(
        "format_exception",
        (error.get_type(py), error.value(py), error.traceback(py)),
    )?;
    Ok(lines.extract::<Vec<String>>()?.concat())
}

/// Puts the packages of the active virtual environment on `sys.path`, before those of the base installation.
///
/// An embedded interpreter finds its environment through the `python3` on `PATH`. Many editors set `VIRTUAL_ENV` but not `PATH`,
/// and the packages of that environment would be missing.
pub(crate) fn see_virtual_environment(py: Python<'_>) -> PyResult<()> {
    let Some(environment) = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from) else {
        return Ok(());
    };
    let sys = py.import("sys")?;
    let prefix: PathBuf = sys.getattr("prefix")?.extract()?;
    let version = py.version_info();
    let packages = if cfg!(windows) {
        environment.join("Lib").join("site-packages")
    } else {
        let python = format!("python{}.{}", version.major, version.minor);
        environment.join("lib").join(python).join("site-packages")
    };
    if same_file(&prefix, &environment) || !packages.is_dir() {
        return Ok(());
    }
    let path = sys.getattr("path")?.cast_into::<PyList>()?;
    let before = path.len();
    py.import("site")?.call_method1("addsitedir", (packages,))?;
    let added = path.get_slice(before, path.len());
    path.del_slice(before, path.len())?;
    let position = path.iter().position(|entry| {
        let entry: Result<PathBuf, _> = entry.extract();
        entry
            .is_ok_and(|entry| entry.ends_with("site-packages") || entry.ends_with("dist-packages"))
    });
    let position = position.unwrap_or(before);
    path.set_slice(position, position, &added)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
