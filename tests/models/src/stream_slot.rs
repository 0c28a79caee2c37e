use std::sync::Arc;

use loom::model;

use crate::spawn;
use crate::sync::stream_slot::{StreamSlot, StreamStage};

type Slot = StreamSlot<&'static str, &'static str>;

/// A fetch that finds more items. Gives its outcome, and what is left for it to drop.
fn fetch(
    slot: &Slot,
) -> (
    Result<bool, &'static str>,
    StreamStage<&'static str, &'static str>,
) {
    match slot.take() {
        Ok(Some((stream, _))) => {
            let is_ready = true;
            (
                Ok(true),
                slot.put_back(StreamStage::Parked { stream, is_ready }),
            )
        }
        Ok(None) => (Ok(false), StreamStage::Ended),
        Err(failure) => (Err(failure), StreamStage::Ended),
    }
}

fn has_stream(stage: &StreamStage<&str, &str>) -> bool {
    matches!(stage, StreamStage::Parked { .. })
}

#[test]
fn one_side_drops_a_stream_that_is_closed_during_a_fetch() {
    model(|| {
        let slot = Arc::new(Slot::new("stream"));
        let closing = spawn(&slot, |slot| slot.put(StreamStage::Ended));
        let (_, left_by_fetch) = fetch(&slot);
        let left_by_close = closing.join().unwrap();
        assert_ne!(has_stream(&left_by_fetch), has_stream(&left_by_close));
        assert_eq!(slot.take(), Ok(None));
    });
}

#[test]
fn one_fetch_raises_the_failure_that_comes_during_another() {
    model(|| {
        let slot = Arc::new(Slot::new("stream"));
        let failing = spawn(&slot, |slot| slot.fail("closed"));
        let (first, left_by_fetch) = fetch(&slot);
        let left_by_failure = failing.join().unwrap();
        assert_ne!(has_stream(&left_by_fetch), has_stream(&left_by_failure));
        let (second, _) = fetch(&slot);
        match first {
            Err("closed") => assert_eq!(second, Ok(false)),
            first => assert_eq!((first, second), (Ok(true), Err("closed"))),
        }
        assert_eq!(slot.take(), Ok(None));
    });
}

#[test]
fn a_stream_that_ends_while_it_fails_has_one_end() {
    model(|| {
        let slot = Arc::new(Slot::new("stream"));
        let (stream, _) = slot.take().unwrap().unwrap();
        let failing = spawn(&slot, |slot| slot.fail("closed"));
        let left_by_fetch = slot.put_back(StreamStage::Failed(stream));
        let left_by_failure = failing.join().unwrap();
        let raised = slot.take().unwrap_err();
        let lost = match raised {
            "closed" => left_by_fetch,
            _ => left_by_failure,
        };
        assert!(matches!(lost, StreamStage::Failed(other) if other != raised));
        assert_eq!(slot.take(), Ok(None));
    });
}
