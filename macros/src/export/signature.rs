//! What an exported `async fn` takes and returns, and what of that Python cannot give or get.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Pat, PathArguments, PathSegment, Result, ReturnType,
    Signature, Type,
};

use super::options::is_cancel_handle;
use crate::errors::Errors;

/// `&self` or `&mut self`.
pub(super) struct Receiver {
    pub(super) is_exclusive: bool,
    pub(super) span: Span,
}

pub(super) struct Parameters {
    pub(super) receiver: Option<Receiver>,
    pub(super) rest: Vec<Parameter>,
}

pub(super) struct Parameter {
    attributes: Vec<Attribute>,
    pub(super) name: Ident,
    ty: Type,
    pub(super) is_cancel_handle: bool,
}

impl Parameters {
    pub(super) fn parse(signature: &Signature) -> Result<Self> {
        let mut errors = Errors::default();
        let mut parameters = Self {
            receiver: None,
            rest: Vec::new(),
        };
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    parameters.receiver = errors.sift(Receiver::parse(receiver));
                }
                FnArg::Typed(typed) => {
                    parameters.rest.extend(errors.sift(Parameter::parse(typed)));
                }
            }
        }
        let mut handles = parameters.rest.iter().filter(|it| it.is_cancel_handle);
        if let Some(second) = handles.nth(1) {
            errors.push(Error::new(
                second.name.span(),
                "there is one `CancelHandle` for a coroutine: this is the second",
            ));
        }
        errors.into_result().map(|()| parameters)
    }

    pub(super) fn cancel_handle(&self) -> Option<&Ident> {
        let mut handles = self.rest.iter().filter(|it| it.is_cancel_handle);
        handles.next().map(|handle| &handle.name)
    }
}

impl Receiver {
    fn parse(receiver: &syn::Receiver) -> Result<Self> {
        // `&self` is short for `self: &Self`.
        match &*receiver.ty {
            Type::Reference(reference) if ends_in(&reference.elem, "Self") => Ok(Self {
                is_exclusive: reference.mutability.is_some(),
                span: receiver.self_token.span,
            }),
            _ => Err(Error::new_spanned(
                receiver,
                "Python keeps the object: take `&self`, `&mut self` or `slf: Py<Self>`",
            )),
        }
    }
}

fn ends_in(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == name)
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The type itself, where a `macro_rules!` has it from its caller.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        ty => ty,
    }
}

fn is_opaque(ty: &Type) -> bool {
    let is_impl = |token: TokenTree| matches!(token, TokenTree::Ident(name) if name == "impl");
    ty.to_token_stream().into_iter().any(is_impl)
}

impl Parameter {
    fn parse(typed: &syn::PatType) -> Result<Self> {
        let Pat::Ident(pattern) = &*typed.pat else {
            return Err(Error::new_spanned(
                &typed.pat,
                "Python passes arguments by name: a parameter of an exported `async fn` has to have one",
            ));
        };
        let ty = ungrouped(&typed.ty);
        if is_opaque(ty) {
            return Err(Error::new_spanned(
                ty,
                "Python passes anything: name the type that it has to be instead of `impl …`",
            ));
        }
        refuse_borrowed(ty)?;
        let is_cancel_handle = is_cancel_handle(&typed.attrs);
        if !is_cancel_handle && ends_in(ty, "CancelHandle") {
            return Err(Error::new_spanned(
                ty,
                "Python does not pass a `CancelHandle`: write `#[pyo3(cancel_handle)]` before the parameter",
            ));
        }
        Ok(Self {
            attributes: typed.attrs.clone(),
            name: pattern.ident.clone(),
            ty: ty.clone(),
            is_cancel_handle,
        })
    }

