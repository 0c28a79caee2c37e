//! In place of `readable`, where a runtime watches no descriptors, as on Windows.

use std::io;
use std::task::{Context, Poll};

pub(super) enum Readable {}

impl Readable {
    pub(super) fn new(_: i32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn poll(&self, _: &mut Context<'_>) -> Poll<()> {
        match *self {}
    }

    pub(super) fn clear(&self, _: &mut Context<'_>) {
        match *self {}
    }
}
