//! The dicts of ASGI as Rust types. A message in a wrong shape is an error that says what was expected.

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};
use pyo3::{
    exceptions::{PyRuntimeError, PyTypeError, PyValueError},
    intern,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyDict, PyString},
};

/// A body of up to this many bytes is copied, which costs less than a reference to Python's.
const COPIED: usize = 16 * 1024;

/// A message that the application sends.
pub(crate) struct Fields<'a, 'py> {
    message: &'a Bound<'py, PyDict>,
    kind: Bound<'py, PyString>,
}

impl<'a, 'py> Fields<'a, 'py> {
    pub(crate) fn new(message: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let message = message.cast::<PyDict>().map_err(|_| {
            PyTypeError::new_err(format!(
                "an ASGI message is a dict, not {message:?} of type {}",
                type_name(message)
            ))
        })?;
        let kind = message.get_item(intern!(message.py(), "type"))?;
        let kind = kind.and_then(|kind| kind.cast_into::<PyString>().ok());
        let kind = kind.ok_or_else(|| {
            PyValueError::new_err(format!(
                "an ASGI message has its kind under 'type', as a str: {message:?}"
            ))
        })?;
        Ok(Self { message, kind })
    }

    pub(crate) fn kind(&self) -> PyResult<&str> {
        self.kind.to_str()
    }

    /// `None` if it is missing or None.
    pub(crate) fn get(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = self.message.get_item(name)?;
        Ok(value.filter(|value| !value.is_none()))
    }

    /// The error of a field that has another type.
    pub(crate) fn wrong(&self, name: &str, expected: &str, value: &Bound<'py, PyAny>) -> PyErr {
        PyTypeError::new_err(format!(
            "'{name}' of {} is {expected}, not {value:?} of type {}",
            self.kind,
            type_name(value)
        ))
    }

    pub(crate) fn flag(&self, name: &Bound<'py, PyString>) -> PyResult<bool> {
        self.get(name)?.map_or(Ok(false), |value| value.is_truthy())
    }

    pub(crate) fn bytes(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bytes>> {
        let Some(value) = self.get(name)? else {
            return Ok(None);
        };
        match value.cast::<PyBytes>() {
            Ok(bytes) if bytes.as_bytes().len() > COPIED => {
                Ok(Some(Bytes::from_owner(PyBackedBytes::from(bytes.clone()))))
            }
            Ok(bytes) => Ok(Some(Bytes::copy_from_slice(bytes.as_bytes()))),
            Err(_) => match value.extract::<PyBackedBytes>() {
                // A bytearray.
                Ok(bytes) => Ok(Some(Bytes::from_owner(bytes))),
                Err(_) => Err(self.wrong(name.to_str()?, "bytes", &value)),
            },
        }
    }

    pub(crate) fn text(&self, name: &Bound<'py, PyString>) -> PyResult<Option<String>> {
        let Some(value) = self.get(name)? else {
            return Ok(None);
        };
        match value.cast::<PyString>() {
            Ok(text) => Ok(Some(text.to_str()?.to_owned())),
            Err(_) => Err(self.wrong(name.to_str()?, "a str", &value)),
        }
    }

    /// The status, which the message must have.
    pub(crate) fn status(&self) -> PyResult<StatusCode> {
        let value = self.get(intern!(self.message.py(), "status"))?;
        let value = value.ok_or_else(|| {
            PyValueError::new_err(format!("'status' is missing in {}", self.kind))
        })?;
        let status = value.extract::<u16>().ok();
        let status = status.filter(|status| (200..=999).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.ok_or_else(|| self.wrong("status", "an int from 200 to 999", &value))
    }

    pub(crate) fn headers(&self) -> PyResult<HeaderMap> {
        let Some(pairs) = self.get(intern!(self.message.py(), "headers"))? else {
            return Ok(HeaderMap::new());
        };
        let wrong = |value| self.wrong("headers", "an iterable of pairs of bytes", value);
        let mut headers = HeaderMap::with_capacity(pairs.len().unwrap_or(0) + 2);
        for pair in pairs.try_iter().map_err(|_| wrong(&pairs))? {
            let pair = pair?;
            // A list is as good as a tuple.
            let parts = pair.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>();
            let parts =
                parts.or_else(|_| pair.extract().map(|[name, value]: [_; 2]| (name, value)));
            let Ok((name, value)) = parts else {
                return Err(wrong(&pair));
            };
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let value = HeaderValue::from_bytes(value.as_bytes()).ok();
            let (Some(name), Some(value)) = (name, value) else {
                let kind = &self.kind;
                let text = format!("no header of HTTP in the headers of {kind}: {pair:?}");
                return Err(PyValueError::new_err(text));
            };
            headers.append(name, value);
        }
        Ok(headers)
    }
}

/// The error of a message that comes when another is expected.
pub(crate) fn misplaced(kind: &str, expected: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "Expected ASGI message {expected}, but got '{kind}'."
    ))
}

/// A message for the application: its kind, and its other fields.
pub(crate) struct Event(
    pub(crate) &'static str,
    pub(crate) Vec<(&'static str, Value)>,
);

#[derive(IntoPyObject)]
pub(crate) enum Value {
    #[pyo3(transparent)]
    Bytes(Bytes),
    #[pyo3(transparent)]
    Text(String),
    #[pyo3(transparent)]
    Flag(bool),
    #[pyo3(transparent)]
    Number(u16),
}

impl<'py> IntoPyObject<'py> for Event {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let Self(kind, fields) = self;
        let message = PyDict::new(py);
        message.set_item(intern!(py, "type"), PyString::intern(py, kind))?;
        for (name, value) in fields {
            message.set_item(PyString::intern(py, name), value)?;
        }
        Ok(message)
    }
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    name.map_or_else(|_| "?".to_owned(), |name| name.to_string())
}
