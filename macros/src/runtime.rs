//! The runtimes, as far as the attributes of one differ from those of another.

use proc_macro2::{Ident, Span};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Runtime {
    AsyncStd,
    Smol,
    Tokio,
}

impl Runtime {
    /// The type that stands for it.
    pub(crate) fn ty(self) -> Ident {
        let name = match self {
            Self::AsyncStd => "AsyncStd",
            Self::Smol => "Smol",
            Self::Tokio => "Tokio",
        };
        Ident::new(name, Span::call_site())
    }

    /// Its module in `pyo3_asyncio`.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::AsyncStd => "async_std",
            Self::Smol => "smol",
            Self::Tokio => "tokio",
        }
    }

    /// How its threads are chosen, where an option does not do it.
    pub(crate) fn threads(self) -> Option<&'static str> {
        match self {
            Self::AsyncStd => {
                Some("async-std takes the number of its threads from `ASYNC_STD_THREAD_COUNT`")
            }
            Self::Smol => Some("smol takes the number of its threads from `SMOL_THREADS`"),
            Self::Tokio => None,
        }
    }
}
