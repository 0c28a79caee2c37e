//! The form of an attribute's arguments: `name = value`, parted by commas. What they mean is for `options` to say.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Lit, Result, Token};

pub(crate) struct Argument {
    pub(crate) name: Ident,
    value: TokenStream,
}

/// What an option may be set to.
pub(crate) trait Value: Sized {
    /// Completes the sentence "it takes …".
    const ACCEPTED: &'static str;

    fn from_literal(literal: Lit) -> Option<Self>;
}

impl Argument {
    /// Each argument is parsed by itself, so that a mistake in one does not hide those in the others.
    pub(crate) fn parse_all(arguments: TokenStream) -> Vec<Result<Self>> {
        parted_by_commas(arguments).map(syn::parse2).collect()
    }

    pub(crate) fn set<T: Value>(&self, option: &mut Option<T>) -> Result<()> {
        let Self { name, value } = self;
        let accepted = T::ACCEPTED;
        if value.is_empty() {
            return Err(self.error(format!("`{name}` needs a value: it takes {accepted}")));
        }
        let literal = syn::parse2(value.clone()).ok();
        let parsed = literal.and_then(T::from_literal).ok_or_else(|| {
            let message = format!("`{name}` cannot be `{value}`: it takes {accepted}");
            Error::new_spanned(value, message)
        })?;
        match option.replace(parsed) {
            None => Ok(()),
            Some(_) => Err(self.error(format!("`{name}` is set twice"))),
        }
    }

    /// An error that points at the name.
    pub(crate) fn error(&self, message: String) -> Error {
        Error::new(self.name.span(), message)
    }
}

/// The last may have a comma behind it.
pub(crate) fn parted_by_commas(tokens: TokenStream) -> impl Iterator<Item = TokenStream> {
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let mut tokens = tokens.into_iter().peekable();
    std::iter::from_fn(move || {
        tokens.peek()?;
        Some(
            tokens
                .by_ref()
                .take_while(|token| !is_comma(token))
                .collect(),
        )
    })
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let wrong_form = |error: Error| Error::new(error.span(), "an option is `name = value`");
        // One of the names, `crate`, is a keyword.
        let name = input.call(Ident::parse_any).map_err(wrong_form)?;
        if !input.is_empty() {
            input.parse::<Token![=]>().map_err(wrong_form)?;
        }
        let value = input.parse()?;
        Ok(Self { name, value })
    }
}
