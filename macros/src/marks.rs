//! The attributes of a test that speak to its harness: `#[ignore]` and `#[should_panic]`.

use proc_macro2::TokenStream;
use syn::{Attribute, Error, Expr, ExprLit, Lit, Meta, MetaNameValue, Result};

use crate::errors::Errors;
use crate::function::option;

/// One such attribute, for cargo's harness, and its text as an `Option<&str>`, for ours.
pub(crate) struct Mark {
    pub(crate) attribute: Attribute,
    pub(crate) text: TokenStream,
}

#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) ignore: Option<Mark>,
    pub(crate) should_panic: Option<Mark>,
}

impl Marks {
    /// Takes the marks out of the attributes of a function.
    pub(crate) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> Self {
        let mut take = |name, text: fn(&Attribute) -> Result<TokenStream>| {
            let is_it = |attribute: &Attribute| attribute.path().is_ident(name);
            let attribute = attributes.remove(attributes.iter().position(is_it)?);
            let text = errors.sift(text(&attribute))?;
            Some(Mark { attribute, text })
        };
        Self {
            ignore: take("ignore", reason),
            should_panic: take("should_panic", expected_panic),
        }
    }
}

/// `#[ignore]` or `#[ignore = "reason"]`
fn reason(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(option(None::<TokenStream>)),
        Meta::NameValue(reason) => text(&reason.value),
        Meta::List(_) => Err(Error::new_spanned(
            attribute,
            "write `#[ignore]` or `#[ignore = \"reason\"]`",
        )),
    }
}

/// `#[should_panic]`, `#[should_panic = "text"]` or `#[should_panic(expected = "text")]`
fn expected_panic(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(option(None::<TokenStream>)),
        Meta::NameValue(expected) => text(&expected.value),
        Meta::List(list) => {
            let expected: MetaNameValue = list.parse_args()?;
            if !expected.path.is_ident("expected") {
                return Err(Error::new_spanned(
                    &expected.path,
                    "write `#[should_panic(expected = \"text\")]`",
                ));
            }
            text(&expected.value)
        }
    }
}

fn text(value: &Expr) -> Result<TokenStream> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(option(Some(text))),
        other => Err(Error::new_spanned(other, "this has to be a string literal")),
    }
}
