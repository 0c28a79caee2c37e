//! One file: its bytes, and the matches in them.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

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

/// `\w`, `\b`, `\s` and `\d` mean ASCII, as they do in Python's `re` on bytes.
pub(crate) fn compile(pattern: &str) -> PyResult<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .map_err(|error| PyValueError::new_err(format!("cannot search for {pattern:?}: {error}")))
}

/// A file that has been searched. Where its matches are is known; a [`Match`] is only made when it
/// is wanted, for a file of one long line would otherwise be copied once for each.
#[derive(Debug)]
pub(crate) struct SearchedFile {
    path: PathBuf,
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
    is_utf8: bool,
}

impl SearchedFile {
    /// Reads the file and searches it. Blocks.
    pub(crate) fn read(path: &Path, regex: &Regex) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let spans = regex.find_iter(&bytes).map(|found| found.range()).collect();
        let is_utf8 = std::str::from_utf8(&bytes).is_ok();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            spans,
            is_utf8,
        })
    }

    pub(crate) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    pub(crate) fn matches(&self) -> impl Iterator<Item = Match> {
        let mut line = 1;
        let mut counted = 0;
        self.spans.iter().map(move |span| {
            line += self.bytes[counted..span.start]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            counted = span.start;
            Match {
                path: self.path.clone(),
                line,
                start: span.start,
                end: span.end,
                text: String::from_utf8_lossy(self.line_around(span.start)).into_owned(),
            }
        })
    }

    fn line_around(&self, position: usize) -> &[u8] {
        let (before, after) = self.bytes.split_at(position);
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let end = after
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(self.bytes.len(), |newline| position + newline);
        let line = &self.bytes[start..end];
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}
