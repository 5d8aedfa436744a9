"""Simplified to Traditional characters, one for one, by OpenCC's tables (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterable

from nlp.errors import TrainingError

_FORMS = ("s2tw", "s2hk", "s2t")  # as Taiwan, as Hong Kong, and as OpenCC write


class Scripts:
    """Converts texts without changing their length, so that offsets stay."""

    def __init__(self) -> None:
        try:
            from opencc import OpenCC
        except ModuleNotFoundError as error:
            raise TrainingError("Traditional variants need OpenCC: pip install 'raner-stream[train]'") from error
        self._forms = [OpenCC(form) for form in _FORMS]
        self._back = OpenCC("t2s")

    @property
    def forms(self) -> int:
        """How many Traditional forms there are."""
        return len(self._forms)

    def traditional(self, text: str, form: int) -> str:
        """Return a text in Traditional characters, chosen by words; one whose length would change, as it is.

        So is one with half of a surrogate pair, which OpenCC cannot read.
        """
        if any("\ud800" <= character <= "\udfff" for character in text):
            return text
        converted: str = self._forms[form].convert(text)
        return converted if len(converted) == len(text) else text

    def relatives(self, character: str) -> Iterable[str]:
        """Yield the character in the other script, in each form that has it as one character."""
        for converter in (self._back, *self._forms):
            other = converter.convert(character)
            if len(other) == 1 and other != character:
                yield other
