"""The parser of commands that train."""

import copy
import re
from argparse import ArgumentError
from typing import Any

import yaml
from jsonargparse import ArgumentParser


class CommandParser(ArgumentParser):
    """A parser whose help can be read, and that understands what earlier versions wrote."""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help text without the hundreds of classes that happen to be imported."""
        return re.sub(r",\s+known\s+subclasses:[^()]*\)", ")", super().format_help(*args, **kwargs))

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """Options as an earlier version wrote them, with the defaults of those that it did not have yet.

        Args:
            values: Plain sections. If they have options that are no more, they come back as they are.
        """
        exits, self.exit_on_error = self.exit_on_error, False
        try:
            parsed = self.parse_object(copy.deepcopy(values))  # which it changes where they lie
        except ArgumentError:
            return values
        finally:
            self.exit_on_error = exits
        completed = yaml.safe_load(self.dump(parsed, skip_unset=False))
        return {key: completed[key] for key in values}
