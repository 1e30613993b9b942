"""What schemathesis is told about this API that its document cannot say. Loaded by schemathesis itself.

By the document alone nearly every check that it makes up is refused, rightly: no such toolchain, no source among the
files. So every second one is given what can be checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import schemathesis

if TYPE_CHECKING:
    from schemathesis import Case, CheckContext, HookContext, Response

SUBMIT = ("POST", "/api/v2/checks")

SAYINGS = (
    "",
    "// fake: exit 1\n// fake: stderr f0.c:1:5: error: expected ';' [-Wsyntax]\n",
    "// fake: crash 11\n",
    "// fake: allocate 99999999999\n",
    "// fake: flood stderr\n",
    "// fake: hang\n",
)
"""One for each verdict."""

_turn = 0


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    global _turn  # noqa: PLW0603 - schemathesis gives its hooks no place of their own
    if (case.method, case.path) != SUBMIT or not _is_valid(case) or not isinstance(case.body, dict):
        return
    _turn += 1
    if _turn % 2:
        body: dict[str, Any] = case.body
        files = body["files"].values()
        sayings = [SAYINGS[(_turn + number) % len(SAYINGS)] for number in range(len(files))]
        kept = {name: body[name] for name in ("link", "priority", "wait") if name in body}
        case.body = {
            **kept,
            "files": {
                f"f{number}.c": f"{saying}{file}" if isinstance(file, str) else {"base64": "aW50IGk7Cg=="}
                for number, (saying, file) in enumerate(zip(sayings, files, strict=True))
            },
            "limits": {"wall_seconds": 0.2},
        }


@schemathesis.check
def valid_data_is_taken_or_refused_with_its_reason(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """What fits the document is either taken, or refused for what it asks, by an error in its three parts."""
    if _is_valid(case) and response.status_code == 400:
        assert {"message", "asked", "obstacle", "remedy"} == response.json().keys(), response.text


def _is_valid(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
