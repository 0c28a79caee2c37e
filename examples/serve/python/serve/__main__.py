"""`python -m serve module:app`"""

import logging
import os
import sys

from . import arguments, worker
from ._serve import Listener
from .supervisor import Supervisor

log = logging.getLogger("serve.error")


def main():
    options = arguments.parse()
    set_up_logging(options.log_level)
    try:
        listener = Listener.unix(options.uds) if options.uds else Listener.tcp(options.host, options.port)
    except OSError as error:
        log.error("%s", error)
        return 1

    def serving(_worker=None):
        log.info("Serving on %s (Press CTRL+C to quit)", place(listener, "https" if options.tls_cert else "http"))

    try:
        if options.workers == 1:
            return worker.serve(options, listener, serving)
        serving()
        return Supervisor(options, listener).run()
    except worker.Failure as error:
        log.error("%s", error)
        return error.code
    finally:
        if options.uds:
            os.unlink(options.uds)


def place(listener, scheme):
    """Where a client finds the server."""
    host, port = listener.address
    if port is None:
        return f"unix socket {host}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class Formatter(logging.Formatter):
    """`INFO:     text`"""

    def format(self, record):
        record.levelprefix = f"{record.levelname}:".ljust(9)
        return super().format(record)


def set_up_logging(level):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(levelprefix)s %(message)s"))
    logger = logging.getLogger("serve")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
