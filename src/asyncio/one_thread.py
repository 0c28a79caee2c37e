import asyncio
import selectors


class TokioSelector(selectors.DefaultSelector):
    """Waits in the runtime of its loop. `turns` drives the runtime."""

    turns = None
    # Whether a look has to find out about events, because the runtime is only told of new ones.
    may_have_events = True

    def select(self, timeout=None):
        events = self._look() if self.may_have_events else []
        self.may_have_events = self.turns.turn(0 if events else timeout)
        if self.may_have_events and not events:
            events = self._look()
        return events

    def _look(self):
        events = super().select(0)
        if not events:
            self.may_have_events = False
            self.turns.found_nothing()
        return events

    def close(self):
        # The runtime watches the descriptor of this selector.
        if self.turns is not None:
            self.turns.close()
        super().close()


class TokioEventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a selector that drives a runtime."""

    def __init__(self, selector):
        super().__init__(selector)
        self._turns = selector.turns

    def run_until_complete(self, future):
        # Before a task is made that would never start.
        self._turns.check_thread()
        return super().run_until_complete(future)

    def run_forever(self):
        self._turns.check_thread()
        with self._turns:
            super().run_forever()
