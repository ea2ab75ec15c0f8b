"""Runs where PLAID-X is installed, as ``colbert.py`` does: PLAID-X is a fork of it with the same modules."""

import dataclasses
import runpy
from pathlib import Path

made = dataclasses.dataclass


def dataclass(cls=None, /, **options):
    """PLAID-X 0.3.3 has defaults without a hash, which Python refuses from 3.11 on."""
    return (
        made(cls, **options, unsafe_hash=True) if getattr(cls, "__name__", "") == "DefaultVal" else made(cls, **options)
    )


dataclasses.dataclass = dataclass
runpy.run_path(str(Path(__file__).with_name("colbert.py")), run_name="__main__")
