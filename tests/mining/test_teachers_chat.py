"""Turns of a chat as a prompt, against what transformers renders; what has no template is told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from chat_models import CHATML, chat_lm

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.tokens import tokens_at_hand
from rankmill.mining.teachers import TEACHERS
from rankmill.mining.teachers.reading import Reading
from rankmill.mining.teachers.reading.chat import Chat

# As published templates are: trimmed content, macros, loop controls, generation marks, defaults.
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
MARKED = (
    "{% for m in messages %}\n"
    "    {% if m.role == 'tool' %}{% continue %}{% endif %}\n"
    "{{ m.role }}: {% generation %}{{ m.content }}{% endgeneration %}\n\n"
    "{% endfor %}"
    "{{ {'a': 'é'} | tojson }}|{{ eos_token }}|"
)
OPTIONAL = (
    "{% if tools is not none %}TOOLS{% endif %}{% if documents is not none %}DOCS{% endif %}"
    "{{ cls_token }}|{{ sep_token }}|{{ messages[0].content }}"
)
DATED = "{{ strftime_now('%d %b %Y') }} {{ messages[0].content }}"
DATED_OR_NOT = (
    "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}26 Jul 2024{% endif %}"
    " {{ messages[0].content }}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_lm(tmp_path_factory.mktemp("chat") / "m", begins="<bos>")


def model_with(folder: Path, template: str | None) -> ModelFolder:
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text())
    said.pop("chat_template", None)
    said |= {"cls_token": "<|im_start|>", "sep_token": "<|im_end|>"}
    path.write_text(json.dumps(said | ({"chat_template": template} if template else {})))
    return resolve(folder)


@pytest.mark.parametrize(
    ("template", "system"),
    [
        (CHATML, ""),
        (CHATML, "Judge {query}."),
        (GEMMA, ""),
        (MARKED, ""),
        (MARKED, "{query}"),
        (OPTIONAL, ""),
    ],
)
def test_turns_are_rendered_as_transformers_renders_them(
    folder: Path, template: str, system: str
) -> None:
    from transformers import AutoTokenizer

    model = model_with(folder, template)
    theirs = AutoTokenizer.from_pretrained(folder)
    user = "D: {document}" if system else "Q: {query}\nD: {document}\n"
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": user})
    wanted = theirs.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    chat = Chat(user, system, "<think>\n\n</think>\n\n")
    assert chat.prompt(model) == wanted + "<think>\n\n</think>\n\n"


TEXTS = ["", "warm", " \n warm?  ", "warm\n", "\tis it \u00a0", '"a" < b & {A}\n\n é', " \u3000"]


@pytest.mark.parametrize(
    ("template", "user", "system", "trimmed"),
    [
        (CHATML, "{query}\n{document}", "", ("", "")),
        (GEMMA, "Q: {query}\nD: {document}\n", "", ("", "right")),
        (GEMMA, "{document}\n{query}", "", ("right", "left")),
        (GEMMA, "{query}\n{document}\nRelevant?", "", ("left", "")),
        ("{% for m in messages %}[{{ m.content.strip() }}]{% endfor %}", "{document}", "{query}",
         ("both", "both")),
    ],
)  # fmt: skip
def test_texts_at_the_ends_of_a_turn_are_read_as_transformers_reads_them(
    folder: Path, template: str, user: str, system: str, trimmed: tuple[str, str]
) -> None:
    """Many templates take blanks and line ends off the ends of what a turn says."""
    from transformers import AutoTokenizer

    model = model_with(folder, template)
    theirs, tokenizer = AutoTokenizer.from_pretrained(folder), model.tokenizer()
    said = TEACHERS.member("causal_lm")(
        str(folder), user=user, system=system or None, yes="yes", no="no", max_length=200
    )
    reading = Reading.of(said.asked(model), model)
    assert reading.trimmed == trimmed
    one = np.zeros(1, np.int64)
    for query, doc in itertools.product(TEXTS, TEXTS):
        if not query.strip() or not doc.strip():
            continue  # such documents are never mined
        asked = tokens_at_hand([query], model, **reading.way("queries"))
        told = tokens_at_hand([doc], model, **reading.way("corpus"))
        texts = {"{query}": query, "{document}": doc}
        turns = [("system", system)] * bool(system) + [("user", user)]
        whole = theirs.apply_chat_template(
            [{"role": role, "content": filled(turn, texts)} for role, turn in turns],
            tokenize=False,
            add_generation_prompt=True,
        )
        wanted = tokenizer.encode(whole, add_special_tokens=False).ids
        found = reading.sequences(asked, told, one, one).ids(0).tolist()
        assert tokenizer.decode(found, skip_special_tokens=False) == tokenizer.decode(
            wanted, skip_special_tokens=False
        )


def filled(turn: str, texts: dict[str, str]) -> str:
    for field, text in texts.items():
        turn = turn.replace(field, text)
    return turn


def test_a_template_that_trims_makes_other_scores_than_one_that_does_not(folder: Path) -> None:
    asked = TEACHERS.parse(
        f'causal_lm(model="{folder}",user="{{query}} {{document}}",yes=yes,no=no)'
    )
    plain = model_with(folder, CHATML)
    assert Reading.of(asked.asked(plain), plain).declared == {}
    cut = model_with(folder, CHATML.replace("message.content", "message.content | trim"))
    assert Chat("{query} {document}").prompt(cut) == Chat("{query} {document}").prompt(plain)
    declared = Reading.of(asked.asked(cut), cut).declared
    assert declared == {"trimmed": "query left, document right"}


@pytest.mark.parametrize(
    "change", ["tojson", "e", "replace('\n', ' ')", "trim('.') | replace('  ', ' ')", "title"]
)
def test_a_template_that_changes_texts_is_refused(folder: Path, change: str) -> None:
    """Its prompt was rendered with {query} and {document} alone, which it may leave as they are."""
    template = f"{{% for m in messages %}}[{{{{ m.content | {change} }}}}]{{% endfor %}}"
    asked = TEACHERS.parse(
        f'causal_lm(model="{folder}",user="{{query}}{{document}}",yes=yes,no=no)'
    )
    said = "chat template changes the text that stands for {query}|names no field"
    with pytest.raises((BadInput, UsageError), match=said):
        asked.asked(model_with(folder, template))


def test_a_template_may_stand_in_a_file_of_its_own_or_among_several(folder: Path) -> None:
    plain = model_with(folder, None)
    beside = folder / "chat_template.jinja"
    beside.write_text("file {{ messages[0].content }}")
    try:
        assert Chat("{query}{document}").prompt(plain) == "file {query}{document}"
    finally:
        beside.unlink()
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text())
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "yes {{ 1 }}"}]
    path.write_text(json.dumps(said | {"chat_template": named}))
    assert Chat("").prompt(resolve(folder)) == "yes 1"
    assert Chat("", template="own {{ eos_token }}").prompt(resolve(folder)) == "own <|im_end|>"


def test_no_score_depends_on_the_day(folder: Path) -> None:
    with pytest.raises(BadInput, match="cannot be rendered: 'strftime_now' is undefined"):
        Chat("x").prompt(model_with(folder, DATED))
    assert Chat("x").prompt(model_with(folder, DATED_OR_NOT)) == "26 Jul 2024 x"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "no chat template .*prompt=…, or give template=…"),
        (GEMMA, "System role not supported"),
        ("{% for", "cannot be rendered"),
        ("{{ messages[9].content.x }}", "cannot be rendered"),
        ("{{ ''.__class__.__mro__ }}", "cannot be rendered: .*unsafe"),
        ("{{ messages.append(1) }}", "cannot be rendered: .*unsafe|not safely callable"),
    ],
)
def test_what_cannot_be_rendered_is_told(folder: Path, template: str | None, said: str) -> None:
    with pytest.raises(BadInput, match=f"(?s){said}"):
        Chat("{query}{document}", "system").prompt(model_with(folder, template))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('prompt="{query}{document}",user=x', "prompt= and user= are both given"),
        ("system=x", "system= needs a user turn"),
        ('assistant=x,template="{{ 1 }}"', "assistant, template= needs a user turn"),
        ('user="{query}"', "names query"),
        ('user="{query}{document}",system="{query}"', "names query, query, document"),
        ('user="{query}{document}",instruction=x', "{instruction} 0 times"),
        ('user="{instruction}{query}{document}"', "{instruction} 1 times"),
        ('prompt="{instruction}{query}{document}",instruction="{query}"', "names a field"),
        ("yes=[],no=no", "yes has no spelling"),
        ("no=[]", "no has no spelling"),
        ('yes=[a,""]', "yes names an empty word"),
        ("yes=[a,b,a]", "yes names 'a' twice"),
        ("yes=[a,b],no=[c,b]", "yes and no are the same word: 'b'"),
    ],
)
def test_what_no_model_could_use_is_refused_before_any_work(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TEACHERS.parse(f"causal_lm(model=m,{text})")


@pytest.mark.parametrize(
    "text",
    [
        'causal_lm(model=m,yes=[yes,Yes," yes"],no=none,compute=float32)',
        'causal_lm(model=m,yes=["1",one],no="0",max_length=64,compute=float32)',
        'causal_lm(model=m,yes=a,no=b,compute=float32,system="s {query}",'
        'user="u {document}",assistant="<think>\\n\\n</think>",query_length=9,apart=true)',
    ],
)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    value = TEACHERS.parse(text)
    assert str(value) == text
    assert TEACHERS.stored(text) == value


def test_one_spelling_in_a_list_is_that_word() -> None:
    assert TEACHERS.parse("causal_lm(model=m,yes=[a])") == TEACHERS.parse(
        "causal_lm(model=m,yes=a)"
    )
    assert type(TEACHERS.parse("seq2seq(model=m,yes=1,no=0)").yes) is str
