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
use signature::{Parameter, Parameters, Returns};

/// A function that can be exported.
pub(crate) struct Export<'a> {
    runtime: Runtime,
    /// The path to `pyo3_asyncio::__private`.
    pub(crate) private: TokenStream,
    attributes: &'a [Attribute],
    /// The visibility of the wrapper.
    pub(crate) visibility: &'a Visibility,
    pub(crate) signature: &'a Signature,
    /// The class of a method.
    class: Option<&'a Type>,
    pub(crate) options: ExportOptions,
    parameters: Parameters,
    returns: Returns,
}

impl<'a> Export<'a> {
    pub(crate) fn new(
        runtime: Runtime,
        private: TokenStream,
        attributes: &'a [Attribute],
        visibility: &'a Visibility,
        signature: &'a Signature,
        class: Option<&'a Type>,
        options: ExportOptions,
    ) -> Result<Self> {
        let mut errors = Errors::default();
        check_callable(signature, "an exported `async fn`", &mut errors);
        let export = Self {
            runtime,
            private,
            attributes,
            visibility,
            signature,
            class,
            options,
            parameters: Parameters::parse(signature, &mut errors),
            returns: Returns::parse(&signature.output, &mut errors),
        };
        export.check(&mut errors);
        errors.into_result()?;
        export.check_first()?;
        Ok(export)
    }

    fn check(&self, errors: &mut Errors) {
        let handle = self.parameters.cancel_handle();
        let (options, function) = (&self.options, &self.signature.ident);
        let second_name = options.blocking.as_ref();
        if let Some(name) = second_name.filter(|it| it.unraw() == self.python_name().value()) {
            let message = format!(
                "two functions cannot both be `{name}`: give the one that blocks a name of its own"
            );
            errors.push(name, message);
        }
        if !self.returns.is_stream {
            if let (Some(handle), Some(_)) = (handle, &options.blocking) {
                let message = "nothing tells the `CancelHandle` of a function that blocks, since Ctrl-C drops the future: remove it, \
                               or `blocking`";
                errors.push(handle, message);
            }
            if let (Some(handle), true) = (handle, options.detach_on_cancel) {
                let message = "with `detach_on_cancel`, nothing tells a `CancelHandle`: remove one of the two";
                errors.push(handle, message);
            }
            return;
        }
        if let Some(handle) = handle {
            let message = "a stream has no `CancelHandle`: cancelling the task that awaits an item drops the stream. Remove it";
            errors.push(handle, message);
        }
        let receiver = self.parameters.receiver.as_ref();
        if let Some(changed) = receiver.and_then(|it| it.mutability) {
            let message = "a stream lives on after the call, so it cannot borrow its object mutably: take `&self` and put a lock \
                           around what changes, or take `slf: Py<Self>`";
            errors.push(changed, message);
        }
        if options.detach_on_cancel {
            let message = "a stream cannot `detach_on_cancel`: nobody is left to take its items. Remove the option";
            errors.push(function, message);
        }
        if options.share_context {
            let message = "a stream is polled in the context of the task that awaits an item, and cannot `share_context`. Remove the \
                           option";
            errors.push(function, message);
        }
    }

