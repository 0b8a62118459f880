"""Parts changed behind matching hashes, read by every stage that reads them, in limited memory."""

from __future__ import annotations

from fuzz_parts import fuzzed
from reliability.outcome import Form, Result

MOST_BEYOND = 64 << 20
READ, REFUSED = "read", "refused"


def run(form: Form) -> Result:
    """Change and read parts, `form.count` times in all, in two processes: no signal, no hang, no
    exception that is none of ours, and memory up to twice the file and 64 MiB more."""
    told, result = fuzzed(form.world / "work", form.place, form.count, 2, form.seed), Result()
    result.inject("parts changed", form.count)
    endings = {name: told.outcomes[name] for name in (READ, REFUSED)}
    result.cases = sum(endings.values())
    foreign = {name: n for name, n in told.outcomes.items() if name not in endings}
    result.wrong += told.ended + [f"{n} times {name}" for name, n in foreign.items()]
    if told.beyond > MOST_BEYOND:
        result.wrong.append(f"a case took twice its file and {told.beyond >> 20} MiB")
    result.figures |= endings | {"MiB beyond twice the file": round(told.beyond / 2**20, 1)}
    return result
