//! Parses the parameters and the return type of an exported function, and refuses those that cannot be exported.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Pat, PatType, PathArguments, PathSegment, Result,
    ReturnType, Signature, Token, Type, TypeParamBound,
};

use crate::errors::Errors;
use crate::function::ungrouped;

pub(super) struct Parameters {
    pub(super) receiver: Option<Receiver>,
    pub(super) rest: Vec<Parameter>,
}

/// `&self` or `&mut self`.
pub(super) struct Receiver {
    pub(super) mutability: Option<Token![mut]>,
    pub(super) span: Span,
}

pub(super) struct Parameter {
    /// PyO3's.
    attributes: Vec<Attribute>,
    pub(super) name: Ident,
    pub(super) ty: Type,
    is_cancel_handle: bool,
}

impl Parameters {
    pub(super) fn parse(signature: &Signature, errors: &mut Errors) -> Self {
        let (mut receiver, mut rest) = (None, Vec::new());
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(it) => receiver = errors.handle(Receiver::parse(it)),
                FnArg::Typed(it) => rest.extend(Parameter::parse(it, errors)),
            }
        }
        let mut handles = rest.iter().filter(|it: &&Parameter| it.is_cancel_handle);
        if let Some(second) = handles.nth(1) {
            let message = "a coroutine has one `CancelHandle`: remove the second";
            errors.push(&second.name, message);
        }
        Self { receiver, rest }
    }

    pub(super) fn cancel_handle(&self) -> Option<&Ident> {
        let handle = self.rest.iter().find(|it| it.is_cancel_handle);
        handle.map(|it| &it.name)
    }

    /// Those that Python passes.
    pub(super) fn passed(&self) -> impl Iterator<Item = &Parameter> {
        self.rest.iter().filter(|it| !it.is_cancel_handle)
    }
}

impl Receiver {
    fn parse(receiver: &syn::Receiver) -> Result<Self> {
        // The type of `&self` is `&Self`.
        match &*receiver.ty {
            Type::Reference(reference) if ends_in(&reference.elem, "Self") => Ok(Self {
                mutability: reference.mutability,
                span: receiver.self_token.span,
            }),
            _ => Err(Error::new_spanned(
                receiver,
                "Python owns the object: take `&self`, `&mut self` or `slf: Py<Self>`",
            )),
        }
    }
}

impl Parameter {
    fn parse(typed: &PatType, errors: &mut Errors) -> Option<Self> {
        let Pat::Ident(pattern) = &*typed.pat else {
            let message = "Python passes arguments by name: name the parameter, and take its value apart in the body";
            errors.push(&typed.pat, message);
            return None;
        };
        let attributes = typed.attrs.iter().filter(|it| it.path().is_ident("pyo3"));
        let attributes: Vec<_> = attributes.cloned().collect();
        let mut options = attributes
            .iter()
            .filter_map(|it| it.parse_args::<Ident>().ok());
        let is_cancel_handle = options.any(|option| option == "cancel_handle");
        let ty = ungrouped(&typed.ty);
        let words = words(ty.to_token_stream());
        if words.iter().any(|word| word == "impl") {
            let message =
                "`impl …` does not say what type a Python argument is converted to: name the type";
            errors.push(ty, message);
        } else if let Some(borrow) = borrow_in(&words, true) {
            let advice = instead_of_borrow(&words);
            let message = format!(
                "an exported `async fn` outlives the call, so it cannot borrow (`{borrow}`): {advice}"
            );
            errors.push(ty, message);
        } else if !is_cancel_handle && ends_in(ty, "CancelHandle") {
            let message = "Python does not pass a `CancelHandle`: write `#[pyo3(cancel_handle)]` before the parameter";
            errors.push(ty, message);
        }
        Some(Self {
            attributes,
            name: pattern.ident.clone(),
            ty: ty.clone(),
            is_cancel_handle,
        })
    }

