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

impl Argument {
    /// Parses each argument on its own, so that an error in one does not hide the errors in others.
    pub(crate) fn parse_all(arguments: TokenStream) -> Vec<Result<Self>> {
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        let tokens: Vec<_> = arguments.into_iter().collect();
        let mut arguments: Vec<_> = tokens.split(is_comma).collect();
        // There are no arguments, or the last one has a comma after it.
        if arguments.last().is_some_and(|last| last.is_empty()) {
            arguments.pop();
        }
        arguments.into_iter().map(Self::parse).collect()
    }

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

    /// Parses the tokens after `=`.
    pub(crate) fn value<T: Parse>(&self) -> Result<T> {
        let parse = |input: ParseStream<'_>| {
            input.parse::<Token![=]>()?;
            input.parse()
        };
        parse.parse2(self.rest.clone())
    }

    /// Sets an option from `name = literal`. The text `accepted` completes the sentence "it takes …".
    pub(crate) fn set<L: Parse, T>(
        &self,
        option: &mut Option<T>,
        accepted: &str,
        convert: impl FnOnce(L) -> Option<T>,
    ) -> Result<()> {
        let name = &self.name;
        let value: TokenStream = self.value().unwrap_or_default();
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

    /// Sets the path to `pyo3-asyncio`, for [`crate_path`].
    pub(crate) fn set_crate(&self, option: &mut Option<Path>) -> Result<()> {
        let accepted =
            "the path to `pyo3-asyncio`, for instance `crate = \"my_facade::pyo3_asyncio\"`";
        let parse = |path: LitStr| path.parse_with(Path::parse_mod_style).ok();
        self.set(option, accepted, parse)
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

/// The path to `pyo3-asyncio`: the given one, or the name of the dependency in `Cargo.toml`.
pub(crate) fn crate_path(given: Option<&Path>, errors: &mut Errors) -> TokenStream {
    if let Some(path) = given {
        return path.to_token_stream();
    }
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

    /// The package of these tests does not depend on `pyo3-asyncio`.
    #[test]
    fn a_package_without_the_dependency_is_told_to_add_it() {
        let mut errors = Errors::default();
        crate_path(None, &mut errors);
        let error = errors.into_result().unwrap_err().to_string();
        assert!(
            error.starts_with("Cargo.toml does not depend on `pyo3-asyncio`"),
            "{error}"
        );
    }
}
