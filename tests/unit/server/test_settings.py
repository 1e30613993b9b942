from __future__ import annotations

import pytest

from willitcompile.config import resolve as resolve_check
from willitcompile.errors import ConfigError, RequestError
from willitcompile.model import MIB
from willitcompile.server.settings import EARLIER_OF_CHECK, SETTINGS, ServeSettings, resolve, unknown_variables

HOME = {"HOME": "/home/me"}


def test_each_setting_has_a_field_and_an_example_that_fits() -> None:
    assert {setting.field for setting in SETTINGS.values()} == set(ServeSettings._fields)
    for setting in SETTINGS.values():
        assert type(setting.parse(setting.example)) is type(getattr(ServeSettings(), setting.field))


def test_flags_go_before_variables_before_the_file_before_defaults() -> None:
    section = {"port": "1", "queue-size": "2", "keep": "3m"}
    environment = {**HOME, "WIC_SERVE_PORT": "4", "WIC_SERVE_QUEUE_SIZE": "5"}
    found = resolve({"port": ("6",)}, section, "wic.yaml", environment)
    assert (found.port, found.queue_size, found.keep, found.host) == (6, 5, 180.0, "127.0.0.1")


def test_the_variables_of_the_earlier_system_count_where_ours_are_not_set() -> None:
    earlier = {**HOME, "PORT": "9000", "QUEUE_SIZE": "7"}
    assert resolve({}, {}, None, earlier)[1:3] == (9000, 7)
    assert resolve({}, {}, None, {**earlier, "WIC_SERVE_PORT": "9001"}).port == 9001
    earlier = {"MAX_WORKERS": "3", "NAMESPACE": "builds"}
    found = resolve_check({}, environment=earlier, file="/dev/null", also=EARLIER_OF_CHECK)
    assert (found.jobs, found.namespace) == (3, "builds")
    assert resolve_check({}, environment=earlier, file="/dev/null").jobs is None


def test_an_error_names_the_variable_that_was_set() -> None:
    with pytest.raises(ConfigError, match="the variable PORT") as refused:
        resolve({}, {}, None, {**HOME, "PORT": "http"})
    assert "PORT=8080" in refused.value.remedy


def test_many_values_and_sizes() -> None:
    section = {"trusted-proxies": ["10.0.0.0/8", "::1"], "max-body": "2MiB"}
    found = resolve({}, section, "wic.yaml", HOME)
    assert (found.trusted_proxies, found.max_body) == (("10.0.0.0/8", "::1"), 2 * MIB)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "\u0661"),
        ("queue-size", "0"),
        ("rate-limit", "nan"),
        ("rate-limit", "-1"),
        ("trusted-proxies", "10.0.0.1/8"),
        ("trusted-proxies", "everybody"),
        ("log-format", "xml"),
        ("cors-origin", "example.org"),
        ("cors-origin", "https://a.org https://b.org"),
        ("cors-origin", "https://a.org/"),
        ("keep", "never"),
        ("max-body", "0"),
    ],
)
def test_a_wrong_value_is_refused_with_an_example(name: str, value: str) -> None:
    with pytest.raises(RequestError, match=name) as refused:
        resolve({name: (value,)}, {}, None, HOME)
    assert SETTINGS[name].example in refused.value.remedy


@pytest.mark.parametrize(
    "section", [{"prot": "1"}, {"port": {"a": "b"}}, {"port": ["1", "2"]}, {"port": None}, {"host": [["a"]]}]
)
def test_a_section_that_makes_no_sense_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"wic\.yaml"):
        resolve({}, section, "wic.yaml", HOME)


def test_a_setting_of_checks_in_the_section_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigError) as refused:
        resolve({}, {"jobs": "3"}, "wic.yaml", HOME)
    assert refused.value.remedy == "write jobs outside of it"


def test_a_variable_that_is_nearly_one_of_ours_is_noticed() -> None:
    environment = {"WIC_SERVE_TOKEN": "x", "WIC_SERVE_TOKENS": "y", "WIC_JOBS": "1"}
    assert unknown_variables(environment) == ["WIC_SERVE_TOKEN"]


def test_the_state_is_kept_where_xdg_says() -> None:

    assert resolve({}, {}, None, {**HOME, "XDG_STATE_HOME": "/var/x"}).state == "/var/x/will-it-compile"
    default = "/home/me/.local/state/will-it-compile"
    assert resolve({}, {}, None, {**HOME, "XDG_STATE_HOME": "relative"}).state == default
    assert resolve({"state": ("/srv",)}, {}, None, HOME).state == "/srv"
