//! What a model has in the place of the standard library's, where loom's own is not enough.

use std::cell::Cell;

use loom::thread::LocalKey;

pub(crate) mod thread {
    //! No time passes in a model: nothing may depend on a wait that is over by itself.
    //!
    //! loom's own `unpark` would not do: it ends a wait for a lock too, and its token is lost there.

    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::Condvar;
    pub(crate) use loom::thread::ThreadId;

    use crate::primitive::{Mutex, lock};

    #[derive(Clone)]
    pub(crate) struct Thread {
        id: ThreadId,
        token: Arc<(Mutex<bool>, Condvar)>,
    }

    loom::thread_local! {
        static CURRENT: Thread = Thread {
            id: loom::thread::current().id(),
            token: Arc::new((Mutex::new(false), Condvar::new())),
        };
    }

    impl Thread {
        pub(crate) fn id(&self) -> ThreadId {
            self.id
        }

        pub(crate) fn unpark(&self) {
            let (token, is_there) = &*self.token;
            *lock(token) = true;
            is_there.notify_one();
        }
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Thread::clone)
    }

    pub(crate) fn park() {
        let current = current();
        let (token, is_there) = &*current.token;
        let mut token = lock(token);
        while !*token {
            token = is_there.wait(token).expect("no lock is poisoned");
        }
        *token = false;
    }

    pub(crate) fn park_timeout(_: Duration) {
        park();
    }

    pub(crate) fn sleep(_: Duration) {
        loom::thread::yield_now();
    }
}

/// Made anew in each run of a model.
macro_rules! lazy {
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::lazy_static! { static ref $name: $type = $value; }
    };
}
pub(crate) use lazy;

macro_rules! local {
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { static $name: $type = $value; }
    };
}
pub(crate) use local;

/// What the standard library can do with a cell of each thread's own, and loom cannot.
pub(crate) trait LocalCell<T> {
    fn get(&'static self) -> T
    where
        T: Copy;
    fn set(&'static self, value: T);
    fn replace(&'static self, value: T) -> T;
}

impl<T> LocalCell<T> for LocalKey<Cell<T>> {
    fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
