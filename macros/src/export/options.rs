//! The options of an exported function: ours, and those of PyO3, which the wrapper passes on.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, LitStr, Meta, Path, Result, Token};

use crate::arguments::Argument;
use crate::errors::Errors;

#[derive(Default)]
pub(crate) struct ExportOptions {
    /// The path to `pyo3-asyncio`.
    pub(crate) krate: Option<Path>,
    pub(crate) eager_start: bool,
    pub(crate) detach_on_cancel: bool,
    pub(crate) share_context: bool,
    /// The name of a second, synchronous function.
    pub(crate) blocking: Option<Ident>,
    pub(crate) name: Option<LitStr>,
    pub(crate) pass_module: bool,
    /// Whether the path to PyO3 is given.
    pub(crate) has_pyo3_path: bool,
    /// The text in `signature = (…) -> "text"`. PyO3 would take it for what the call returns, which is a coroutine.
    pub(crate) returns: Option<LitStr>,
    /// The type hints in `signature = (name: "text")`.
    pub(crate) hints: Vec<(String, String)>,
    /// PyO3's options, as they are written.
    pub(crate) forwarded: Vec<TokenStream>,
    /// Their names.
    names: Vec<Ident>,
}

impl ExportOptions {
    /// Parses the arguments of our attribute, and those of each `#[pyo3(…)]` on the function.
    pub(crate) fn parse(ours: TokenStream, attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let pyo3s = attributes.iter().filter(|it| it.path().is_ident("pyo3"));
        let pyo3s = pyo3s.filter_map(|attribute| match &attribute.meta {
            Meta::List(list) => Some((list.tokens.clone(), true)),
            _ => None,
        });
        for (arguments, is_pyo3s) in std::iter::once((ours, false)).chain(pyo3s) {
            for argument in Argument::parse_all(arguments) {
                errors.handle(argument.and_then(|argument| options.add(&argument, is_pyo3s)));
            }
        }
        options
    }

    /// Whether one of PyO3's options is given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.names.iter().any(|name| name == option)
    }

    /// Those of the second, synchronous function.
    pub(crate) fn of_blocking(&self, name: &Ident) -> Self {
        let forwarded = self.names.iter().zip(&self.forwarded);
        let forwarded = forwarded.filter(|(option, _)| *option != "name");
        let name = LitStr::new(&name.unraw().to_string(), name.span());
        Self {
            forwarded: std::iter::once(quote!(name = #name))
                .chain(forwarded.map(|(_, option)| option.clone()))
                .collect(),
            name: Some(name),
            pass_module: self.pass_module,
            has_pyo3_path: self.has_pyo3_path,
            returns: self.returns.clone(),
            ..Self::default()
        }
    }

    /// PyO3 checks the values of its options.
    fn add(&mut self, argument: &Argument, is_pyo3s: bool) -> Result<()> {
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
            "crate" if !is_pyo3s => return argument.set_crate(&mut self.krate),
            "crate" => self.has_pyo3_path = true,
            "name" => self.name = argument.value().ok(),
            "pass_module" => self.pass_module = true,
            "signature" => {
                if let Ok((parameters, returns)) = split_annotation.parse2(rest.clone()) {
                    rest = parameters;
                    self.returns = Some(returns);
                }
                self.hints = hints(rest.clone());
            }
            "text_signature" | "warn" => {}
            unknown => {
                return Err(argument.error(format!(
                    "there is no option `{unknown}`: the options are `blocking`, `detach_on_cancel`, `eager_start`, \
                     `share_context` and `crate`, and PyO3's `name`, `signature`, `text_signature`, `pass_module` and `warn`"
                )));
            }
        }
        if name != "warn" && self.names.contains(name) {
            return Err(argument.set_twice());
        }
        self.names.push(name.clone());
        self.forwarded.push(quote!(#name #rest));
        Ok(())
    }
}

/// Splits `= (…) -> "text"` before the arrow.
fn split_annotation(input: ParseStream<'_>) -> Result<(TokenStream, LitStr)> {
    let (equals, parameters): (Token![=], Group) = (input.parse()?, input.parse()?);
    input.parse::<Token![->]>()?;
    Ok((quote!(#equals #parameters), input.parse()?))
}

/// The names and texts in `= (name: "text", …)`.
fn hints(signature: TokenStream) -> Vec<(String, String)> {
    let parameters = signature.into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    });
    let tokens: Vec<_> = parameters.flatten().collect();
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
    hints.collect()
}
