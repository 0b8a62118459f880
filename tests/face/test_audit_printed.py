from __future__ import annotations

from typing import Any

from rankmill.cli.render import groups


def test_an_example_may_hold_more_than_texts(capsys: Any) -> None:
    # Of queries nearly equal in two splits, the example says whether they are equal: a flag.
    example = {"query": "a\nb", "overlap": 0.87654, "equal": True, "rank": 3}
    groups._print_values({"queries_nearly_equal": 1, "examples": [example]})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed[2:] == [
        ["query", "a", "b"],
        ["overlap", "0.8765"],
        ["equal", "True"],
        ["rank", "3"],
    ]


def test_examples_say_what_they_are_examples_of(capsys: Any) -> None:
    pair = [{"one": "a", "other": "b"}]
    for section, said in (
        ("suspects", "a negative that the teacher puts above its positive:"),
        ("copies", "two documents that are copies of each other:"),
        ("leakage", "a training query that is like a test query:"),
    ):
        groups._print_values({"examples": pair}, groups._EXAMPLES[section])
        assert capsys.readouterr().out.splitlines()[0].strip() == said
