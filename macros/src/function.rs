//! The function that an attribute is applied to.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{Attribute, GenericParam, Meta, Result, ReturnType, Signature, Type, Visibility};

use crate::errors::Errors;

/// A function. Its body is not parsed, so the compiler reports the errors in it.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (attrs, vis, sig, body) = (&self.attrs, &self.vis, &self.sig, &self.body);
        tokens.extend(quote!(#(#attrs)* #vis #sig #body));
    }
}

/// Refuses a function that generated code cannot call. The compiler checks lifetimes and `where` clauses at the call.
pub(crate) fn check_callable(signature: &Signature, it: &str, errors: &mut Errors) {
    let qualifiers = [
        signature.constness.to_token_stream(),
        signature.unsafety.to_token_stream(),
        signature.abi.to_token_stream(),
    ];
    for qualifier in qualifiers.iter().filter(|tokens| !tokens.is_empty()) {
        let message = format!("{it} cannot be `{qualifier}`: remove it");
        errors.push(qualifier, message);
    }
    let is_lifetime = |parameter: &GenericParam| matches!(parameter, GenericParam::Lifetime(_));
    if !signature.generics.params.iter().all(is_lifetime) {
        let message = format!(
            "{it} cannot be generic: nothing chooses its type arguments. Use concrete types"
        );
        errors.push(&signature.generics, message);
    }
}

/// The span of generated code whose errors are shown at `span`. Its variables are not visible to the user's code.
pub(crate) fn hygienic(span: Span) -> Span {
    span.resolved_at(Span::mixed_site())
}

/// The span of generated code whose errors are about what the function returns.
pub(crate) fn output_span(signature: &Signature) -> Span {
    hygienic(match &signature.output {
        ReturnType::Type(_, output) => ungrouped(output).span(),
        ReturnType::Default => signature.ident.span(),
    })
}

/// The type inside of the group that `macro_rules!` puts around it.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        ty => ty,
    }
}

pub(crate) fn is_any_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}

pub(crate) fn is_lint_level(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["allow", "expect", "warn", "deny", "forbid"])
}

/// Whether an attribute belongs on the outer of two nested functions. A lint level there covers both.
pub(crate) fn is_for_outer(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc") || is_lint_level(attribute)
}

/// An attribute for a second item. An `expect` becomes an `allow`, because only one of the items may meet it.
pub(crate) fn without_expect(attribute: &Attribute) -> Attribute {
    let mut attribute = attribute.clone();
    match &mut attribute.meta {
        Meta::List(list) if list.path.is_ident("expect") => list.path = syn::parse_quote!(allow),
        _ => {}
    }
    attribute
}

/// An `Option` in generated code.
pub(crate) fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
