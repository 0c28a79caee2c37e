"""The command line."""

import argparse
from datetime import timedelta

MANY = 1 << 28


def parse():
    parser = argparse.ArgumentParser(prog="python -m serve", description="Serves an ASGI application.")
    parser.add_argument("app", metavar="module:app", help="the module and the name in it, such as shop.main:app")
    add = parser.add_argument
    add("--app-dir", default=".", help="where the module is looked for first, default: %(default)s")
    add("--factory", action="store_true", help="the name is that of a function that makes the application")
    add("--host", default="127.0.0.1", help="default: %(default)s")
    add("--port", type=int, default=8000, help="0 takes one that is free, default: %(default)s")
    add("--uds", metavar="PATH", help="listen on a socket in the file system instead")
    add("--root-path", default="", help="the path below which a proxy has the application")
    add("--tls-cert", metavar="FILE", help="the certificate and those that vouch for it, in PEM")
    add("--tls-key", metavar="FILE", help="the private key, in PEM")
    add("--http1-only", action="store_true", help="do not speak HTTP/2")
    add("--workers", type=at_least(1), default=1, help="processes, default: %(default)s")
    loops = "tokio and Python in one thread, or this event loop beside a thread of tokio, default: %(default)s"
    add("--loop", choices=["tokio", "asyncio", "uvloop"], default="tokio", help=loops)
    add("--lifespan", choices=["auto", "on", "off"], default="auto", help="default: %(default)s")
    add("--graceful-timeout", type=seconds, help="for requests when the server ends, default: no limit")
    add("--limit-concurrency", type=at_least(1), default=MANY, help="requests at a time, after which the answer is 503")
    add("--limit-connections", type=at_least(1), default=MANY, help="connections at a time, after which others wait")
    add("--max-header-size", type=at_least(8192), default=65536, help="bytes, default: %(default)s")
    add("--max-header-count", type=at_least(1), help="default: 100")
    add("--header-timeout", type=seconds, default="10", help="for the first request, default: %(default)s")
    add("--keep-alive-timeout", type=seconds, default="5", help="for each next one, default: %(default)s")
    add("--ws-max-size", type=at_least(1), default=16 * 1024 * 1024, help="bytes, default: %(default)s")
    add("--ws-ping-interval", type=seconds, default="20", help="0 sends none, default: %(default)s")
    add("--ws-ping-timeout", type=seconds, default="20", help="for a pong, default: %(default)s")
    add("--access-log", action="store_true", help="a line for each request")
    levels = ["debug", "info", "warning", "error", "critical"]
    add("--log-level", choices=levels, default="info", help="default: %(default)s")
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
