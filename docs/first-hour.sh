#!/usr/bin/env bash
# Every command of the README, the quick start and the how-tos, in an environment with nothing but the
# wheel; what they print is compared with what the pages say. Five minutes at most.
#
#   docs/first-hour.sh              with the rankmill that is on the path
#   docs/first-hour.sh WHEEL        in a new environment, from the package index
#   PAGES='README.md' docs/…        some pages only; those of the tutorials need each other
#
# Commands are those of the blocks that begin with ```console, behind a `$`; a block of ```python is run
# too where a block of output follows it. A line of output stands for a line that has to be printed, in
# this order, where … stands for anything and blanks count as one; other lines may be printed between.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
if [ $# -gt 0 ]; then
  wheel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
  "${PYTHON:-python3}" -m venv "$away/env"
  # shellcheck disable=SC2086
  "$away/env/bin/python" -m pip -qq --disable-pip-version-check install --no-compile ${PIP_ARGS:-} \
    -c "$top/constraints.txt" "$wheel[demo]"
  export PATH="$away/env/bin:$PATH"
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false COLUMNS=200 NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$away/numba}"
unset PYTHONPATH
mkdir "$away/work"
cd "$away/work"
python - "$top" <<'PYTHON'
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

top = Path(sys.argv[1])
PAGES = [
    "README.md",
    "docs/index.md",
    "docs/explain/what-they-mean.md",
    "docs/tutorials/own-data.md",
    "docs/tutorials/which-negatives.md",
    "docs/tutorials/stored-scores.md",
    "docs/howto/unlabelled.md",
    "docs/howto/trainers.md",
]
PAGES = os.environ.get("PAGES", "").split() or PAGES
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n*```\n(.*?)^```\n)?", re.M | re.S)
began = time.monotonic()
count, wrong = 0, []


def steps(block):
    """Yield each command of a block with the lines that it should print."""
    command, said = [], []
    for line in block.splitlines():
        if command and (command[-1].endswith("\\") or open_heredoc(command)):
            command.append(line)
        elif line.startswith("$ "):
            if command:
                yield "\n".join(command), said
            command, said = [line[2:]], []
        else:
            said.append(line)
    if command:
        yield "\n".join(command), said


def open_heredoc(command):
    """Say whether a here-document of the command has not ended yet."""
    begun = re.search(r"<<'(\w+)'", command[0])
    return begun is not None and begun[1] not in command[1:]


def fits(said, line):
    parts = [re.escape(" ".join(part.split())) for part in said.split("…")]
    return re.search("^" + r"\s*.*\s*".join(parts) + "$", " ".join(line.split())) is not None


def missing(said, printed):
    """Return the first line that should have been printed and was not."""
    lines = iter(printed.splitlines())
    for one in filter(str.strip, said):
        if not any(fits(one, line) for line in lines):
            return one
    return None


def run(page, what, command, said, variables):
    global count
    count += 1
    start = time.monotonic()
    ended = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took = time.monotonic() - start
    lost = missing(said, ended.stdout)
    good = ended.returncode == 0 and lost is None
    print(f"{'ok  ' if good else 'BAD '} {took:5.1f} s  {page}  {what.splitlines()[0][:100]}", flush=True)
    if not good:
        why = f"exit {ended.returncode}" if ended.returncode else f"not printed: {lost}"
        wrong.append(f"{page}: {what}\n  {why}\n{ended.stdout}")


for page in PAGES:
    path = top / page
    variables = []
    for kind, block, output in BLOCK.findall(path.read_text(encoding="utf-8")):
        if kind == "python":
            if "import rankmill" in block and (output or "what-they-mean" in page):
                run(page, block, [sys.executable, "-c", block], output.splitlines(), [])
            continue
        for command, said in steps(block):
            if re.fullmatch(r"\w+=.*", command):
                variables.append(command)
                continue
            script = "\n".join(["set -e", *variables, command])
            run(page, command, ["bash", "-c", script], said, variables)

took = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
busy = used.ru_utime + used.ru_stime
print(f"{count} commands, {len(wrong)} wrong: {took:.0f} s, {busy:.0f} s of processor time")
if not count or wrong:
    sys.exit("\n\n".join(wrong))
PYTHON
