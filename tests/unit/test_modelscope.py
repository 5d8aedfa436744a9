"""The strict reading of tags and ModelScope's, side by side; every row of the table in the core's page is decoded."""

from itertools import pairwise, product

import pytest
from readings import TAGS, both_readings, expanded, rows


def test_the_page_has_a_row_for_every_kind_of_difference():
    assert len(rows()) == 7


@pytest.mark.parametrize(("tags", "modelscope", "strict"), rows())
def test_both_decoders_read_tags_as_the_page_says(tags, modelscope, strict):
    [readings] = both_readings([expanded(tags)])
    assert readings == (modelscope, strict)
    assert modelscope != strict


def continues_nothing(before, tag):
    return tag[0] in "IE" and (before[0] not in "BI" or before[2:] != tag[2:])


def test_the_readings_differ_exactly_where_an_i_or_e_continues_nothing():
    sequences = [tags for length in range(1, 5) for tags in product(TAGS, repeat=length)]
    for tags, (modelscope, strict) in zip(sequences, both_readings(sequences), strict=True):
        orphaned = any(continues_nothing(before, tag) for before, tag in pairwise(("O", *tags)))
        assert (modelscope != strict) == orphaned, tags
