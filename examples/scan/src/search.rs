//! The search: a walk, a bounded number of files at once, and what becomes of their matches.

use std::{collections::HashSet, ffi::OsString, fs, path::PathBuf, sync::Arc, task::Poll};

use futures_util::{Stream, StreamExt, TryFutureExt, TryStreamExt, future::ready, stream};
use pyo3::prelude::*;
use pyo3_asyncio::tokio::run_coroutine;
use tokio::{sync::mpsc, task::spawn_blocking};
use walkdir::{DirEntry, WalkDir};

use crate::{
    blocking::{on_thread, os_error, reason},
    matching::{Match, Pattern, SearchedFile},
    progress::Progress,
};

/// How far the walk may be ahead of the search: far enough that `files_found` soon is the total that
/// a progress bar wants, and no further, for a tree may have more paths than fit into memory.
const PATHS_AHEAD: usize = 4096;

/// What is searched for, and where. The walk, the blocking threads and the futures share it.
pub(crate) struct Search {
    pub(crate) root: PathBuf,
    pub(crate) pattern: Pattern,
    pub(crate) suffix: String,
    pub(crate) skip: HashSet<OsString>,
    pub(crate) concurrency: usize,
    pub(crate) progress: Py<Progress>,
}

impl Search {
    /// Errors as Python does if the root cannot be listed.
    pub(crate) async fn check_root(&self) -> PyResult<()> {
        let root = self.root.clone();
        let listed = on_thread(move |_| fs::read_dir(root)).await;
        listed
            .map(drop)
            .map_err(|error| os_error(&error, &self.root))
    }

    /// The matches, those of a file together. No file is begun while nobody asks for the next match.
    pub(crate) fn matches(self: &Arc<Self>) -> impl Stream<Item = PyResult<Match>> + use<> {
        let search = Arc::clone(self);
        let begin = async move {
            search.check_root().await?;
            let (searching, giving) = (Arc::clone(&search), Arc::clone(&search));
            let matches = search
                .files()
                .map(move |path| Arc::clone(&searching).search_file(path))
                .buffer_unordered(search.concurrency)
                .filter_map(ready)
                .flat_map(move |file| Arc::clone(&giving).give(file));
            Ok(matches.map(Ok))
        };
        begin.try_flatten_stream()
    }

    /// The matches of a file. Afterwards nothing is left to do for it.
    fn give(self: Arc<Self>, file: SearchedFile) -> impl Stream<Item = Match> {
        let mut matches = file.into_matches();
        stream::poll_fn(move |_| {
            let next = matches.next();
            match next {
                Some(_) => self.progress.get().match_handled(),
                None => self.progress.get().file_done(),
            }
            Poll::Ready(next)
        })
    }

    /// Awaits `on_match` for every match: in their order for those of one file, side by side for those of different files.
    pub(crate) async fn each(self: &Arc<Self>, on_match: Py<PyAny>) -> PyResult<()> {
        self.check_root().await?;
        // An `Arc` is cloned without the interpreter, a `Py` is not.
        let on_match = Arc::new(on_match);
        let each_in_file = async |path| {
            let Some(file) = Arc::clone(self).search_file(path).await else {
                return Ok(());
            };
            for found in file.into_matches() {
                let on_match = Arc::clone(&on_match);
                run_coroutine(move |py| on_match.bind(py).call1((found,))).await?;
                self.progress.get().match_handled();
            }
            self.progress.get().file_done();
            Ok(())
        };
        self.files()
            .map(Ok)
            .try_for_each_concurrent(self.concurrency, each_in_file)
            .await
    }

    /// The paths of the files to search, from a walk on a blocking thread.
    /// The walk ends when the stream is dropped.
    fn files(self: &Arc<Self>) -> impl Stream<Item = PathBuf> + use<> {
        let (found, mut paths) = mpsc::channel(PATHS_AHEAD);
        let search = Arc::clone(self);
        spawn_blocking(move || {
            let entries = WalkDir::new(&search.root).into_iter();
            for entry in entries.filter_entry(|entry| !search.skips(entry)) {
                match entry {
                    Ok(entry) if search.wants(&entry) => {
                        search.progress.get().file_found();
                        // An error says that nobody listens any more; the check below ends the walk.
                        let _ = found.blocking_send(entry.into_path());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let path = error.path().unwrap_or(&search.root).to_owned();
                        let reason = error.io_error().map_or_else(|| error.to_string(), reason);
                        search.progress.get().file_unreadable(path, reason);
                    }
                }
                // Here and not only where a path is sent: the walk may not find another one for long.
                if found.is_closed() {
                    break;
                }
            }
        });
        stream::poll_fn(move |context| paths.poll_recv(context))
    }

    fn skips(&self, entry: &DirEntry) -> bool {
        entry.depth() > 0 && entry.file_type().is_dir() && self.skip.contains(entry.file_name())
    }

    fn wants(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name().as_encoded_bytes();
        entry.file_type().is_file() && name.ends_with(self.suffix.as_bytes())
    }

    /// Searches a file, on a blocking thread. None if it cannot be read.
    async fn search_file(self: Arc<Self>, path: PathBuf) -> Option<SearchedFile> {
        let searched = on_thread({
            let (search, path) = (Arc::clone(&self), path.clone());
            move |is_wanted| SearchedFile::read(path, &search.pattern, is_wanted)
        });
        let progress = self.progress.get();
        match searched.await {
            Ok(file) => {
                if !file.is_utf8() {
                    progress.file_undecodable(path);
                }
                Some(file)
            }
            Err(error) => {
                progress.file_unreadable(path, reason(&error));
                progress.file_done();
                None
            }
        }
    }
}
