use std::sync::Arc;

use loom::model;

use crate::spawn;
use crate::sync::primitive::{AtomicUsize, Ordering::Relaxed};
use crate::sync::watchers::Watchers;

#[test]
fn an_object_that_waits_when_the_loop_closes_hears_once() {
    model(|| {
        let watchers = Arc::new(Watchers::new());
        let told = Arc::new(AtomicUsize::new(0));
        let adding = spawn(&watchers, {
            let told = Arc::clone(&told);
            move |watchers| {
                if watchers.add(Arc::clone(&told)).is_none() {
                    told.fetch_add(1, Relaxed);
                }
            }
        });
        for (_, told) in watchers.close().into_iter().flatten() {
            told.fetch_add(1, Relaxed);
        }
        adding.join().unwrap();
        assert_eq!(told.load(Relaxed), 1);
    });
}

#[test]
fn an_object_that_is_removed_when_the_loop_closes_comes_out_once() {
    model(|| {
        let watchers = Arc::new(Watchers::new());
        let keys = [1, 2].map(|watcher| watchers.add(watcher).expect("they are open"));
        assert_eq!(watchers.remove(keys[0]), Some(1));
        let removing = spawn(&watchers, move |watchers| watchers.remove(keys[1]));
        let mut seen = Vec::from_iter(watchers.close().expect("they were open").drain());
        seen.extend(removing.join().unwrap());
        assert_eq!(seen, [2]);
        assert!(watchers.remove(keys[1]).is_none());
    });
}
