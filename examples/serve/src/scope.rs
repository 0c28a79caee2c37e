//! The `scope` of a request or a WebSocket.

use std::borrow::Cow;

use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Version, header};
use percent_encoding::percent_decode_str;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use pyo3::{IntoPyObjectExt, intern};

use crate::connection::Connection;

/// Python has set what is common to all requests, and what is most common.
pub(crate) fn scope<'py>(
    py: Python<'py>,
    connection: &Connection,
    request: &Parts,
    is_websocket: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let worker = &connection.worker;
    let scope = worker.scopes[usize::from(is_websocket)].bind(py).copy()?;
    let client =
        (connection.client_object).get_or_try_init(py, || (&connection.client).into_py_any(py))?;
    scope.set_item(intern!(py, "client"), client)?;
    scope.set_item(intern!(py, "state"), worker.state.bind(py).copy()?)?;
    match request.version {
        Version::HTTP_2 => scope.set_item("http_version", "2")?,
        Version::HTTP_10 => scope.set_item("http_version", "1.0")?,
        _ => {}
    }
    if is_websocket {
        scope.set_item("subprotocols", subprotocols(&request.headers))?;
    } else if request.method != Method::GET {
        scope.set_item(intern!(py, "method"), request.method.as_str())?;
    }
    let target = request.uri.path_and_query();
    let query = target.and_then(PathAndQuery::query).unwrap_or("");
    let query = PyBytes::new(py, query.as_bytes());
    scope.set_item(intern!(py, "query_string"), query)?;
    let mut path = Cow::Borrowed(target.map_or("/", PathAndQuery::path));
    if !worker.options.root_path.is_empty() {
        path = format!("{}{path}", worker.options.root_path).into();
    }
    let decoded = percent_decode_str(&path).decode_utf8_lossy();
    scope.set_item(intern!(py, "path"), decoded)?;
    scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, path.as_bytes()))?;
    scope.set_item(intern!(py, "headers"), headers(py, request)?)?;
    Ok(scope)
}

fn headers<'py>(py: Python<'py>, request: &Parts) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let pair = |name: &str, value: &[u8]| {
        list.append((PyBytes::new(py, name.as_bytes()), PyBytes::new(py, value)))
    };
    // HTTP/2 has the host in the URI.
    if let (Version::HTTP_2, Some(host)) = (request.version, request.uri.authority()) {
        pair("host", host.as_str().as_bytes())?;
    }
    for (name, value) in &request.headers {
        pair(name.as_str(), value.as_bytes())?;
    }
    Ok(list)
}

fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}
