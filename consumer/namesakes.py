"""Packages of other distributions that bear our import names: what is imported might be theirs."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

import nlp
import schemas
from consumer.errors import SettingsError

DISTRIBUTION = "raner-stream"
_OURS = {"consumer", "nlp", "schemas"}
_RECORDED = re.compile(rf"^({'|'.join(sorted(_OURS))})(?:/|\.py,)", re.MULTILINE)  # in a distribution's list of files


def check() -> None:
    """Raise `SettingsError` when another distribution's package answers to one of our import names."""
    ours = Path(__file__).parent.parent
    for name, module in (("nlp", nlp), ("schemas", schemas)):
        if Path(str(module.__file__)).parent.parent != ours:
            raise SettingsError(
                f"the package {name!r} was imported from {module.__file__}, which is not {DISTRIBUTION}'s; "
                "uninstall what brought it, or run in an environment of its own"
            )
    for distribution in distributions():
        if (taken := _names(distribution)) and distribution.name != DISTRIBUTION:
            raise SettingsError(
                f"{distribution.name} also installs a package {', '.join(sorted(taken))}; uninstall it, or run in an "
                "environment of its own"
            )


def _names(distribution: Distribution) -> set[str]:
    """Return which of our names a distribution installs. Its files are not made paths: that takes a megabyte."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    return _OURS.intersection(declared or _RECORDED.findall(distribution.read_text("RECORD") or ""))
