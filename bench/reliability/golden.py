"""Golden files: an artifact of every kind at this format version, read with its recorded root."""

from __future__ import annotations

import hashlib

from golden_files import GOLDEN_ROOTS, faults_of_golden, unpacked
from reliability.outcome import Form, Result

import rankmill.api  # noqa: F401  (it says what shows rows)
from rankmill.mining.errors import RankmillError


def run(form: Form) -> Result:
    """Read every golden artifact; they are all there is, whatever the form."""
    result, workspace = Result(), unpacked(form.place)
    for place in sorted(GOLDEN_ROOTS):
        result.cases += 1
        result.inject(f"artifacts of kind {place.partition('/')[0]}")
        try:
            faults = faults_of_golden(workspace, place)
        except RankmillError as error:
            faults = [str(error)]
        result.wrong += [f"{place}: {fault}" for fault in faults]
    said = sorted((place, told["root"]) for place, told in GOLDEN_ROOTS.items())
    result.roots = [hashlib.sha256(repr(said).encode()).hexdigest()]
    result.notes.append("the root hash is one over those of all golden artifacts")
    return result