    /// Checks that the function takes the object, the class or the module that PyO3 passes first.
    fn check_first(&self) -> Result<()> {
        let has = |name| self.attributes.iter().any(|it| it.path().is_ident(name));
        let is_method = self.class.is_some() && !has("staticmethod");
        let (is_object, passed) = if is_method && !has("classmethod") {
            let object = "the first parameter of a method is its object: take `&self`, `&mut self` or `slf: Py<Self>`, or make it a \
                          `#[staticmethod]`";
            (true, Some(object))
        } else if is_method {
            let class =
                "the first parameter of a class method is its class: take `cls: Py<PyType>`";
            (false, Some(class))
        } else {
            let module = "the first parameter of a function with `pass_module` is its module: take `module: Py<PyModule>`";
            (false, self.options.has("pass_module").then_some(module))
        };
        match (&self.parameters.receiver, passed) {
            (Some(receiver), _) if !is_object => {
                let message = passed.unwrap_or("Python passes no object here: remove `self`");
                Err(Error::new(receiver.span, message))
            }
            (None, Some(missing)) if self.parameters.passed().next().is_none() => {
                Err(Error::new_spanned(&self.signature.ident, missing))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn python_name(&self) -> LitStr {
        self.options.python_name(&self.signature.ident)
    }

    /// The name of the wrapper, and the wrapper without the attribute by which PyO3 exports it.
    pub(crate) fn wrapper(&self) -> (Ident, TokenStream) {
        self.wrap(&self.python_name(), false)
    }

    /// The wrapper of the second, synchronous function.
    pub(crate) fn blocking_wrapper(&self) -> Option<(Ident, TokenStream)> {
        let name = self.options.blocking.as_ref()?;
        let name = LitStr::new(&name.unraw().to_string(), name.span());
        Some(self.wrap(&name, true))
    }

    fn wrap(&self, python_name: &LitStr, is_blocking: bool) -> (Ident, TokenStream) {
        let (object, make) = match (self.returns.is_stream, is_blocking) {
            (true, false) => ("AsyncGenerator", "async_generator"),
            (true, true) => ("Generator", "generator"),
            (false, true) => ("Blocked", "blocked"),
            (false, false) if self.parameters.cancel_handle().is_some() => {
                ("Coroutine", "cancellable_coroutine")
            }
            (false, false) => ("Coroutine", "coroutine"),
        };
        let span = hygienic(Span::call_site());
        let object = Ident::new(object, span);
        let blocking = if is_blocking { "blocking_" } else { "" };
        let name = format_ident!("__pyo3_asyncio_{blocking}{}", self.signature.ident);
        let (private, visibility) = (&self.private, self.visibility);
        let attributes = self.wrapper_attributes(python_name);
        let slf = self.parameters.receiver.as_ref();
        let slf = slf.map(|_| quote_spanned!(span=> slf: #private::pyo3::Py<Self>,));
        let passed = self.parameters.passed().map(Parameter::for_python);
        let output = self.output(&python_name.value());
        let body = self.body(python_name, make);
        let function = quote_spanned! {span=>
            #attributes
            #visibility fn #name<'py>(
                #slf #(#passed,)* py: #private::pyo3::Python<'py>
            ) -> #private::pyo3::PyResult<#private::#object<'py, #output>> {
                use #private as __private;

                #body
            }
        };
        (name, function)
    }

    /// The user's attributes that concern Python, and ours.
    fn wrapper_attributes(&self, python_name: &LitStr) -> TokenStream {
        // The options hold what `#[pyo3(…)]` says.
        let users = self.attributes.iter();
        let users =
            users.filter(|it| is_for_both(it) || is_any_of(it, &["classmethod", "staticmethod"]));
        // For a method, the path is on the `impl` block.
        let path = self.class.is_none().then(|| pyo3_path(&self.private));
        let path = path.map(|path| quote!(crate = #path,));
        let options = self.options.forwarded.iter().map(|it| {
            let (name, rest) = (&it.name, &it.rest);
            quote!(#name #rest)
        });
        quote! {
            #(#users)*
            #[doc(hidden)]
            #[pyo3(name = #python_name, #path #(#options),*)]
            #[allow(
                clippy::too_many_arguments,
                deprecated,
                non_snake_case,
                reason = "the compiler reports it for the `async fn`"
            )]
        }
    }

    /// The call that makes the Python object. An error about the future is shown at the return type: it is not `Send`, or its
    /// output does not convert.
    fn body(&self, python_name: &LitStr, make: &str) -> TokenStream {
        let span = output_span(self.signature);
        let (function, class) = (&self.signature.ident, self.class.map(|_| quote!(Self::)));
        let arguments = self.parameters.rest.iter().map(|it| &it.name);
        let [way, borrow, object] = self.object(python_name);
        let call = quote_spanned!(span=> #class #function(#object #(#arguments),*));
        let result = result(&python_name.value(), span);
        let future = if self.returns.is_stream {
            let dot_await = self.signature.asyncness;
            let dot_await = dot_await.map(|_| quote_spanned!(span=> .await));
            quote_spanned! {span=>
                |emitter| async move {
                    let stream = #call #dot_await;
                    let stream = __private::outcome(&stream).into_result(stream)?;
                    emitter.emit(stream, |output| #result).await
                }
            }
        } else if borrow.is_none() {
            quote_spanned!(span=> __private::converted(#call, |output| #result))
        } else {
            quote_spanned! {span=>
                async move {
                    #borrow
                    let output = #call.await;
                    #result
                }
            }
        };
        let runtime = self.runtime.ty();
        let cancel = self.parameters.cancel_handle();
        let cancel = cancel.map(|cancel| quote_spanned!(span=> |#cancel|));
        let options = self.coroutine_options(python_name, make);
        let make = Ident::new(make, span);
        quote_spanned! {span=>
            __private::#make::<__private::#runtime, #way _, _, _>(py, #options, #cancel #future)
        }
    }

    /// The `Way` of a coroutine, the statement that borrows the object, and the argument. An error about the object is shown at the
    /// receiver.
    fn object(&self, python_name: &LitStr) -> [Option<TokenStream>; 3] {
        let is_stream = self.returns.is_stream;
        let Some(receiver) = &self.parameters.receiver else {
            return [(!is_stream).then(|| quote!(__private::Owning,)), None, None];
        };
        let span = hygienic(receiver.span);
        if is_stream {
            let object = quote_spanned!(span=> __private::unchanging(&slf),);
            return [None, None, Some(object)];
        }
        let (way, borrow, object) = match receiver.mutability {
            None => (
                quote!(__private::SharedWay<Self>,),
                quote_spanned!(span=> let borrow = __private::shared(&slf, #python_name).await?;),
                quote_spanned!(span=> &borrow,),
            ),
            Some(_) => (
                quote!(__private::Borrowing,),
                quote_spanned!(span=> let mut borrow = __private::exclusive(&slf, #python_name).await?;),
                quote_spanned!(span=> &mut borrow,),
            ),
        };
        [Some(way), Some(borrow), Some(object)]
    }

    fn coroutine_options(&self, python_name: &LitStr, make: &str) -> TokenStream {
        let span = hygienic(Span::call_site());
        let slf = self.parameters.receiver.as_ref();
        let slf = slf.map(|_| Ident::new("slf", span));
        let passed = self.parameters.passed().map(|it| &it.name);
        // The coroutine shows these to the garbage collector. A call that blocks makes no coroutine.
        let arguments = slf.iter().chain(passed).filter(|_| make != "blocked");
        let class = self.class;
        let class = option(class.map(|_| quote!(<Self as __private::pyo3::PyClass>::NAME)));
        // A call has the place of its tokens, or that of the attribute if they are resolved there.
        let made_at = quote_spanned!(self.signature.ident.span()=> __private::here());
        let ExportOptions {
            eager_start,
            detach_on_cancel,
            share_context,
            ..
        } = self.options;
        quote_spanned! {span=>
            __private::CoroutineOptions {
                names: || (#python_name, #class),
                made_at: #made_at,
                eager_start: #eager_start,
                detach_on_cancel: #detach_on_cancel,
                share_context: #share_context,
                arguments: {
                    let mut arguments = __private::Arguments::new();
                    #(__private::argument(&#arguments).show(py, &mut arguments);)*
                    arguments
                },
            }
        }
    }

    /// The type whose type hint is that of the result.
    fn output(&self, python_name: &str) -> TokenStream {
        let private = &self.private;
        match &self.options.returns {
            None => self.returns.in_python(private, end(python_name).is_some()),
            Some(_) => {
                let name = self.annotation_name();
                quote!(#private::Annotated<#name>)
            }
        }
    }

    fn annotation_name(&self) -> Ident {
        let class = self.class.to_token_stream().to_string();
        let class: String = class.chars().filter(|c| c.is_alphanumeric()).collect();
        format_ident!("__pyo3_asyncio_{class}_{}_returns", self.signature.ident)
    }

    /// A type that stands for the text in `signature = (…) -> "text"`.
    pub(crate) fn annotation(&self) -> Option<TokenStream> {
        let text = self.options.returns.as_ref()?;
        let (name, private, visibility) = (self.annotation_name(), &self.private, self.visibility);
        let hidden = self.hidden();
        Some(quote! {
            #hidden
            #visibility enum #name {}

            #hidden
            impl #private::Annotation for #name {
                const TEXT: &'static ::core::primitive::str = #text;
            }
        })
    }

    /// The attributes of a generated item beside the wrapper.
    pub(crate) fn hidden(&self) -> TokenStream {
        let both = self.attributes.iter().filter(|it| is_for_both(it));
        quote! {
            #(#both)*
            #[doc(hidden)]
            #[allow(
                dead_code,
                missing_debug_implementations,
                non_camel_case_types,
                unreachable_pub,
                unused_imports,
                reason = "it is named after the function and as visible, and may be used nowhere"
            )]
        }
    }

    /// The `Declaration` of the function: its type hints, whether it returns a stream, and the signature of `__call__`.
    pub(crate) fn declaration(&self) -> TokenStream {
        let (private, python_name) = (&self.private, self.python_name().value());
        let parameters = self.parameters.passed();
        let parameters = parameters.map(|it| (it.name.unraw().to_string(), &it.ty));
        let parameters: Vec<_> = parameters.collect();
        let hints = parameters
            .iter()
            .map(|(name, ty)| match self.options.hints.get(name) {
                Some(text) => quote!(#private::annotate(annotations, #name, #text)?;),
                None => quote!(#private::hinted::<#ty>().annotate(annotations, #name)?;),
            });
        // PyO3 has no text for `__call__`, unless it is given.
        let is_call = python_name == "__call__" && !self.options.has("signature");
        let names: String = parameters
            .iter()
            .flat_map(|(name, _)| [", ", name.as_str()])
            .collect();
        let signature = option(is_call.then(|| format!("(self{names})")));
        let (is_stream, output) = (self.returns.is_stream, self.output(&python_name));
        let output = match is_stream {
            true => quote!(#private::Streamed<#output>),
            false => output,
        };
        quote! {
            #private::Declaration {
                is_stream: #is_stream,
                signature: #signature,
                annotate: |annotations| {
                    #(#hints)*
                    #private::hinted::<#output>().annotate(annotations, "return")
                },
            }
        }
    }
}

/// The error that ends an iteration if a function of this name returns `None`.
fn end(python_name: &str) -> Option<&'static str> {
    match python_name {
        "__anext__" => Some("stop_async_iteration"),
        "__next__" => Some("stop_iteration"),
        _ => None,
    }
}

/// Makes a `PyResult` of the variable `output`.
fn result(python_name: &str, span: Span) -> TokenStream {
    let result = quote_spanned!(span=> __private::outcome(&output).into_result(output));
    let Some(end) = end(python_name) else {
        return result;
    };
    let end = Ident::new(end, span);
    quote_spanned!(span=> {
        let output = #result;
        __private::next_item(&output, __private::#end).into_result(output)
    })
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
fn is_for_both(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["cfg", "doc"])
}
