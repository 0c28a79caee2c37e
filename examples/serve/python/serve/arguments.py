"""The command line."""

import argparse
from datetime import timedelta


def parse():
    parser = argparse.ArgumentParser(prog="python -m serve", description="Serves an ASGI application.")
    parser.add_argument("app", metavar="module:app", help="the module and the name in it, such as shop.main:app")
    parser.add_argument("--app-dir", default=".", help="where the module is looked for first, default: %(default)s")
    parser.add_argument("--factory", action="store_true", help="the name is that of a function that makes the application")

    group = parser.add_argument_group("where")
    group.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    group.add_argument("--port", type=int, default=8000, help="0 takes one that is free, default: %(default)s")
    group.add_argument("--uds", metavar="PATH", help="listen on a socket in the file system instead")
    group.add_argument("--root-path", default="", help="the path below which a proxy has the application")
    group.add_argument("--tls-cert", metavar="FILE", help="the certificate and those that vouch for it, in PEM")
    group.add_argument("--tls-key", metavar="FILE", help="the private key, in PEM")
    group.add_argument("--http1-only", action="store_true", help="do not speak HTTP/2")

    group = parser.add_argument_group("how")
    group.add_argument("--workers", type=at_least(1), default=1, help="processes, default: %(default)s")
    loops = "tokio and Python in one thread, or this event loop beside threads of tokio, default: %(default)s"
    group.add_argument("--loop", choices=["tokio", "asyncio", "uvloop"], default="tokio", help=loops)
    group.add_argument("--threads", type=at_least(1), default=1, help="of tokio beside such a loop, default: %(default)s")
    group.add_argument("--lifespan", choices=["auto", "on", "off"], default="auto", help="default: %(default)s")
    group.add_argument("--graceful-timeout", type=seconds, help="for requests when the server ends, default: no limit")

    group = parser.add_argument_group("limits")
    group.add_argument("--limit-concurrency", type=at_least(1), help="requests at a time, after which the answer is 503")
    group.add_argument("--limit-connections", type=at_least(1), help="connections at a time, after which others wait")
    group.add_argument("--max-header-size", type=at_least(8192), default=65536, help="bytes, default: %(default)s")
    group.add_argument("--max-header-count", type=at_least(1), help="default: 100")
    group.add_argument("--header-timeout", type=seconds, default="10", help="for the first request, default: %(default)s")
    group.add_argument("--keep-alive-timeout", type=seconds, default="5", help="for each next one, default: %(default)s")
    group.add_argument("--ws-max-size", type=at_least(1), default=16 * 1024 * 1024, help="bytes, default: %(default)s")
    group.add_argument("--ws-ping-interval", type=seconds_or_none, default="20", help="0 sends none, default: %(default)s")
    group.add_argument("--ws-ping-timeout", type=seconds_or_none, default="20", help="for a pong, default: %(default)s")

    group = parser.add_argument_group("output")
    levels = ["debug", "info", "warning", "error", "critical"]
    group.add_argument("--access-log", action="store_true", help="a line for each request")
    group.add_argument("--log-level", choices=levels, default="info", help="default: %(default)s")

    arguments = parser.parse_args()
    if ":" not in arguments.app:
        parser.error(f"{arguments.app!r} names no application: write module:app")
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    return arguments


def at_least(least):
    def number(text):
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


def seconds(text):
    if not 0 <= float(text) < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return timedelta(seconds=float(text))


def seconds_or_none(text):
    return seconds(text) or None
