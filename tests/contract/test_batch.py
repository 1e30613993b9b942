"""A batch on every backend: small programs, of which a part is wrong, answered as each alone would be."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from willitcompile.cli import run

if TYPE_CHECKING:
    from pathlib import Path

    from willitcompile.backends import Backend
    from willitcompile.model import Toolchain

RECORDS = 60


def test_a_batch_is_answered(backend: Backend, gcc: Toolchain, tmp_path: Path) -> None:
    kinds = {
        "good": ("int f(void) { return 0; }", "compiled"),
        "bad": ("int f(void) { return nothing; } // fake: exit 1", "rejected"),
        "endless": (
            "#if __INCLUDE_LEVEL__ < 150\n#include __FILE__\n#include __FILE__\n#endif\n// fake: hang",
            "timeout",
        ),
    }
    names = ["good" if number % 3 else "bad" for number in range(RECORDS)]
    names[30] = "endless"
    lines = [
        json.dumps({"id": number, "code": f"/* {number} */ {kinds[name][0]}", "group": name})
        for number, name in enumerate(names)
    ]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join([*lines[:7], "{", *lines[7:]]) + "\n")
    argv = ["batch", str(source), "-o", str(out), "-l", "c", "-c", gcc.name, "--no-cache", "--timeout", "2"]
    assert run(argv, lambda name, opening: backend) == 2
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(each["id"] for each in answers) == {**dict.fromkeys(range(RECORDS), 1), None: 1}
    for each in answers:
        if each["id"] is not None:
            [result] = each["results"]
            assert result["verdict"] == kinds[names[each["id"]]][1], result
            assert each["group"] == names[each["id"]]
            assert result["toolchain"] == gcc.name
