"""Whether a later standard of the same toolchain would accept what it has rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from willitcompile.model import CheckResult


def later_standard(rejected: CheckResult, standards: Sequence[str], accepts: Callable[[str], bool]) -> str | None:
    """The earliest of a toolchain's standards (oldest first) after that of a result that accepts; None for none.

    One compile tells that there is none: that at the newest. Else each further one halves what is left, which is right
    as long as all after one that accepts do so too; that the answer itself accepts was seen in any case. GNU's dialects
    take what ISO's do and more, so that they are asked; where ISO's takes it too, that is the answer.
    """
    if not _may_depend_on_it(rejected):
        return None
    later = list(standards[standards.index(rejected.standard) + 1 :])
    strict = {standard: standard.replace("gnu", "c", 1) for standard in later if standard.startswith("gnu")}
    later = [standard for standard in later if standard not in strict.values()]
    if not later or not accepts(later[-1]):
        return None
    low, high = 0, len(later) - 1
    while low < high:
        middle = (low + high) // 2
        if accepts(later[middle]):
            high = middle
        else:
            low = middle + 1
    found = later[high]
    iso = strict.get(found)
    return iso if iso and accepts(iso) else found


def _may_depend_on_it(rejected: CheckResult) -> bool:
    """Whether a standard can be the reason: all that it includes could be sent, and an error is in a file."""
    return not rejected.notes and any(each.severity == "error" and each.path for each in rejected.diagnostics)
