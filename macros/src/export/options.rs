//! The options of an exported function: ours, and those of PyO3, which the wrapper passes on.

use std::collections::BTreeMap;

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, LitStr, Meta, Result, Token};

use crate::arguments::{Argument, parse_each};
use crate::errors::Errors;

#[derive(Default)]
pub(crate) struct ExportOptions {
    pub(crate) eager_start: bool,
    pub(crate) detach_on_cancel: bool,
    pub(crate) share_context: bool,
    /// The name of a second, synchronous function.
    pub(crate) blocking: Option<Ident>,
    pub(crate) name: Option<LitStr>,
    /// The text in `signature = (…) -> "text"`. PyO3 would take it for what the call returns, which is a coroutine.
    pub(crate) returns: Option<LitStr>,
    /// The type hints in `signature = (name: "text")`.
    pub(crate) hints: BTreeMap<String, String>,
    /// PyO3's other options, and their values as they are written.
    pub(crate) forwarded: Vec<Argument>,
}

impl ExportOptions {
    /// Sets the options in each `#[pyo3(…)]` on the function.
    pub(crate) fn set_all(&mut self, attributes: &[Attribute], errors: &mut Errors) {
        for attribute in attributes.iter().filter(|it| it.path().is_ident("pyo3")) {
            if let Meta::List(list) = &attribute.meta {
                parse_each(list.tokens.clone(), errors, |argument| self.set(argument));
            }
        }
    }

    /// The name of the function in Python.
    pub(crate) fn python_name(&self, function: &Ident) -> LitStr {
        let own = || LitStr::new(&function.unraw().to_string(), function.span());
        self.name.clone().unwrap_or_else(own)
    }

    /// Whether one of PyO3's options is given.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.forwarded.iter().any(|it| it.name == option)
    }

    pub(crate) fn set(&mut self, argument: &Argument) -> Result<()> {
        let Argument { name, rest } = argument;
        let mut rest = rest.clone();
        match name.to_string().as_str() {
            "eager_start" => return argument.set_flag(&mut self.eager_start),
            "detach_on_cancel" => return argument.set_flag(&mut self.detach_on_cancel),
            "share_context" => return argument.set_flag(&mut self.share_context),
            "blocking" => {
                let accepted = "the name of a second Python function, which blocks, for instance `blocking = \"get_blocking\"`";
                let parse = |name: LitStr| name.parse_with(Ident::parse_any).ok();
                return argument.set(&mut self.blocking, accepted, parse);
            }
            "name" => {
                let accepted = "the name in Python, for instance `name = \"get\"`";
                return argument.set(&mut self.name, accepted, Some);
            }
            "signature" => {
                if let Ok(signature) = syn::parse2::<Signature>(rest.clone()) {
                    rest = signature.rest;
                    (self.hints, self.returns) = (signature.hints, signature.returns);
                }
            }
            // The wrapper always has the path to PyO3.
            "crate" => return Ok(()),
            // PyO3 checks their values.
            "pass_module" | "text_signature" | "warn" => {}
            unknown => {
                return Err(argument.error(format!(
                    "there is no option `{unknown}`: the options are `blocking`, `detach_on_cancel`, `eager_start`, \
                     `share_context` and `crate`, and PyO3's `name`, `signature`, `text_signature`, `pass_module` and `warn`"
                )));
            }
        }
        if name != "warn" && self.has(&name.to_string()) {
            return Err(argument.set_twice());
        }
        let name = name.clone();
        self.forwarded.push(Argument { name, rest });
        Ok(())
    }
}

/// `= (name: "text", …) -> "text"`
struct Signature {
    /// It, without the arrow and the text after it.
    rest: TokenStream,
    hints: BTreeMap<String, String>,
    returns: Option<LitStr>,
}

impl Parse for Signature {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (equals, parameters): (Token![=], Group) = (input.parse()?, input.parse()?);
        let arrow: Option<Token![->]> = input.parse()?;
        let returns = arrow.map(|_| input.parse()).transpose()?;
        let tokens: Vec<_> = parameters.stream().into_iter().collect();
        let hints = tokens.windows(3).filter_map(|window| match window {
            [
                TokenTree::Ident(name),
                TokenTree::Punct(colon),
                TokenTree::Literal(text),
            ] if colon.as_char() == ':' => {
                let text: LitStr = syn::parse2(text.to_token_stream()).ok()?;
                Some((name.unraw().to_string(), text.value()))
            }
            _ => None,
        });
        Ok(Self {
            rest: quote!(#equals #parameters),
            hints: hints.collect(),
            returns,
        })
    }
}
