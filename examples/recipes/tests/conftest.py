import faulthandler
import sys

import pytest

# Celery has no prefork pool there.
collect_ignore = ["test_celery.py"] if sys.platform == "win32" else []


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
