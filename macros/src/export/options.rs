//! The options of an exported `async fn`: its own, and PyO3's, which go through as they are.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Attribute, Error, LitStr, Meta, Result};

use crate::arguments::Argument;
use crate::errors::Errors;
use crate::options::CratePath;

const EAGER_START: &str = "eager_start";

#[derive(Default)]
pub(crate) struct Options {
    /// The path to `pyo3-asyncio`.
    pub(crate) krate: Option<CratePath>,
    pub(crate) eager_start: bool,
    pub(crate) name: Option<LitStr>,
    pub(crate) pass_module: bool,
    pub(crate) has_pyo3_path: bool,
    /// Those of PyO3, as they were written.
    pub(crate) forwarded: Vec<TokenStream>,
    names: Vec<Ident>,
}

/// Where an option is written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// `#[pyo3_asyncio::tokio::pyfunction(…)]`
    Ours,
    /// `#[pyo3(…)]`
    PyO3,
}

impl Options {
    /// Adds those of each `#[pyo3(…)]`, which has to be taken off then.
    pub(crate) fn add_attributes(&mut self, attributes: &[Attribute]) -> Result<()> {
        let mut errors = Errors::default();
        for attribute in attributes {
            if let (true, Meta::List(list)) = (attribute.path().is_ident("pyo3"), &attribute.meta) {
                errors.sift(self.add(list.tokens.clone(), Place::PyO3));
            }
        }
        errors.into_result()
    }

    pub(crate) fn add(&mut self, options: TokenStream, place: Place) -> Result<()> {
        let mut errors = Errors::default();
        let options: Vec<_> = options.into_iter().collect();
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        for option in options.split(is_comma).filter(|option| !option.is_empty()) {
            errors.sift(self.add_one(option, place));
        }
        errors.into_result()
    }

    fn add_one(&mut self, option: &[TokenTree], place: Place) -> Result<()> {
        let TokenTree::Ident(name) = &option[0] else {
            return Err(Error::new(
                option[0].span(),
                "an option begins with its name",
            ));
        };
        let tokens: TokenStream = option.iter().cloned().collect();
        match name.to_string().as_str() {
            EAGER_START => return self.set_eager_start(name, option.len()),
            "crate" if place == Place::Ours => {
                return syn::parse2::<Argument>(tokens)?.set(&mut self.krate);
            }
            "crate" => self.has_pyo3_path = true,
            "name" => {
                // What is not a string is for PyO3 to refuse.
                let value = option.iter().skip(2).cloned().collect();
                self.name = syn::parse2(value).ok();
            }
            "pass_module" => self.pass_module = true,
            "signature" | "text_signature" | "warn" => {}
            unknown => {
                let message = format!(
                    "there is no option `{unknown}`: the options are `{EAGER_START}` and `crate`, and PyO3's `name`, \
                     `signature`, `text_signature`, `pass_module` and `warn`"
                );
                return Err(Error::new(name.span(), message));
            }
        }
        let is_twice = name != "warn" && self.names.contains(name);
        self.names.push(name.clone());
        self.forwarded.push(tokens);
        match is_twice {
            false => Ok(()),
            true => Err(Error::new(name.span(), format!("`{name}` is set twice"))),
        }
    }

    fn set_eager_start(&mut self, name: &Ident, tokens: usize) -> Result<()> {
        let message = match (self.eager_start, tokens) {
            (_, 2..) => "`eager_start` takes no value: it is there or not",
            (true, _) => "`eager_start` is set twice",
            (false, _) => {
                self.eager_start = true;
                return Ok(());
            }
        };
        Err(Error::new(name.span(), message))
    }
}

/// The options of `#[pymethods]`: where `pyo3-asyncio` is.
pub(crate) fn of_impl(arguments: TokenStream) -> Result<Option<CratePath>> {
    let mut krate = None;
    let mut errors = Errors::default();
    for argument in Argument::parse_all(arguments) {
        let set = argument.and_then(|argument| match argument.name.to_string().as_str() {
            "crate" => argument.set(&mut krate),
            EAGER_START => Err(argument.error(
                "`eager_start` is a method's own: write `#[pyo3(eager_start)]` on the `async fn`".to_owned(),
            )),
            unknown => Err(argument.error(format!(
                "there is no option `{unknown}`: the option is `crate`, and those of a method are in `#[pyo3(…)]` on it"
            ))),
        });
        errors.sift(set);
    }
    errors.into_result().map(|()| krate)
}

/// Whether a parameter is marked `#[pyo3(cancel_handle)]`.
pub(super) fn is_cancel_handle(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let option = attribute.parse_args::<Ident>();
        attribute.path().is_ident("pyo3") && option.is_ok_and(|option| option == "cancel_handle")
    })
}
