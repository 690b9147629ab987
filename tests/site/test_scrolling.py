"""What is wider than its place scrolls in a box that can be reached by keyboard and says what is in it."""

import re

from .conftest import Page


def test_every_box_that_scrolls_has_a_name_and_can_be_reached_by_keyboard(pages: list[Page]) -> None:
    boxes = [
        (page.where, box)
        for page in pages
        for box in re.findall(r'<[^>]+class="(?:[^"]* )?scroll[ "][^>]*>', page.text)
    ]
    assert len(boxes) > 5
    for where, box in boxes:
        assert 'tabindex="0"' in box, (where, box)
        assert 'role="region"' in box, (where, box)
        assert re.search(r'aria-label="[^"]+"', box), (where, box)
