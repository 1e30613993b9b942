"""The settings of `will-it-compile serve`: a table, as that of `willitcompile.config`, whose layers they have too.

In a file they stand in the section `serve`; what a compile is given stands where it does for `check`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import config
from willitcompile.config import (
    SERVICE_SECTION,
    Given,
    Setting,
    UnfitError,
    apply,
    from_environment,
    from_flags,
    parse_bytes,
    parse_one,
    parse_seconds,
    parse_word,
    parse_words,
)
from willitcompile.errors import ConfigError, RequestError
from willitcompile.model import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

EARLIER = {"port": "PORT", "queue-size": "QUEUE_SIZE"}
EARLIER_OF_CHECK = {"jobs": "MAX_WORKERS", "namespace": "NAMESPACE"}
"""By setting, the variable that the earlier will-it-compile had for it."""


class ServeSettings(NamedTuple):
    """All that can be set. See `SETTINGS` for what each is called outside."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 for any that is free."""
    queue_size: int = 1000
    """Compiles that may wait."""
    keep: float = 3600.0
    """Seconds for which a check is kept that is over."""
    keep_results: int = 10_000
    """Checks that are over, of which the last so many are kept."""
    keep_bytes: int = GIB
    """And of these so many bytes."""
    state: str = ""
    """The directory of queue and results; empty for the user's own."""
    rate_limit: float = 10.0
    """Checks a minute of one client, and so many at once; 0 for no limit."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks, whose X-Forwarded-For is believed."""
    tokens: str = ""
    """The file of who may ask; empty where everybody may."""
    cors_origin: str = "*"
    max_body: int = 8 * MIB
    header_timeout: float = 10.0
    """Seconds within which a request's head has to be sent, and `body_timeout` its body."""
    body_timeout: float = 30.0
    max_connections: int = 1000
    grace: float = 30.0
    """Seconds for which what runs may go on once the service is told to end."""
    log_format: str = "json"
    log_level: str = "info"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.strip().isascii() and text.strip().isdigit() and least <= int(text[:20]) <= most):
            raise UnfitError(f"it is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1_000_000:
        raise UnfitError("it is not a number of checks a minute, or 0 for no limit")
    return rate


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise UnfitError(f"it is none of {', '.join(words)}")
        return text

    return parse


def _origin(text: str) -> str:
    """As a browser sends it: a scheme, a host and perhaps a port."""
    if text != "*" and not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?", text):
        raise UnfitError("it is neither * nor one origin, in small letters and without a path")
    return text


def _path(text: str) -> str:
    return parse_one(text)[0]


def _proxies(text: str) -> tuple[str, ...]:
    from willitcompile.server.clients import Clients

    words = parse_words(text)
    try:
        Clients(words)
    except ValueError as error:
        raise UnfitError(str(error)) from None
    return words


def _setting(name: str, parse: Callable[[str], object], example: str) -> Setting:
    return Setting(name, name.replace("-", "_"), parse, example, section=SERVICE_SECTION)


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        _setting("host", parse_word, "::1"),
        _setting("port", _whole(0, 65_535), "8080"),
        _setting("queue-size", _whole(1, 1_000_000), "1000"),
        _setting("keep", parse_seconds, "1h"),
        _setting("keep-results", _whole(1, 10_000_000), "10000"),
        _setting("keep-bytes", parse_bytes, "1GiB"),
        _setting("state", _path, "/var/lib/will-it-compile"),
        _setting("rate-limit", _rate, "60"),
        _setting("trusted-proxies", _proxies, "10.0.0.0/8"),
        _setting("tokens", _path, "/etc/will-it-compile/tokens"),
        _setting("cors-origin", _origin, "https://example.org"),
        _setting("max-body", parse_bytes, "8MiB"),
        _setting("header-timeout", parse_seconds, "10"),
        _setting("body-timeout", parse_seconds, "30"),
        _setting("max-connections", _whole(1, 1_000_000), "1000"),
        _setting("grace", parse_seconds, "30"),
        _setting("log-format", _one_of("json", "text"), "json"),
        _setting("log-level", _one_of("debug", "info", "warning", "error"), "info"),
    )
}


def resolve(
    flags: Mapping[str, Sequence[str]],
    section: Mapping[str, object],
    file: str | None,
    environment: Mapping[str, str] = os.environ,
) -> ServeSettings:
    """Put the layers together; `section` is that of `file`.

    Raises ConfigError where the file or a variable is wrong, RequestError where a flag is.
    """
    settings = apply(ServeSettings(), _from_section(section, file or ""), ConfigError)
    settings = apply(settings, from_environment(environment, SETTINGS, EARLIER), ConfigError)
    settings = apply(settings, from_flags(flags, SETTINGS), RequestError)
    return settings if settings.state else settings._replace(state=_state(environment))


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Those that look like settings of ours and are none: a slip that would go unnoticed."""
    prefix = f"WIC_{SERVICE_SECTION.upper()}_"
    known = {setting.variable_name for setting in SETTINGS.values()}
    return sorted(name for name in environment if name.startswith(prefix) and name not in known)


def _from_section(section: Mapping[str, object], file: str) -> Iterator[Given]:
    for name, value in section.items():
        where = f"{file}: {SERVICE_SECTION}.{name}"
        if name not in SETTINGS:
            remedy = f"write {name} outside of it" if name in config.SETTINGS else f"use one of: {', '.join(SETTINGS)}"
            raise ConfigError(f"read {file}", f"the section {SERVICE_SECTION} has no {name!r}", remedy)
        setting = SETTINGS[name]
        remedy = f"write for example {name}: {{example}}"
        given = value if isinstance(value, list) else [value]
        values = [each for each in given if isinstance(each, str)]
        takes_many = isinstance(getattr(ServeSettings(), setting.field), tuple)
        if values != given or (len(values) > 1 and not takes_many):
            raise ConfigError(where, "it is not one word or number", remedy.format(example=setting.example))
        if values:
            yield Given(setting, values, where, remedy, quotable=False)


def _state(environment: Mapping[str, str]) -> str:
    """The XDG state directory, of this program."""
    home = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "will-it-compile")