    /// The parameter of the wrapper.
    pub(super) fn for_python(&self) -> TokenStream {
        let (attributes, name, ty) = (&self.attributes, &self.name, &self.ty);
        quote!(#(#attributes)* #name: #ty)
    }
}

fn instead_of_borrow(words: &[String]) -> &'static str {
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    if has(&["Python"]) {
        "use Python in the closure of `call_soon` or `run_coroutine`"
    } else if has(&["PyRef", "PyRefMut", "PyClassGuard", "PyClassGuardMut"]) {
        "take `Py<…>`, or `&self` or `&mut self` for the object itself"
    } else if has(&["PyType"]) {
        "take `Py<PyType>`"
    } else if has(&["PyModule"]) {
        "take `Py<PyModule>`"
    } else if has(&["Bound", "Borrowed"]) {
        "take `Py<…>`, and `bind` it in the closure of `call_soon` or `run_coroutine`"
    } else if has(&["str"]) {
        "take `String`"
    } else if has(&["u8"]) {
        "take `Vec<u8>`"
    } else {
        "take it by value, or as `Py<…>` if it is an object of a class"
    }
}

/// The part of a type that borrows, if there is one.
fn borrow_in(words: &[String], refuse_static: bool) -> Option<String> {
    let is = |index: usize, expected: &str| words.get(index).is_some_and(|word| word == expected);
    let index = (0..words.len()).find(|&index| match words[index].as_str() {
        "&" => refuse_static || !(is(index + 1, "'") && is(index + 2, "static")),
        "'" => !is(index + 1, "static"),
        // The lifetime may be left out.
        "Cow" => is(index + 1, "<") && !is(index + 2, "'"),
        "Python" | "Bound" | "Borrowed" => true,
        "PyRef" | "PyRefMut" | "PyClassGuard" | "PyClassGuardMut" => true,
        _ => false,
    })?;
    let end = index + if is(index, "'") { 2 } else { 1 };
    Some(words[index..end].concat())
}

/// The tokens of a type, without the delimiters of groups.
fn words(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => words(group.stream()),
        token => vec![token.to_string()],
    });
    words.collect()
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

/// What the function returns.
pub(super) struct Returns {
    ty: Option<Type>,
    pub(super) is_stream: bool,
}

impl Returns {
    pub(super) fn parse(output: &ReturnType, errors: &mut Errors) -> Self {
        let item = stream_item(output);
        let is_stream = item.is_some();
        let ty = match output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(item.unwrap_or_else(|| ungrouped(ty)).clone()),
        };
        let words = words(ty.to_token_stream());
        if words.iter().any(|word| word == "impl") {
            let message =
                "`impl …` does not say how the result is converted for Python: name its type";
            errors.push(&ty, message);
        } else if let Some(borrow) = borrow_in(&words, false) {
            let message = format!(
                "the result of an exported `async fn` outlives the arguments, so it cannot borrow (`{borrow}`): return an \
                 owned value, or `Py<…>`"
            );
            errors.push(&ty, message);
        }
        Self { ty, is_stream }
    }

    /// The type that a type stub shows. PyO3's rules for plain functions apply: `()` is `None`, and a function whose `None` ends
    /// an iteration returns the type inside of its `Option`.
    pub(super) fn in_python(&self, private: &TokenStream, none_is_end: bool) -> TokenStream {
        let none = quote!(#private::pyo3::Py<#private::pyo3::types::PyNone>);
        let Some(ty) = &self.ty else {
            return none;
        };
        let value = type_argument(ty, |name| name.ends_with("Result")).unwrap_or(ty);
        let item = type_argument(value, |name| none_is_end && name == "Option");
        match (value, item) {
            (Type::Tuple(tuple), _) if tuple.elems.is_empty() => none,
            (_, Some(item)) => item.to_token_stream(),
            _ => ty.to_token_stream(),
        }
    }
}

/// The type of the items, if a function returns `impl Stream<Item = …>`, or a `Result` of one.
pub(crate) fn stream_item(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let ty = ungrouped(ty);
    let value = type_argument(ty, |name| name.ends_with("Result")).unwrap_or(ty);
    let Type::ImplTrait(value) = ungrouped(value) else {
        return None;
    };
    let bounds = value.bounds.iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let stream = bounds.into_iter().find(|name| name.ident == "Stream")?;
    let PathArguments::AngleBracketed(arguments) = &stream.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(item) if item.ident == "Item" => Some(ungrouped(&item.ty)),
        _ => None,
    })
}

/// The first type argument of a path whose last name is accepted.
fn type_argument(ty: &Type, is_accepted: impl Fn(&str) -> bool) -> Option<&Type> {
    let last = last_segment(ty)?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if is_accepted(&last.ident.to_string()) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}
