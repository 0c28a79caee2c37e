"""The start and the end of an application."""

import pytest
from programs import refuse, start  # noqa: F401


@pytest.fixture
def server(start):
    return lambda application, *options: start(f"lifespans:{application}", *options)


def test_an_application_starts_before_the_first_request_and_ends_after_the_last(server):
    server = server("whole")
    assert server.get("/") == (200, b"{'requests': [1], 'own': True}")
    assert server.get("/") == (200, b"{'requests': [1, 1], 'own': True}")
    assert server.stop() == 0
    log = server.log.read_text()
    assert "{'type': 'lifespan.startup'} ['asgi', 'state', 'type']\n" in log
    assert "{'type': 'lifespan.shutdown'} 2 False\n" in log
    lines = ["Waiting for application startup.", "Application startup complete.", "Serving on http://", "Shutting down"]
    lines += ["Waiting for application shutdown.", "Application shutdown complete.", "Finished server process"]
    positions = [log.index(line) for line in lines]
    assert positions == sorted(positions)


@pytest.mark.parametrize("application", ["raises", "returns"])
def test_an_application_without_a_lifespan_serves(server, application):
    server = server(application)
    assert server.get("/") == (200, b"{'own': True}")
    assert server.stop() == 0
    assert "INFO:     ASGI 'lifespan' protocol appears unsupported.\n" in server.log.read_text()


def test_without_lifespan_the_application_is_not_asked(server):
    server = server("whole", "--lifespan", "off")
    assert server.get("/") == (200, b"{'own': True}")
    assert server.stop() == 0 and "lifespan" not in server.log.read_text()


@pytest.mark.parametrize(
    "application, options, cause",
    [
        ("fails_to_start", [], "ERROR:    no database\n"),
        ("raises", ["--lifespan", "on"], "LookupError: from the lifespan\n"),
        ("returns", ["--lifespan", "on"], "RuntimeError: the application has returned from its lifespan"),
    ],
)
def test_a_start_that_fails_ends_the_program_with_its_cause(refuse, application, options, cause):
    code, output = refuse(f"lifespans:{application}", *options)
    assert code == 3 and cause in output and output.endswith("ERROR:    Application startup failed. Exiting.\n")


@pytest.mark.parametrize("application, cause", [("fails_to_end", "no flush"), ("raises_at_the_end", "from the lifespan")])
def test_an_end_that_fails_is_said_and_is_the_exit_code(server, application, cause):
    server = server(application)
    assert server.stop() == 3 and cause in server.log.read_text()


def test_an_answer_out_of_order_raises_in_the_application(server):
    server = server("answers_out_of_order")
    assert server.stop() == 0
    assert "Expected 'lifespan.startup.complete' at this point of the lifespan.\n" in server.log.read_text()
