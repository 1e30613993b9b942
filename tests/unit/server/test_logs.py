"""A line for each event, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.server import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGGERS = (None, logs.NAME, "uvicorn", "uvicorn.access", "uvicorn.error")

HOSTILE = [
    "a\nb",
    "\r2026-01-01T00:00:00.000Z info forged",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.c",
    "\x85 \u2028 \u2029",
    "\udcff\ud800",
    '"}\n{"forged": true',
    "=x y=z",
    "\x00",
    "",
]


@contextmanager
def logged(form: str, level: str = "info") -> Iterator[io.StringIO]:
    """What is logged within, with the loggers as they were put back afterwards."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.level, list(each.handlers), each.disabled) for each in loggers]
    stream = io.StringIO()
    try:
        loggers[0].handlers.clear()  # pytest's own
        logs.setup(form, level, stream)
        yield stream
    finally:
        for each, (old, handlers, disabled) in zip(loggers, before, strict=True):
            each.setLevel(old)
            each.handlers[:] = handlers
            each.disabled = disabled


def lines(form: str, log: Callable[[], object], level: str = "info") -> list[str]:
    with logged(form, level) as stream:
        log()
    return stream.getvalue().splitlines(keepends=True)


def one(log: Callable[[], object], level: str = "info") -> dict[str, Any]:
    (line,) = lines("json", log, level)
    found: dict[str, Any] = json.loads(line)
    return found


def test_json_is_one_object_a_line_with_its_fields() -> None:
    found = one(lambda: logs.say("answered", fields={"job": "5d0c", "seconds": 0.25, "number": 3, "cached": True}))
    moment = found.pop("time")
    assert moment.endswith("Z")
    assert len(moment) == len("2026-01-31T09:15:00.123Z")
    assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() < 60
    assert found == {
        "level": "info",
        "message": "answered",
        "job": "5d0c",
        "seconds": 0.25,
        "number": 3,
        "cached": True,
    }


def test_text_is_for_people() -> None:
    (line,) = lines("text", lambda: logs.say("answered", fields={"job": "5d0c", "source": "my file.c", "seconds": 0.1}))
    assert line.partition(" ")[2] == 'info answered job=5d0c source="my file.c" seconds=0.1\n'


def test_the_address_stands_in_its_line_as_it_is() -> None:
    (line,) = lines("text", lambda: logs.say("serving at http://127.0.0.1:8080"))
    assert line.endswith("info serving at http://127.0.0.1:8080\n")


def test_a_field_that_is_none_is_left_out() -> None:
    assert "standard" not in one(lambda: logs.say("x", fields={"standard": None}))


def test_the_standard_librarys_way_to_log_does_as_well() -> None:
    log = logging.getLogger("willitcompile.server.queue")
    assert one(lambda: log.info("took %d", 3, extra={"fields": {"job": "5d0c"}})) | {"time": ""} == {
        "time": "",
        "level": "info",
        "message": "took 3",
        "job": "5d0c",
    }


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", logs.FORMATS)
def test_hostile_text_stays_on_its_line_and_out_of_the_terminal(form: str, text: str) -> None:
    def log() -> None:
        logs.say(text, fields={"source": text})

    (line,) = lines(form, log)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert line.isascii()


@given(st.text(), st.text())
def test_json_gives_back_what_it_was_given(message: str, source: str) -> None:
    found = one(lambda: logs.say(message, fields={"source": source}))
    assert found["message"] == message
    assert found["source"] == source


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_no_text_breaks_a_line_of_text(message: str, source: str) -> None:
    (line,) = lines("text", lambda: logs.say(message, fields={"source": source, "end": 1}))
    assert not {unicodedata.category(character) for character in line[:-1]} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert line.endswith(" end=1\n")


def test_a_value_in_quotes_cannot_pass_for_a_field() -> None:
    (line,) = lines("text", lambda: logs.say("x", fields={"source": 'a.c" verdict=compiled b="'}))
    assert line.endswith(' source="a.c\\" verdict=compiled b=\\""\n')


@pytest.mark.parametrize("name", ["time", "level", "message"])
def test_a_field_does_not_replace_what_each_line_has(name: str) -> None:
    assert one(lambda: logs.say("x", fields={name: "forged"}))[name] != "forged"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"\xff", object(), {"a": 1}, [1], 10**400])
def test_any_value_is_valid_json(value: object) -> None:
    (line,) = lines("json", lambda: logs.say("x", fields={"value": value}))
    json.loads(line, parse_constant=pytest.fail)


def test_long_text_is_cut() -> None:
    found = one(lambda: logs.say("m" * 1_000_000, fields={"source": "s" * 1_000_000}))
    assert len(found["message"]) == len(found["source"]) == logs.MOST_CHARACTERS + 1


def test_a_traceback_is_a_field_of_json() -> None:
    found = one(lambda: logs.say("broke", logging.ERROR, raised=_raised("why\nforged")))
    assert found["level"] == "error"
    assert "ValueError: why\nforged" in found["exception"]


def test_a_traceback_in_text_cannot_pass_for_lines_of_the_log() -> None:
    first, *rest = lines("text", lambda: logs.say("broke", raised=_raised("why\n2026-01-01 forged\x1b[2J\r")))
    assert first.endswith("info broke\n")
    assert rest
    assert all(line.startswith("    ") and line[:-1].isprintable() for line in rest)


def _raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_librarys_warning_is_told_with_its_name_and_its_chatter_is_not() -> None:
    def log() -> None:
        logging.getLogger("urllib3").info("chatter")
        logging.getLogger("urllib3").warning("trouble")

    found = one(log)
    assert (found["message"], found["logger"]) == ("trouble", "urllib3")


def test_uvicorn_is_told_in_the_same_form() -> None:
    def log() -> None:
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("uvicorn.error").error("it broke")
        logging.getLogger("uvicorn.access").error("GET /?token=secret")

    assert one(log)["message"] == "it broke"
    assert len(lines("json", log, "debug")) == 2


def test_debug_is_told_only_where_it_is_asked_for() -> None:
    def log() -> None:
        logs.say("request", logging.DEBUG)

    assert not lines("json", log)
    assert one(log, "debug")["level"] == "debug"


def test_a_message_with_the_wrong_arguments_is_still_told() -> None:
    log, form = logging.getLogger(logs.NAME), "%d of %d"
    assert one(lambda: log.warning(form, "one"))["message"] == "%d of %d"


def test_setting_up_twice_does_not_tell_twice() -> None:
    with logged("json") as stream:
        logs.setup("json", "info", stream)
        logs.say("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_log_that_nobody_reads_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("json") as stream:
        stream.close()
        logs.say("lost")
    assert capsys.readouterr().err == ""
