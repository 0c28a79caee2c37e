//! Exports an `async fn`, or a function that returns a stream, for `#[pyfunction]` and `#[pymethods]`.
//!
//! The attribute generates a wrapper, a plain function, and PyO3 exports the wrapper. The user's function stays as it is, and Rust
//! can call it.
//!
//! The wrapper has the same parameters, so PyO3 extracts the arguments at the call. For an `async fn`, it makes a coroutine of the
//! future. For a function that returns a stream, it makes an async generator, which calls the function when Python awaits the first
//! item.
//!
//! With `blocking = "name"` there is a second wrapper of the same function. It blocks until the future is done, or makes a
//! generator of the stream.

mod declaration;
mod options;
mod signature;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, Error, LitStr, Result, Signature, Type, Visibility};

use crate::errors::Errors;
use crate::function::{check_callable, hygienic, is_any_of, option, output_span};
use crate::runtime::Runtime;
pub(crate) use options::ExportOptions;
pub(crate) use signature::stream_item;
use signature::{Parameter, Parameters, Receiver, Returns};

/// An exported `async fn`.
pub(crate) struct Export<'a> {
    pub(crate) runtime: Runtime,
    /// The path to `pyo3_asyncio::__private`.
    pub(crate) private: &'a TokenStream,
    pub(crate) attributes: &'a [Attribute],
    /// The visibility of the wrapper.
    pub(crate) visibility: Visibility,
    pub(crate) signature: &'a Signature,
    /// The class of a method.
    pub(crate) class: Option<&'a Type>,
    pub(crate) options: ExportOptions,
    /// Whether this is the second, synchronous function.
    pub(crate) is_blocking: bool,
}

