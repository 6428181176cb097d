"""What a command that is stopped says about how to go on."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def going_on(how: str) -> Iterator[None]:
    """Have whoever stops a command within this context learn how to go on.

    It begins before the command's folder is claimed, so that there is no moment at which a folder is there and a stop
    says nothing of it.

    Args:
        how: Full sentences.

    Raises:
        KeyboardInterrupt: The one that came, or a class made from it, with the sentences as its text.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise type(stop)(how) from stop
