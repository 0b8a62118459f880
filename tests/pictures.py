"""What pictures really draw: where their texts lie."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def text_boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Where every text lies that is really drawn (ticks beyond the limits are not)."""
    canvas = FigureCanvasAgg(figure)
    texts: list[Text] = []
    draw = Text.draw

    def record(text: Text, renderer: Any, *args: Any, **options: Any) -> None:
        texts.append(text)
        draw(text, renderer, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", record)
        canvas.draw()
    said = {text: text.get_text() for text in texts if text.get_visible()}
    return [
        (words, t.get_window_extent(canvas.get_renderer())) for t, words in said.items() if words
    ]
