"""`python -m serve module:app`"""

import logging
import os
import sys

from . import arguments, worker
from ._serve import Listener
from .supervisor import Supervisor


def main():
    options = arguments.parse()
    set_up_logging(options.log_level)
    try:
        listener = Listener.unix(options.uds) if options.uds else Listener.tcp(options.host, options.port)
    except OSError as error:
        worker.fail(error)
    try:
        if options.workers > 1:
            return Supervisor(options, listener).run()
        return worker.serve(options, listener)
    finally:
        if options.uds:
            os.unlink(options.uds)


class Formatter(logging.Formatter):
    """`INFO:     text`"""

    def format(self, record):
        return f"{record.levelname + ':':9} {super().format(record)}"


def set_up_logging(level):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    logger = logging.getLogger("serve")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
