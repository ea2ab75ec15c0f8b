"""``optical-ray``: its verbs, one module each, and the exit codes.

A module of this package with a function ``command`` is a verb of the module's name. What a verb needs is imported when
it is called, so that ``--help`` is fast.
"""

from __future__ import annotations

import pkgutil
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import typer

from optical_ray import cli
from optical_ray.study.lease import LeaseHeld
from optical_ray.types import InputError

DONE, TRIALS_FAILED, BAD_INPUT, LEASE_HELD = 0, 1, 2, 3

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They end a verb in order, with exit code 128 + the signal's number."""

app = typer.Typer(
    name="optical-ray",
    help="Which source languages help which low-resource target, by how much MAP, and is it significant?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

UsageError: Any = typer.BadParameter.__base__
"""What the parser raises; which package defines it depends on typer's version."""


def _add_verbs() -> None:
    for module in pkgutil.iter_modules(cli.__path__):
        if module.ispkg or module.name == "app":
            continue
        command = getattr(import_module(f"{cli.__name__}.{module.name}"), "command", None)
        if command is not None:
            app.command(module.name)(command)


_add_verbs()


def main() -> None:
    """Run a verb. What the user can correct is one message and exit code 2, without a traceback."""
    received = _stop_in_order()
    code: Any
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        _fail(error.format_message(), BAD_INPUT)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except LeaseHeld as error:
        _fail(str(error), LEASE_HELD)
    except (KeyboardInterrupt, typer.Abort):
        code = 128 + signal.SIGINT
    if code == 128 + signal.SIGINT:  # some versions of the parser return it, others raise
        number = received[0] if received else signal.SIGINT
        _fail("interrupted; all results are saved. Run the same command again to resume.", 128 + number)
    sys.exit(code if isinstance(code, int) else DONE)


def _stop_in_order() -> list[int]:
    """Turn stop signals into ``KeyboardInterrupt``; the list returned receives their numbers.

    SIGINT is set also if it is ignored, as it is in a command that a shell script starts with ``&``. An ignored SIGHUP
    stays ignored, as ``nohup`` asks.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    return received


def _fail(message: str, code: int) -> NoReturn:
    print(f"optical-ray: {message}", file=sys.stderr)
    sys.exit(code)
