//! One file: its bytes, and the matches in them.

use std::{fs, io, ops::Range, path::PathBuf, vec};

use pyo3::{exceptions::PyValueError, prelude::*};
use regex::bytes::{Regex, RegexBuilder};

/// A place that the pattern matches. Matches are ordered by where they are.
#[pyclass(frozen, get_all, new = "from_fields", eq, ord, hash, module = "scan")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Match {
    /// The file.
    path: PathBuf,
    /// The number of the line that the match begins on; the first is 1.
    line: usize,
    /// Where in the file the match begins, in bytes.
    start: usize,
    /// Where in the file the match ends, in bytes.
    end: usize,
    /// The line that the match begins on, decoded as UTF-8 with replacement characters.
    text: String,
}

#[pymethods]
impl Match {
    fn __repr__(&self) -> String {
        let Self {
            path, line, text, ..
        } = self;
        format!("<Match {}:{line}: {text}>", path.display())
    }
}

/// A regular expression, in which `\w`, `\b`, `\s` and `\d` mean ASCII, as they do in Python's `re` on bytes.
#[derive(Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// It is compiled where it is an argument: what is wrong with it is raised by the call.
impl FromPyObject<'_, '_> for Pattern {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let pattern: String = object.extract()?;
        let regex = RegexBuilder::new(&pattern).unicode(false).build();
        regex.map(Self).map_err(|error| {
            PyValueError::new_err(format!("cannot search for {pattern:?}: {error}"))
        })
    }
}

/// A file that has been searched. Where its matches are is known; a [`Match`] is only made when it
/// is wanted, for a file of one long line would otherwise be copied once for each.
#[derive(Debug)]
pub(crate) struct SearchedFile {
    path: PathBuf,
    bytes: Vec<u8>,
    places: Vec<Place>,
    is_utf8: bool,
}

#[derive(Debug)]
struct Place {
    line: usize,
    span: Range<usize>,
}

impl SearchedFile {
    /// Reads the file and searches it. Blocks, and gives up once it is not wanted any more.
    pub(crate) fn read(
        path: PathBuf,
        pattern: &Pattern,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<Self> {
        let bytes = fs::read(&path)?;
        let found = pattern.0.find_iter(&bytes).take_while(|_| is_wanted());
        let mut line = 1;
        let mut counted = 0;
        let places = found.map(|found| {
            let passed = &bytes[counted..found.start()];
            line += passed.iter().filter(|&&byte| byte == b'\n').count();
            counted = found.start();
            let span = found.range();
            Place { line, span }
        });
        Ok(Self {
            places: places.collect(),
            is_utf8: std::str::from_utf8(&bytes).is_ok(),
            path,
            bytes,
        })
    }

    pub(crate) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// In their order.
    pub(crate) fn into_matches(self) -> FileMatches {
        FileMatches {
            path: self.path,
            bytes: self.bytes,
            places: self.places.into_iter(),
        }
    }
}

/// The matches in a file.
#[derive(Debug)]
pub(crate) struct FileMatches {
    path: PathBuf,
    bytes: Vec<u8>,
    places: vec::IntoIter<Place>,
}

impl Iterator for FileMatches {
    type Item = Match;

    fn next(&mut self) -> Option<Match> {
        let Place { line, span } = self.places.next()?;
        Some(Match {
            path: self.path.clone(),
            line,
            start: span.start,
            end: span.end,
            text: String::from_utf8_lossy(line_around(&self.bytes, span.start)).into_owned(),
        })
    }
}

fn line_around(bytes: &[u8], position: usize) -> &[u8] {
    let (before, after) = bytes.split_at(position);
    let start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let end = after
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |newline| position + newline);
    let line = &bytes[start..end];
    line.strip_suffix(b"\r").unwrap_or(line)
}
