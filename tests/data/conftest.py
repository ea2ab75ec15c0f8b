from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from optical_ray.types import InputError

OnlyInputErrors = Callable[..., AbstractContextManager[None]]


@contextmanager
def _only_input_errors(*places: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if not any(place in str(error) for place in places):
            raise AssertionError(f"the message names none of {places}: {error}") from error


@pytest.fixture(scope="session")
def only_input_errors() -> OnlyInputErrors:
    """A block that may only raise ``InputError``, with a message that contains one of the given texts."""
    return _only_input_errors


@pytest.fixture(scope="session")
def collected() -> Path:
    """The folder of collected multilingual texts next to the repository; skips the test if it does not exist."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the collected texts are not on this machine")
    return folder