    /// As the wrapper has it.
    pub(super) fn for_python(&self) -> TokenStream {
        let Self {
            attributes,
            name,
            ty,
            ..
        } = self;
        let attributes = attributes.iter().filter(|it| it.path().is_ident("pyo3"));
        quote!(#(#attributes)* #name: #ty)
    }
}

fn refuse_borrowed(ty: &Type) -> Result<()> {
    let Some(borrow) = borrow_in(ty.to_token_stream()) else {
        return Ok(());
    };
    let written: String = ty.to_token_stream().to_string();
    let has = |name: &str| {
        let mut words = written.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    let advice = if has("Python") {
        "an `async fn` is not attached to the interpreter: use `Python::attach` inside of it, where no `await` is"
    } else if has("PyRef") || has("PyRefMut") || has("PyClassGuard") || has("PyClassGuardMut") {
        "take `Py<…>`, or `&self` or `&mut self` for the object itself"
    } else if has("PyType") {
        "take `Py<PyType>`"
    } else if has("PyModule") {
        "take `Py<PyModule>`"
    } else if has("Bound") || has("Borrowed") {
        "take `Py<…>`, and `bind` it inside of `Python::attach`"
    } else if has("str") {
        "take `String`"
    } else if has("u8") {
        "take `Vec<u8>`"
    } else {
        "take it by value, or as `Py<…>` if it is an object of a class"
    };
    Err(Error::new_spanned(
        ty,
        format!(
            "an exported `async fn` outlives the call and cannot keep the borrow `{borrow}`: {advice}"
        ),
    ))
}

/// The first thing in a type that says that it borrows.
fn borrow_in(tokens: TokenStream) -> Option<String> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match token {
            TokenTree::Group(group) => borrow_in(group.stream()),
            TokenTree::Punct(mark) if mark.as_char() == '&' => Some("&".to_owned()),
            TokenTree::Punct(mark) if mark.as_char() == '\'' => match tokens.peek() {
                Some(TokenTree::Ident(name)) if name != "static" => Some(format!("'{name}")),
                _ => None,
            },
            TokenTree::Ident(name) if name == "Cow" && hides_lifetime(tokens.clone()) => {
                Some(name.to_string())
            }
            TokenTree::Ident(name) => {
                let borrows = [
                    "Python",
                    "Bound",
                    "Borrowed",
                    "PyRef",
                    "PyRefMut",
                    "PyClassGuard",
                    "PyClassGuardMut",
                ];
                borrows
                    .iter()
                    .any(|it| name == it)
                    .then(|| name.to_string())
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether the arguments of a type that has a lifetime begin with something else. A `'static` may have been taken out.
fn hides_lifetime(mut arguments: impl Iterator<Item = TokenTree>) -> bool {
    let mut next_is = |marks: &[char]| matches!(arguments.next(), Some(TokenTree::Punct(mark)) if marks.contains(&mark.as_char()));
    next_is(&['<']) && !next_is(&['\'', ','])
}

/// What the `async fn` comes to.
pub(super) struct Returns {
    ty: Option<Type>,
    /// Whether `None` ends an iteration.
    is_next: bool,
}

impl Returns {
    pub(super) fn parse(output: &ReturnType, is_next: bool) -> Result<Self> {
        let ReturnType::Type(_, ty) = output else {
            return Ok(Self { ty: None, is_next });
        };
        let ty = ungrouped(ty);
        if is_opaque(ty) {
            return Err(Error::new_spanned(
                ty,
                "Python gets what an exported `async fn` returns: name its type instead of `impl …`",
            ));
        }
        let borrow = borrow_in(without_static(ty.to_token_stream()));
        if let Some(borrow) = borrow {
            return Err(Error::new_spanned(
                ty,
                format!(
                    "what an exported `async fn` returns outlives its arguments and cannot borrow (`{borrow}`): return an \
                     owned value, or `Py<…>`"
                ),
            ));
        }
        Ok(Self {
            ty: Some(ty.clone()),
            is_next,
        })
    }

    pub(super) fn span(&self) -> Option<Span> {
        self.ty.as_ref().map(|ty| ty.span())
    }

    /// The type as a type stub shows it. PyO3's rules are for what a plain function returns: `()` is `None`, and the
    /// `Option` of `__anext__` is not seen.
    pub(super) fn in_python(&self, private: &TokenStream) -> TokenStream {
        let none = quote!(#private::pyo3::Py<#private::pyo3::types::PyNone>);
        let Some(ty) = &self.ty else {
            return none;
        };
        let value = argument_of(ty, |name| name.ends_with("Result")).unwrap_or(ty);
        let item = argument_of(value, |name| self.is_next && name == "Option");
        match (value, item) {
            (Type::Tuple(tuple), _) if tuple.elems.is_empty() => none,
            (_, Some(item)) => item.to_token_stream(),
            _ => ty.to_token_stream(),
        }
    }

    /// Makes a `PyResult` of the output.
    pub(super) fn result(
        &self,
        output: &TokenStream,
        private: &TokenStream,
        span: Span,
    ) -> TokenStream {
        let result = quote_spanned!(span=> #private::outcome(&#output).into_result(#output));
        if !self.is_next {
            return result;
        }
        quote!({
            let #output = #result;
            #private::next_item(&#output).into_result(#output)
        })
    }
}

/// The first type argument of a path that ends in such a name.
fn argument_of(ty: &Type, is_it: impl Fn(&str) -> bool) -> Option<&Type> {
    let last = last_segment(ty)?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if is_it(&last.ident.to_string()) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Takes each `&'static` out.
fn without_static(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) if name == "static" => {
                kept.pop();
                let is_reference = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '&');
                if kept.last().is_some_and(is_reference) {
                    kept.pop();
                }
            }
            token => kept.push(token),
        }
    }
    kept.into_iter().collect()
}