impl Export<'_> {
    /// The wrapper, without the attribute by which PyO3 exports it, and an item that belongs beside it.
    pub(crate) fn wrapper(&self) -> Result<(TokenStream, Option<TokenStream>)> {
        let mut errors = Errors::default();
        check_callable(self.signature, "an exported `async fn`", &mut errors);
        let parameters = Parameters::parse(self.signature, &mut errors);
        let returns = Returns::parse(&self.signature.output, &self.python_name(), &mut errors);
        if returns.is_stream {
            check_stream(&parameters, &mut errors);
            self.check_stream_options(&mut errors);
        } else if let (Some(handle), true) = (parameters.cancel_handle(), self.is_blocking) {
            let message = "nothing tells the `CancelHandle` of a function that blocks, since Ctrl-C drops the future: remove it, or \
                           `blocking`";
            errors.push(handle, message);
        } else if let (Some(handle), true) =
            (parameters.cancel_handle(), self.options.detach_on_cancel)
        {
            let message =
                "with `detach_on_cancel`, nothing tells a `CancelHandle`: remove one of the two";
            errors.push(handle, message);
        }
        errors.into_result()?;
        let inputs = self.inputs(&parameters)?;
        let name = self.wrapper_name();
        let private = self.private;
        let (output, annotation) = self.output(&returns);
        let attributes = self.wrapper_attributes();
        let visibility = &self.visibility;
        let object = match (returns.is_stream, self.is_blocking) {
            (true, false) => quote!(AsyncGenerator),
            (true, true) => quote!(Generator),
            (false, false) => quote!(Coroutine),
            (false, true) => quote!(Blocked),
        };
        let body = match returns.is_stream {
            true => self.stream_body(&parameters, &returns),
            false => self.body(&parameters, &returns),
        };
        let function = quote_spanned! {hygienic(Span::call_site())=>
            #attributes
            #visibility fn #name<'py>(#inputs) -> #private::pyo3::PyResult<#private::#object<'py, #output>> {
                #body
            }
        };
        Ok((function, annotation))
    }

    /// The second, synchronous function.
    pub(crate) fn blocking(&self) -> Result<Option<Self>> {
        let Some(name) = &self.options.blocking else {
            return Ok(None);
        };
        if name.unraw() == self.python_name() {
            let message = format!(
                "two functions cannot both be `{name}`: give the one that blocks a name of its own"
            );
            return Err(Error::new(name.span(), message));
        }
        Ok(Some(Self {
            visibility: self.visibility.clone(),
            options: self.options.of_blocking(name),
            is_blocking: true,
            ..*self
        }))
    }

    pub(crate) fn wrapper_name(&self) -> Ident {
        let blocking = if self.is_blocking { "blocking_" } else { "" };
        format_ident!("__pyo3_asyncio_{blocking}{}", self.signature.ident)
    }

    pub(crate) fn python_name(&self) -> String {
        let given = self.options.name.as_ref();
        given.map_or_else(|| self.signature.ident.unraw().to_string(), LitStr::value)
    }

    /// The type whose type hint is that of the result, and an item that the type needs.
    fn output(&self, returns: &Returns) -> (TokenStream, Option<TokenStream>) {
        let private = self.private;
        match &self.options.returns {
            None => (returns.in_python(private), None),
            Some(text) => {
                let (name, item) = self.annotation(text);
                (quote!(#private::Annotated<#name>), Some(item))
            }
        }
    }

    /// A type that stands for the text in `signature = (…) -> "text"`.
    fn annotation(&self, text: &LitStr) -> (Ident, TokenStream) {
        let private = self.private;
        let class = self.class.to_token_stream().to_string();
        let class: String = class.chars().filter(|c| c.is_alphanumeric()).collect();
        let name = format_ident!("__pyo3_asyncio_{class}_{}_returns", self.signature.ident);
        let visibility = &self.visibility;
        let both = self.attributes.iter().filter(|it| is_for_both(it));
        let both = quote!(#(#both)*);
        let item = quote! {
            #both
            #[doc(hidden)]
            #[allow(non_camel_case_types, unreachable_pub, reason = "it is named after the function, and as visible")]
            #visibility enum #name {}

            #both
            impl #private::Annotation for #name {
                const TEXT: &'static ::core::primitive::str = #text;
            }
        };
        (name, item)
    }

    /// The user's attributes that concern Python, and ours.
    fn wrapper_attributes(&self) -> TokenStream {
        // The options hold what `#[pyo3(…)]` says.
        let users = self
            .attributes
            .iter()
            .filter(|it| is_for_both(it) || is_for_python(it) && !it.path().is_ident("pyo3"));
        let name = LitStr::new(&self.python_name(), self.signature.ident.span());
        let name = self.options.name.is_none().then(|| quote!(name = #name,));
        // For a method, the path is on the `impl` block.
        let needs_path = self.class.is_none() && !self.options.has_pyo3_path;
        let path = needs_path.then(|| pyo3_path(self.private));
        let path = path.map(|path| quote!(crate = #path,));
        let options = &self.options.forwarded;
        quote! {
            #(#users)*
            #[doc(hidden)]
            #[pyo3(#name #path #(#options),*)]
            #[allow(
                clippy::too_many_arguments,
                deprecated,
                non_snake_case,
                reason = "the compiler reports it for the `async fn`"
            )]
        }
    }

    fn inputs(&self, parameters: &Parameters) -> Result<TokenStream> {
        self.check_first(parameters)?;
        let private = self.private;
        let span = hygienic(Span::call_site());
        let slf = parameters.receiver.as_ref();
        let slf = slf.map(|_| quote_spanned!(span=> slf: #private::pyo3::Py<Self>,));
        let passed = parameters.passed().map(Parameter::for_python);
        Ok(quote_spanned!(span=> #slf #(#passed,)* py: #private::pyo3::Python<'py>))
    }

    /// Checks that the `async fn` takes the object, the class or the module that PyO3 passes first.
    fn check_first(&self, parameters: &Parameters) -> Result<()> {
        let has = |name| self.attributes.iter().any(|it| it.path().is_ident(name));
        let (is_method, is_static) = (self.class.is_some(), has("staticmethod"));
        let is_class_method = is_method && has("classmethod");
        let missing = if is_class_method {
            "the first parameter of a class method is its class: take `cls: Py<PyType>`"
        } else if is_method {
            "the first parameter of a method is its object: take `&self`, `&mut self` or `slf: Py<Self>`, or make it a \
             `#[staticmethod]`"
        } else {
            "the first parameter of a function with `pass_module` is its module: take `module: Py<PyModule>`"
        };
        let passes_first = if is_method {
            !is_static
        } else {
            self.options.pass_module
        };
        match &parameters.receiver {
            Some(receiver) if is_class_method => Err(Error::new(receiver.span, missing)),
            Some(receiver) if is_static || !is_method => {
                let message = "Python passes no object here: remove `self`";
                Err(Error::new(receiver.span, message))
            }
            None if passes_first && parameters.passed().next().is_none() => {
                Err(Error::new_spanned(&self.signature.ident, missing))
            }
            _ => Ok(()),
        }
    }

    fn body(&self, parameters: &Parameters, returns: &Returns) -> TokenStream {
        let private = self.private;
        let function = self.function();
        let arguments = parameters.rest.iter().map(|it| &it.name);
        // An error about the future is shown at the return type: it is not `Send`, or its output does not convert.
        let at_output = output_span(self.signature);
        let of_output = respanned(private, at_output);
        let result = returns.result(private, at_output);
        let (way, future) = match &parameters.receiver {
            None => (
                quote!(#private::Owning),
                quote_spanned! {at_output=>
                    #of_output::converted(#function(#(#arguments),*), |output| #result)
                },
            ),
            Some(receiver) => {
                let (way, argument, borrow) = self.receiver(receiver);
                let future = quote_spanned! {at_output=>
                    async move {
                        #borrow
                        let output = #function(#argument, #(#arguments),*).await;
                        #result
                    }
                };
                (way, future)
            }
        };
        let runtime = self.runtime.ty();
        if self.is_blocking {
            let made_at = self.made_at();
            return quote_spanned! {at_output=>
                #of_output::blocked::<#private::#runtime, #way, _, _, _>(py, #made_at, #future)
            };
        }
        let (make, future) = match parameters.cancel_handle() {
            None => (quote_spanned!(at_output=> coroutine), future),
            Some(cancel) => (
                quote_spanned!(at_output=> cancellable_coroutine),
                quote_spanned!(at_output=> |#cancel| #future),
            ),
        };
        let options = self.coroutine_options(parameters);
        quote_spanned! {at_output=>
            #of_output::#make::<#private::#runtime, #way, _, _, _>(py, #options, #future)
        }
    }

    fn stream_body(&self, parameters: &Parameters, returns: &Returns) -> TokenStream {
        let function = self.function();
        let arguments = parameters.rest.iter().map(|it| &it.name);
        let at_output = output_span(self.signature);
        let of_output = respanned(self.private, at_output);
        let receiver = parameters.receiver.as_ref().map(|receiver| {
            let span = hygienic(receiver.span);
            let of_receiver = respanned(self.private, span);
            quote_spanned!(span=> #of_receiver::unchanging(&slf),)
        });
        let await_it = self.signature.asyncness;
        let await_it = await_it.map(|_| quote_spanned!(at_output=> .await));
        let (result, runtime) = (returns.result(self.private, at_output), self.runtime.ty());
        let options = self.coroutine_options(parameters);
        let private = self.private;
        let make = match self.is_blocking {
            true => quote_spanned!(at_output=> generator),
            false => quote_spanned!(at_output=> async_generator),
        };
        quote_spanned! {at_output=>
            #of_output::#make::<#private::#runtime, _, _, _>(py, #options, |emitter| async move {
                let stream = #function(#receiver #(#arguments),*)#await_it;
                let stream = #of_output::outcome(&stream).into_result(stream)?;
                emitter.emit(stream, |output| #result).await
            })
        }
    }

    fn function(&self) -> TokenStream {
        let name = &self.signature.ident;
        match self.class {
            Some(_) => quote!(Self::#name),
            None => quote!(#name),
        }
    }

    /// The `Way` of a coroutine with this receiver, the argument, and the statement that borrows the object for it.
    fn receiver(&self, receiver: &Receiver) -> (TokenStream, TokenStream, TokenStream) {
        let private = self.private;
        let python_name = self.python_name();
        // An error about the object is shown at the receiver.
        let span = hygienic(receiver.span);
        let of_receiver = respanned(private, span);
        match receiver.mutability {
            None => (
                quote!(#private::SharedWay<Self>),
                quote_spanned!(span=> &borrow),
                quote_spanned!(span=> let borrow = #of_receiver::shared(&slf, #python_name).await?;),
            ),
            Some(_) => (
                quote!(#private::Borrowing),
                quote_spanned!(span=> &mut borrow),
                quote_spanned!(span=> let mut borrow = #of_receiver::exclusive(&slf, #python_name).await?;),
            ),
        }
    }

    fn check_stream_options(&self, errors: &mut Errors) {
        let name = &self.signature.ident;
        if self.options.detach_on_cancel {
            let message = "a stream cannot `detach_on_cancel`: nobody is left to take its items. Remove the option";
            errors.push(name, message);
        }
        if self.options.share_context {
            let message = "a stream is polled in the context of the task that awaits an item, and cannot `share_context`. Remove the \
                           option";
            errors.push(name, message);
        }
    }

    /// The place of the function. A call has the place of its tokens, or that of the attribute if they are resolved there.
    fn made_at(&self) -> TokenStream {
        let at_function = self.signature.ident.span();
        let of_function = respanned(self.private, at_function);
        quote_spanned!(at_function=> #of_function::here())
    }

    fn coroutine_options(&self, parameters: &Parameters) -> TokenStream {
        let private = self.private;
        let span = hygienic(Span::call_site());
        let slf = parameters.receiver.as_ref();
        let slf = slf.map(|_| quote_spanned!(span=> slf)).into_iter();
        let arguments = slf.chain(parameters.passed().map(|it| it.name.to_token_stream()));
        let name = self.python_name();
        let class = self.class;
        let class = class.map(|_| quote!(<Self as #private::pyo3::PyClass>::NAME));
        let class = option(class);
        let ExportOptions {
            eager_start,
            detach_on_cancel,
            share_context,
            ..
        } = self.options;
        let made_at = self.made_at();
        quote_spanned! {span=>
            #private::CoroutineOptions {
                names: || (#name, #class),
                made_at: #made_at,
                eager_start: #eager_start,
                detach_on_cancel: #detach_on_cancel,
                share_context: #share_context,
                arguments: {
                    let mut arguments = #private::Arguments::new();
                    #(#private::argument(&#arguments).show(py, &mut arguments);)*
                    arguments
                },
            }
        }
    }
}

/// Refuses what only a coroutine has.
fn check_stream(parameters: &Parameters, errors: &mut Errors) {
    if let Some(handle) = parameters.cancel_handle() {
        let message = "a stream has no `CancelHandle`: cancelling the task that awaits an item drops the stream. Remove it";
        errors.push(handle, message);
    }
    if let Some(changed) = parameters.receiver.as_ref().and_then(|it| it.mutability) {
        let message = "a stream lives on after the call, so it cannot borrow its object mutably: take `&self` and put a lock around \
                       what changes, or take `slf: Py<Self>`";
        errors.push(changed, message);
    }
}

/// Removes PyO3's attributes from the `async fn`: they are on the wrapper.
pub(crate) fn without_python(attributes: &mut Vec<Attribute>, signature: &mut Signature) {
    attributes.retain(|attribute| !is_for_python(attribute));
    for input in &mut signature.inputs {
        let attributes = match input {
            syn::FnArg::Receiver(receiver) => &mut receiver.attrs,
            syn::FnArg::Typed(typed) => &mut typed.attrs,
        };
        attributes.retain(|attribute| !attribute.path().is_ident("pyo3"));
    }
}

/// The path to PyO3. It works whatever name PyO3 has in the user's crate.
pub(crate) fn pyo3_path(private: &TokenStream) -> LitStr {
    let path = quote!(#private::pyo3).to_string();
    LitStr::new(&path.replace(' ', ""), Span::call_site())
}

/// Why a method with this attribute cannot be an `async fn`, and what to do instead.
pub(crate) fn never_awaited(attribute: &Attribute) -> Option<&'static str> {
    Some(match attribute.path().get_ident()?.to_string().as_str() {
        "new" => {
            "Python does not await `__new__`: make the object in a class method, `#[classmethod] async fn connect(cls: \
             Py<PyType>, …) -> PyResult<Self>`, or in a `#[staticmethod]`"
        }
        "getter" => "Python does not await a property: make it a method",
        "setter" => "Python does not await an assignment: make it a method",
        "deleter" => "Python does not await a `del`: make it a method",
        "classattr" => "Python does not await a class attribute: make it a class method",
        _ => return None,
    })
}

fn is_for_python(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["classmethod", "pyo3", "staticmethod"])
        || never_awaited(attribute).is_some()
}

/// The wrapper is under the same conditions as the function, and PyO3 makes the docstring of the documentation.
pub(crate) fn is_for_both(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["cfg", "doc"])
}

/// Gives all tokens of a path the same span. Otherwise the compiler shows an error from the first token to the last.
fn respanned(path: &TokenStream, span: Span) -> TokenStream {
    let tokens = path.clone().into_iter().map(|mut token| {
        token.set_span(span);
        token
    });
    tokens.collect()
}
