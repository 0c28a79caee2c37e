//! A stream without errors, as `into_stream_v2` of `pyo3-async-runtimes` gives it.

use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pyo3::prelude::*;

use super::PyStream;
use crate::event_loop::Mailbox;
use crate::locals::TaskLocals;
use crate::to_rust::call::report;

struct ReportingStream {
    stream: PyStream,
    mailbox: Mailbox,
    made_at: &'static Location<'static>,
}

impl PyStream {
    /// The items of a stream of this loop. Its error goes to the loop's exception handler.
    #[track_caller]
    pub(crate) fn reporting(
        self,
        locals: &TaskLocals,
    ) -> PyResult<impl Stream<Item = Py<PyAny>> + use<>> {
        Ok(ReportingStream {
            stream: self,
            mailbox: locals.mailbox()?,
            made_at: Location::caller(),
        })
    }
}

impl Stream for ReportingStream {
    type Item = Py<PyAny>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Py<PyAny>>> {
        let item = ready!(Pin::new(&mut self.stream).poll_next(cx)).transpose();
        Poll::Ready(item.unwrap_or_else(|error| {
            report(&self.mailbox, error, self.made_at);
            None
        }))
    }
}
