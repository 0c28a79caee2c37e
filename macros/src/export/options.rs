//! The options of an exported `async fn`: its own, and PyO3's, which go through as they are.

use proc_macro2::{Group, Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Error, LitStr, Meta, Result, Token};

use crate::arguments::{Argument, parted_by_commas};
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
    /// What the signature says that is returned, `signature = (…) -> "text"`. To PyO3 that would be what the call returns.
    pub(crate) returns: Option<LitStr>,
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
        for option in parted_by_commas(options) {
            errors.sift(self.add_one(option, place));
        }
        errors.into_result()
    }

    fn add_one(&mut self, option: TokenStream, place: Place) -> Result<()> {
        let parse = |input: ParseStream<'_>| -> Result<(Ident, TokenStream)> {
            Ok((input.call(Ident::parse_any)?, input.parse()?))
        };
        let (name, value) = parse
            .parse2(option.clone())
            .map_err(|error| Error::new(error.span(), "an option begins with its name"))?;
        let forwarded = match name.to_string().as_str() {
            EAGER_START if !value.is_empty() => {
                let message = "`eager_start` takes no value: it is there or not";
                return Err(Error::new(name.span(), message));
            }
            EAGER_START => {
                self.eager_start = true;
                None
            }
            "crate" if place == Place::Ours => {
                return syn::parse2::<Argument>(option)?.set(&mut self.krate);
            }
            "crate" => {
                self.has_pyo3_path = true;
                Some(option)
            }
            "name" => {
                // What is not a string is for PyO3 to refuse.
                self.name = syn::parse2(value.into_iter().skip(1).collect()).ok();
                Some(option)
            }
            "pass_module" => {
                self.pass_module = true;
                Some(option)
            }
            "signature" => match part_annotation.parse2(value) {
                Ok((parameters, returns)) => {
                    self.returns = Some(returns);
                    Some(quote!(#name #parameters))
                }
                // There is none, or what has another form is for PyO3 to refuse.
                Err(_) => Some(option),
            },
            "text_signature" | "warn" => Some(option),
            unknown => {
                let message = format!(
                    "there is no option `{unknown}`: the options are `{EAGER_START}` and `crate`, and PyO3's `name`, \
                     `signature`, `text_signature`, `pass_module` and `warn`"
                );
                return Err(Error::new(name.span(), message));
            }
        };
        if name != "warn" && self.names.contains(&name) {
            let message = format!("`{name}` is set twice");
            return Err(Error::new(name.span(), message));
        }
        self.names.push(name);
        self.forwarded.extend(forwarded);
        Ok(())
    }
}

/// Takes the text out of `= (…) -> "text"`.
fn part_annotation(input: ParseStream<'_>) -> Result<(TokenStream, LitStr)> {
    let (equals, parameters): (Token![=], Group) = (input.parse()?, input.parse()?);
    input.parse::<Token![->]>()?;
    Ok((quote!(#equals #parameters), input.parse()?))
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
