"""What is put around a block that is no whole source, by the section `documents` of the configuration."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import languages
from willitcompile.errors import ConfigError, UnknownLanguage

if TYPE_CHECKING:
    from collections.abc import Mapping


class Wrapper(NamedTuple):
    """Of one language."""

    before: str = ""
    after: str = ""
    every: bool = False
    """Whether it is for each block, and not only for those that call themselves a fragment."""


DEFAULTS: Mapping[str, Wrapper] = MappingProxyType(
    {
        "c": Wrapper("void fragment(void) {", "}"),
        "c++": Wrapper("void fragment() {", "}"),
        "go": Wrapper("func main() {", "}"),
        "rust": Wrapper(),  # it gets a function anyway, as rustdoc has it
    }
)


def wrappers(section: Mapping[str, object]) -> dict[str, Wrapper]:
    """By language. `section` is as it was read: {"c++": {"before": …, "after": …, "every": "true"}}.

    Raises ConfigError.
    """
    found = dict(DEFAULTS)
    for name, given in section.items():
        try:
            spoken = languages.language(name).name
        except UnknownLanguage as error:
            raise ConfigError(f"read the section documents: {name[:30]!r}", error.obstacle, error.remedy) from None
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            remedy = f"write for example {name}: {{before: '…', after: '…'}}"
            raise ConfigError(f"read the section documents.{name}", "it is not a mapping to text", remedy)
        for key in given:
            if key not in Wrapper._fields:
                raise ConfigError(
                    f"read the section documents.{name}",
                    "it has a key that we do not know",
                    f"use of {', '.join(Wrapper._fields)}",
                )
        every = given.get("every", "false")
        if every not in {"true", "false"}:
            raise ConfigError(f"read documents.{name}.every", "it is neither true nor false", "write every: true")
        found[spoken] = Wrapper(given.get("before", ""), given.get("after", ""), every == "true")
    return found
