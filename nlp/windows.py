"""A text of any length as windows of a fixed size, and which window each character belongs to."""

from __future__ import annotations

from nlp.types import Window


def windows(document: int, length: int, size: int, overlap: int) -> list[Window]:
    """Cut `length` characters into windows of at most `size`, neighbours sharing `overlap`; none for an empty text.

    Each character is owned by the window where it sits farthest from an inner edge (a document's own ends are no
    edges), the earlier one on a tie: the border between two neighbours is the middle of what they share.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"an overlap of {overlap} with windows of {size}: expected 0 <= overlap < window")
    step = size - overlap
    starts = range(0, max(length - overlap, 1), step) if length else range(0)
    borders = [0, *(start + (overlap + 1) // 2 for start in starts[1:]), length]
    return [
        Window(document, start, min(start + size, length), borders[i], borders[i + 1]) for i, start in enumerate(starts)
    ]
