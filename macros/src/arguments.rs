//! The arguments of an attribute, and the option that all attributes have: `crate = "path"`.

use proc_macro_crate::{Error as CrateError, FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Error, LitStr, Path, Result, Token};

use crate::errors::Errors;

pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// The tokens after the name.
    pub(crate) rest: TokenStream,
}

/// Parses the arguments of an attribute, and returns the path to `pyo3-asyncio`. Passes every other option to `set`.
pub(crate) fn parse(
    arguments: TokenStream,
    errors: &mut Errors,
    mut set: impl FnMut(&Argument) -> Result<()>,
) -> TokenStream {
    let accepted = "the path to `pyo3-asyncio`, for instance `crate = \"my_facade::pyo3_asyncio\"`";
    let parse_path = |path: LitStr| path.parse_with(Path::parse_mod_style).ok();
    let mut path = None;
    parse_each(arguments, errors, |argument| {
        match argument.name == "crate" {
            true => argument.set(&mut path, accepted, parse_path),
            false => set(argument),
        }
    });
    path.map_or_else(|| path_of_dependency(errors), Path::into_token_stream)
}

/// Parses each argument on its own, so that an error in one does not hide the errors in others.
pub(crate) fn parse_each(
    arguments: TokenStream,
    errors: &mut Errors,
    mut set: impl FnMut(&Argument) -> Result<()>,
) {
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let tokens: Vec<_> = arguments.into_iter().collect();
    let mut arguments: Vec<_> = tokens.split(is_comma).collect();
    // There are no arguments, or the last one has a comma after it.
    if arguments.last().is_some_and(|last| last.is_empty()) {
        arguments.pop();
    }
    for argument in arguments {
        errors.handle(Argument::parse(argument).and_then(|argument| set(&argument)));
    }
}

impl Argument {
    fn parse(tokens: &[TokenTree]) -> Result<Self> {
        let (span, found) = match tokens {
            [TokenTree::Ident(name), rest @ ..] => {
                let (name, rest) = (name.clone(), rest.iter().cloned().collect());
                return Ok(Self { name, rest });
            }
            [other, ..] => (other.span(), other.to_string()),
            [] => (Span::call_site(), ",".to_owned()),
        };
        let message = format!("expected the name of an option, found `{found}`");
        Err(Error::new(span, message))
    }

    /// Sets an option from `name = literal`. The text `accepted` completes the sentence "it takes …".
    pub(crate) fn set<L: Parse, T>(
        &self,
        option: &mut Option<T>,
        accepted: &str,
        convert: impl FnOnce(L) -> Option<T>,
    ) -> Result<()> {
        let name = &self.name;
        let after_equals = |input: ParseStream<'_>| {
            input.parse::<Token![=]>()?;
            input.parse::<TokenStream>()
        };
        let value = after_equals.parse2(self.rest.clone()).unwrap_or_default();
        if value.is_empty() {
            let message = format!("`{name}` needs a value after `=`: it takes {accepted}");
            return Err(self.error(message));
        }
        let literal = syn::parse2(value.clone()).ok();
        let Some(converted) = literal.and_then(convert) else {
            let message = format!("`{name}` cannot be `{value}`: it takes {accepted}");
            return Err(Error::new_spanned(value, message));
        };
        match option.replace(converted) {
            None => Ok(()),
            Some(_) => Err(self.set_twice()),
        }
    }

    /// Sets an option that has no value.
    pub(crate) fn set_flag(&self, option: &mut bool) -> Result<()> {
        let Self { name, rest } = self;
        if !rest.is_empty() {
            return Err(self.error(format!("`{name}` takes no value: remove `{rest}`")));
        }
        match std::mem::replace(option, true) {
            false => Ok(()),
            true => Err(self.set_twice()),
        }
    }

    pub(crate) fn set_twice(&self) -> Error {
        let message = format!("`{}` is set twice: remove one of the two", self.name);
        self.error(message)
    }

    /// An error that points at the name.
    pub(crate) fn error(&self, message: String) -> Error {
        Error::new_spanned(&self.name, message)
    }
}

/// The path to `pyo3-asyncio` by its name in `Cargo.toml`.
fn path_of_dependency(errors: &mut Errors) -> TokenStream {
    match crate_name("pyo3-asyncio") {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            return quote!(::#name);
        }
        Err(CrateError::CrateNotFound { .. }) => errors.push(
            TokenStream::new(),
            "Cargo.toml does not depend on `pyo3-asyncio`: add the dependency, or give its path with `crate = \"path\"`",
        ),
        // Our own doc tests and examples, or a build tool without Cargo.toml.
        Ok(FoundCrate::Itself) | Err(_) => {}
    }
    quote!(::pyo3_asyncio)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(arguments: &str) -> String {
        let mut errors = Errors::default();
        parse(arguments.parse().unwrap(), &mut errors, |_| Ok(()));
        let error = errors.into_result().err();
        error.map_or_else(String::new, |error| error.to_string())
    }

    /// The package of these tests does not depend on `pyo3-asyncio`.
    #[test]
    fn a_package_without_the_dependency_is_told_to_add_it() {
        let error = errors("");
        assert!(
            error.starts_with("Cargo.toml does not depend on `pyo3-asyncio`"),
            "{error}"
        );
    }

    #[test]
    fn a_crate_is_a_path_without_generic_arguments() {
        for path in ["a", "::a", "crate::a::b", "self::a", "super::a"] {
            assert_eq!(errors(&format!("crate = {path:?}")), "");
        }
        for other in ["", "pyo3-asyncio", "a::<u8>", "a b", "a::"] {
            let error = errors(&format!("crate = {other:?}"));
            assert!(
                error.starts_with(&format!("`crate` cannot be `{other:?}`")),
                "{error}"
            );
        }
    }
}
