//! The dicts of ASGI. One in a wrong shape is an error that says what was expected.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// A message for the application: a dict of its fields.
#[derive(IntoPyObject)]
pub(crate) enum Event {
    Plain {
        r#type: &'static str,
    },
    Request {
        r#type: &'static str,
        body: Bytes,
        more_body: bool,
    },
    Text {
        r#type: &'static str,
        text: String,
    },
    Bytes {
        r#type: &'static str,
        bytes: Bytes,
    },
    Close {
        r#type: &'static str,
        code: u16,
        reason: String,
    },
}

/// A message of the application.
pub(crate) struct Message<'py> {
    fields: Bound<'py, PyDict>,
    kind: Bound<'py, PyString>,
}

impl<'py> FromPyObject<'_, 'py> for Message<'py> {
    type Error = PyErr;

    fn extract(message: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let fields = message.cast::<PyDict>().map_err(|_| {
            PyTypeError::new_err(format!(
                "an ASGI message is a dict, not {}",
                shown(&message)
            ))
        })?;
        let kind = fields.get_item(intern!(message.py(), "type"))?;
        let kind = kind.and_then(|kind| kind.cast_into::<PyString>().ok());
        let kind = kind.ok_or_else(|| {
            PyValueError::new_err(format!(
                "an ASGI message has its kind under 'type', as a str: {message:?}"
            ))
        })?;
        let fields = fields.to_owned();
        Ok(Self { fields, kind })
    }
}

impl<'py> Message<'py> {
    pub(crate) fn py(&self) -> Python<'py> {
        self.fields.py()
    }

    pub(crate) fn kind(&self) -> PyResult<&str> {
        self.kind.to_str()
    }

    /// A field, by a function that gives `None` for a wrong value. `None` if it is missing or None.
    pub(crate) fn get<T>(
        &self,
        name: &Bound<'py, PyString>,
        expected: &str,
        convert: impl FnOnce(&Bound<'py, PyAny>) -> Option<T>,
    ) -> PyResult<Option<T>> {
        match self.fields.get_item(name)? {
            Some(value) if !value.is_none() => match convert(&value) {
                None => Err(self.wrong(name, expected, &value)),
                converted => Ok(converted),
            },
            _ => Ok(None),
        }
    }

    fn wrong(
        &self,
        name: &Bound<'py, PyString>,
        expected: &str,
        value: &Bound<'py, PyAny>,
    ) -> PyErr {
        let value = shown(value);
        PyTypeError::new_err(format!(
            "'{name}' of {} is {expected}, not {value}",
            self.kind
        ))
    }

    pub(crate) fn flag(&self, name: &Bound<'py, PyString>) -> PyResult<bool> {
        let value = self.get(name, "true or false", |value| value.is_truthy().ok())?;
        Ok(value.unwrap_or_default())
    }

    pub(crate) fn bytes(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bytes>> {
        self.get(name, "bytes", |value| value.extract().ok())
    }

    pub(crate) fn text(&self, name: &Bound<'py, PyString>) -> PyResult<Option<String>> {
        self.get(name, "a str", |value| value.extract().ok())
    }

    /// The status, which the message must have.
    pub(crate) fn status(&self) -> PyResult<StatusCode> {
        let name = intern!(self.py(), "status");
        let status = self.get(name, "an int from 200 to 999", |value| {
            let status = value.extract().ok().filter(|status| *status >= 200);
            status.and_then(|status| StatusCode::from_u16(status).ok())
        });
        status?
            .ok_or_else(|| PyValueError::new_err(format!("'status' is missing in {}", self.kind)))
    }

    pub(crate) fn headers(&self) -> PyResult<HeaderMap> {
        let name = intern!(self.py(), "headers");
        let expected = "an iterable of pairs of bytes";
        let mut headers = HeaderMap::new();
        let Some(pairs) = self.get(name, expected, |value| value.try_iter().ok())? else {
            return Ok(headers);
        };
        for pair in pairs {
            let pair = pair?;
            let parts = pair.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>();
            // A list is as good as a tuple.
            let parts =
                parts.or_else(|_| pair.extract().map(|[name, value]: [_; 2]| (name, value)));
            let Ok((name, value)) = parts else {
                return Err(self.wrong(intern!(self.py(), "headers"), expected, &pair));
            };
            let header = HeaderName::from_bytes(name.as_bytes()).ok();
            let header = header.zip(HeaderValue::from_bytes(value.as_bytes()).ok());
            let (name, value) = header.ok_or_else(|| {
                let kind = &self.kind;
                PyValueError::new_err(format!(
                    "no header of HTTP in the headers of {kind}: {pair:?}"
                ))
            })?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// The error of a message that comes when another one is expected.
    pub(crate) fn misplaced(&self, expected: &str) -> PyErr {
        let kind = &self.kind;
        PyRuntimeError::new_err(format!(
            "Expected ASGI message {expected}, but got '{kind}'."
        ))
    }
}

fn shown(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    let name = name.map_or_else(|_| "?".to_owned(), |name| name.to_string());
    format!("{value:?} of type {name}")
}
