//! The `scope` of a request or a WebSocket.

use std::{net::SocketAddr, path::PathBuf};

use hyper::{
    Method, Version, header,
    http::{request::Parts, uri::PathAndQuery},
};
use percent_encoding::percent_decode;
use pyo3::{
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyList, PyString, PyTuple},
};

/// The version of the ASGI specification for HTTP and WebSockets.
const SPEC_VERSION: &str = "2.5";

/// What all requests of a connection have in common.
pub(crate) struct Endpoints {
    pub(crate) client: Option<SocketAddr>,
    pub(crate) server: ServerAddress,
    pub(crate) is_tls: bool,
    /// The scope of an HTTP request without what is the request's own.
    template: PyOnceLock<Py<PyDict>>,
}

#[derive(Clone)]
pub(crate) enum ServerAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    WebSocket,
}

impl Endpoints {
    pub(crate) fn new(client: Option<SocketAddr>, server: ServerAddress, is_tls: bool) -> Self {
        Self {
            client,
            server,
            is_tls,
            template: PyOnceLock::new(),
        }
    }

    /// The scope of a request.
    pub(crate) fn scope<'py>(
        &self,
        py: Python<'py>,
        protocol: Protocol,
        root_path: &str,
        state: &Bound<'py, PyDict>,
        request: &Parts,
    ) -> PyResult<Bound<'py, PyDict>> {
        let template = self
            .template
            .get_or_try_init(py, || self.template(py, root_path))?;
        let scope = template.bind(py).copy()?;
        let version = match request.version {
            Version::HTTP_2 => intern!(py, "2"),
            Version::HTTP_10 => intern!(py, "1.0"),
            _ => intern!(py, "1.1"),
        };
        scope.set_item(intern!(py, "http_version"), version)?;
        scope.set_item(intern!(py, "state"), state.copy()?)?;
        let target = request.uri.path_and_query();
        let path = target.map_or("/", PathAndQuery::path);
        let query = target.and_then(PathAndQuery::query).unwrap_or("");
        scope.set_item(
            intern!(py, "query_string"),
            PyBytes::new(py, query.as_bytes()),
        )?;
        if root_path.is_empty() {
            scope.set_item(intern!(py, "path"), decoded(py, path))?;
            scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, path.as_bytes()))?;
        } else {
            let path = format!("{root_path}{path}");
            scope.set_item(intern!(py, "path"), decoded(py, &path))?;
            scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, path.as_bytes()))?;
        }
        scope.set_item(intern!(py, "headers"), headers(py, request)?)?;
        match protocol {
            Protocol::Http => {
                scope.set_item(intern!(py, "method"), method(py, &request.method))?;
            }
            Protocol::WebSocket => {
                scope.del_item(intern!(py, "method"))?;
                self.make_websocket(&scope, request)?;
            }
        }
        Ok(scope)
    }

    fn make_websocket(&self, scope: &Bound<'_, PyDict>, request: &Parts) -> PyResult<()> {
        let py = scope.py();
        scope.set_item(intern!(py, "type"), intern!(py, "websocket"))?;
        scope.set_item(
            intern!(py, "scheme"),
            if self.is_tls { "wss" } else { "ws" },
        )?;
        let subprotocols = request.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let subprotocols = subprotocols
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty());
        scope.set_item(
            intern!(py, "subprotocols"),
            PyList::new(py, subprotocols.collect::<Vec<_>>())?,
        )?;
        let extensions = PyDict::new(py);
        extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
        scope.set_item(intern!(py, "extensions"), extensions)
    }

    fn template(&self, py: Python<'_>, root_path: &str) -> PyResult<Py<PyDict>> {
        let template = PyDict::new(py);
        template.set_item("type", intern!(py, "http"))?;
        template.set_item("asgi", asgi(py)?)?;
        template.set_item("scheme", if self.is_tls { "https" } else { "http" })?;
        template.set_item("root_path", root_path)?;
        let client = self.client.map(|it| (it.ip().to_string(), it.port()));
        template.set_item("client", client)?;
        let server = match &self.server {
            ServerAddress::Tcp(address) => (address.ip().to_string(), Some(address.port())),
            ServerAddress::Unix(path) => (path.display().to_string(), None),
        };
        template.set_item("server", server)?;
        template.set_item("extensions", PyDict::new(py))?;
        // A key that is there does not make the copy grow.
        for own in [
            "http_version",
            "method",
            "path",
            "raw_path",
            "query_string",
            "headers",
            "state",
        ] {
            template.set_item(PyString::intern(py, own), py.None())?;
        }
        Ok(template.unbind())
    }
}

/// The versions of ASGI.
pub(crate) fn asgi(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let asgi = PyDict::new(py);
    asgi.set_item("version", "3.0")?;
    asgi.set_item("spec_version", SPEC_VERSION)?;
    Ok(asgi)
}

fn decoded<'py>(py: Python<'py>, path: &str) -> Bound<'py, PyString> {
    if path.contains('%') {
        let path = percent_decode(path.as_bytes());
        PyString::new(py, &path.decode_utf8_lossy())
    } else {
        PyString::new(py, path)
    }
}

fn method<'py>(py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
    let known = match *method {
        Method::GET => intern!(py, "GET"),
        Method::POST => intern!(py, "POST"),
        Method::PUT => intern!(py, "PUT"),
        Method::HEAD => intern!(py, "HEAD"),
        Method::DELETE => intern!(py, "DELETE"),
        Method::PATCH => intern!(py, "PATCH"),
        Method::OPTIONS => intern!(py, "OPTIONS"),
        _ => return PyString::new(py, method.as_str()),
    };
    known.clone()
}

fn headers<'py>(py: Python<'py>, request: &Parts) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    // HTTP/2 has the host in the URI.
    if let (Some(host), false) = (
        request.uri.authority(),
        request.headers.contains_key(header::HOST),
    ) {
        list.append((
            PyBytes::new(py, b"host"),
            PyBytes::new(py, host.as_str().as_bytes()),
        ))?;
    }
    for (name, value) in &request.headers {
        let name = PyBytes::new(py, name.as_str().as_bytes());
        let value = PyBytes::new(py, value.as_bytes());
        list.append(PyTuple::new(py, [name, value])?)?;
    }
    Ok(list)
}
