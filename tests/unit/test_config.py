from __future__ import annotations

import doctest
import os
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from willitcompile import config
from willitcompile.config import CLUSTER, SETTINGS, Settings, UnfitError, files, resolve
from willitcompile.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = {"color": "never", "link": "true", "language": "c", "include": "headers"}
"""Where the table's own example is the default or needs something more."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, which looks like the root of a repository."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(flags: dict[str, tuple[str, ...]] | None = None, **environment: str) -> Settings:
    return resolve(flags or {}, environment=environment)


def test_without_anything_the_defaults_hold() -> None:
    assert settings() == Settings()


def test_each_layer_overrides_the_one_below(project: Path) -> None:
    (project / "willitcompile.yaml").write_text("timeout: 10\nmemory: 1G\nstd: c++14\n")
    assert settings().timeout == 10
    assert settings(WIC_TIMEOUT="20").timeout == 20
    resolved = settings({"timeout": ("40",)}, WIC_TIMEOUT="20", WIC_STD="c++17")
    assert (resolved.timeout, resolved.memory, resolved.standards) == (40, 2**30, ("c++17",))


def test_an_empty_variable_is_an_unset_one() -> None:
    assert settings(WIC_TIMEOUT="", WIC_COMPILER="") == Settings()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_set_in_yaml_toml_and_by_flag_to_the_same(project: Path, name: str) -> None:
    value = EXAMPLES.get(name, SETTINGS[name].example)
    flag = settings({name: (value,)})
    assert flag != Settings()
    (project / "pyproject.toml").write_text(f'[tool.willitcompile]\n{name} = "{value}"\n')
    by_name_alone = name in {*CLUSTER, "cache-size", "shared-cache"}
    toml = resolve({}, environment={}, file="pyproject.toml" if by_name_alone else None)
    (project / "willitcompile.yaml").write_text(f"{name}: {value}\n")
    yaml = resolve({}, environment={}, file="willitcompile.yaml" if by_name_alone else None)
    for resolved, file in ((toml, "pyproject.toml"), (yaml, "willitcompile.yaml")):
        assert getattr(resolved, SETTINGS[name].field) == getattr(flag, SETTINGS[name].field)
        assert resolved.options == flag.options
        assert resolved.file == file


@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name].variable])
def test_every_setting_with_a_variable_can_be_set_by_it(name: str) -> None:
    value = EXAMPLES.get(name, SETTINGS[name].example)
    assert settings(**{SETTINGS[name].variable_name: value}) == settings({name: (value,)})


def test_settings_name_fields_that_exist() -> None:
    assert {setting.field for setting in SETTINGS.values()} <= set(Settings._fields)


def test_definitions_and_the_like_add_up_and_the_command_line_comes_last(project: Path) -> None:
    (project / "willitcompile.yaml").write_text("define: [A, B=1]\nwarning: [all, -Wextra]\ncompiler: [gcc, clang]\n")
    resolved = settings({"define": ("C",), "warning": ("error=x",), "compiler": ("gcc-12",)})
    assert resolved.defines == ("A", "B=1", "C")
    assert resolved.warnings == ("-Wall", "-Wextra", "-Werror=x")
    assert resolved.compilers == ("gcc-12",)


def test_compilers_and_standards_are_lists_by_commas_and_by_repeating() -> None:
    resolved = settings({"compiler": ("gcc-12, clang", "go"), "std": ("c++17,c++20",)})
    assert resolved.compilers == ("gcc-12", "clang", "go")
    assert resolved.standards == ("c++17", "c++20")


def test_a_standard_may_be_spelled_as_compilers_do() -> None:
    assert settings({"std": ("td=c++20",)}).standards == ("c++20",)  # -std=c++20


class TestFinding:
    def test_the_nearest_file_above_is_used(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (project / "a/b").mkdir(parents=True)
        (project / "willitcompile.yaml").write_text("jobs: 1\n")
        monkeypatch.chdir(project / "a/b")
        resolved = settings()
        assert (resolved.jobs, resolved.file) == (1, "../../willitcompile.yaml")
        (project / "a/willitcompile.yaml").write_text("jobs: 2\n")
        assert settings().jobs == 2

    def test_nothing_above_a_repository_or_home_is_read(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = project / "home/repository/src"
        inner.mkdir(parents=True)
        monkeypatch.chdir(inner)
        (project / "home/willitcompile.yaml").write_text("jobs: 3\n")
        assert settings().jobs == 3
        (project / "home/repository/.git").mkdir()
        assert settings().jobs is None
        (project / "home/repository/.git").rmdir()
        (project / "home/willitcompile.yaml").rename(project / "willitcompile.yaml")
        assert settings().jobs == 3
        assert settings(HOME=str(project / "home")).jobs is None

    @pytest.mark.parametrize(
        "text",
        [
            "[project\n",  # not even TOML, but none of our business
            'packages = ["willitcompile"]\n',
            '[tool.ruff]\n"willitcompile/**" = ["X"]\nlayers = [\n  "willitcompile.cli",\n]\n# willitcompile = 3\n',
        ],
    )
    def test_a_pyproject_without_us_does_not_count(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        (project / "willitcompile.yaml").write_text("jobs: 1\n")
        (project / "inner").mkdir()
        (project / "inner/pyproject.toml").write_text(text)
        monkeypatch.chdir(project / "inner")
        assert settings().jobs == 1

    @pytest.mark.parametrize(
        "text",
        [
            "[tool.willitcompile]\njobs = 2\n",
            "\t[ tool . 'willitcompile' ]\njobs = 2\n",
            '["tool"."willitcompile"]\njobs = 2\n',
            "[tool]\nwillitcompile = {jobs = 2}\n",
            "[tool]\nwillitcompile.jobs = 2\n",
            "tool.willitcompile.jobs = 2\n",
            "tool = {willitcompile = {jobs = 2}}\n",
        ],
    )
    def test_a_pyproject_counts_however_it_writes_our_table(self, project: Path, text: str) -> None:
        (project / "pyproject.toml").write_text(text)
        assert settings().jobs == 2

    def test_our_own_file_goes_before_pyproject(self, project: Path) -> None:
        (project / "willitcompile.yaml").write_text("jobs: 1\n")
        (project / "pyproject.toml").write_text("[tool.willitcompile]\njobs = 2\n")
        assert settings().jobs == 1

    def test_a_named_file_is_used_instead(self, project: Path) -> None:
        (project / "willitcompile.yaml").write_text("jobs: 1\n")
        (project / "other.toml").write_text("[tool.willitcompile]\ncpus = 2\n")
        resolved = resolve({}, environment={}, file="other.toml")
        assert (resolved.jobs, resolved.cpus, resolved.file) == (None, 2, "other.toml")
        assert resolve({}, environment={}, file="/dev/null").jobs is None

    def test_a_deleted_current_directory_is_no_obstacle(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = project / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        try:
            assert settings() == Settings()
        finally:
            os.chdir(project)

    @pytest.mark.parametrize("name", ["willitcompile.yaml", "pyproject.toml"])
    @pytest.mark.parametrize("kind", ["pipe", "directory", "nowhere", "/etc/passwd", "/dev/zero"])
    def test_what_is_no_file_of_its_directory_is_passed_over_but_wrong_if_named(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
    ) -> None:
        (project / "willitcompile.yaml").write_text("jobs: 1\n")
        (project / "inner").mkdir()
        path = project / "inner" / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to(kind)
        monkeypatch.chdir(project / "inner")
        resolved = settings()
        assert resolved.jobs == 1
        # What cannot be read does not mention us.
        assert [note.partition(" ")[0] for note in resolved.notes] == ([name] if name == "willitcompile.yaml" else [])
        with pytest.raises(ConfigError) as caught:
            resolve({}, environment={}, file=name)
        assert "root" not in str(caught.value) + caught.value.remedy

    def test_a_link_that_stays_in_its_directory_is_followed_and_one_that_is_named(self, project: Path) -> None:
        (project / "settings.yaml").write_text("jobs: 1\n")
        (project / "willitcompile.yaml").symlink_to("settings.yaml")
        assert settings().jobs == 1
        (project / "inner").mkdir()
        (project / "inner/link.yaml").symlink_to("../settings.yaml")
        assert resolve({}, environment={}, file="inner/link.yaml").jobs == 1

    def test_a_file_that_everybody_can_write_to_is_not_read_unless_named(self, project: Path) -> None:
        path = project / "willitcompile.yaml"
        path.write_text("jobs: 1\n")
        path.chmod(0o666)
        assert settings().jobs is None
        assert "can be written to by everybody" in settings().notes[0]
        assert resolve({}, environment={}, file="willitcompile.yaml").jobs == 1

    def test_a_large_pyproject_without_us_does_not_count(self, project: Path) -> None:
        (project / "pyproject.toml").write_text("#" * 3 * 2**20)
        assert settings() == Settings()

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
    def test_the_file_of_another_user_is_not_read_unless_named(self, project: Path) -> None:
        path = project / "willitcompile.yaml"
        path.write_text("jobs: 1\n")
        os.chown(path, 12345, 12345)
        resolved = settings()
        assert resolved.jobs is None
        assert "belongs to another user" in resolved.notes[0]
        assert resolve({}, environment={}, file="willitcompile.yaml").jobs == 1


YAML_ERRORS = {
    "compilr: gcc": (1, "unknown setting 'compilr'; did you mean compiler?"),
    "jobs: 1\n\nxyzzy: 1": (3, "unknown setting 'xyzzy'"),
    "std: c++17\ntimeout: -5": (2, "timeout cannot be so: it is not a time"),
    "timeout: .nan": (1, "timeout cannot be so: it is not a time"),
    "memory: 0": (1, "memory cannot be so: it must be"),
    "link: perhaps": (1, "link cannot be so: it is neither"),
    "root:*:19000:0:99999:7:::": (1, "unknown setting"),
    "memory: 900000G": (1, "memory can be at most "),
    "timeout: 24h": (1, "timeout can be at most 1h"),
    "jobs: 1024": (1, "jobs can be at most "),
    "max-output: 1G": (1, "max-output can be at most 16MiB"),
    "# first\ncompiler: [gcc\nstd: x": (3, "it is not YAML"),
    "jobs: 1\n\tstd: x": (2, "it is not YAML"),
    "jobs: 1\njobs: 2": (2, "jobs is set twice"),
    "jobs: [1, 2]": (1, "jobs takes one value"),
    "compiler: {gcc: 12}": (1, "compiler is neither"),
    "compiler: [[gcc]]": (1, "compiler is neither"),
    "std: &a x\ncompiler: *a": (2, "compiler is neither"),
    "<<: {jobs: 1}": (1, "unknown setting"),
    "just a word": (1, "not a list of settings"),
    "- gcc": (1, "not a list of settings"),
    "? [a]\n: b": (1, "the name of a setting is a word"),
    "jobs: 1\n---\njobs: 2": (2, "a second document"),
    "jobs: 1\nstd: \x00": (2, "it is not YAML"),
    'jobs: 1\nstd: "a\\0b"': (2, "NUL"),
    "jobs: 1\nstd: \udcff": (2, "UTF-8"),
    "include: ../elsewhere": (1, "not below the configuration file"),
    "include: [/etc]": (1, "not below the configuration file"),
    "std: ''": (1, "it is empty"),
    "std: " + "[" * 500: (1, "std is neither"),
}


@pytest.mark.parametrize("text", YAML_ERRORS, ids=repr)
def test_what_is_wrong_with_yaml_is_told_with_its_line(project: Path, text: str) -> None:
    line, obstacle = YAML_ERRORS[text]
    (project / "willitcompile.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        settings()
    assert caught.value.asked == f"willitcompile.yaml:{line}"
    assert obstacle in caught.value.obstacle
    assert caught.value.remedy
    assert caught.value.exit_code == 2


def test_a_named_file_flags_and_variables_are_not_bounded(project: Path) -> None:
    (project / "other.yaml").write_text("timeout: 24h\n")
    assert resolve({}, environment={}, file="other.yaml").timeout == 86_400
    assert settings({"timeout": ("24h",)}).timeout == settings(WIC_TIMEOUT="24h").timeout == 86_400


@pytest.mark.parametrize(
    "text",
    [
        "SECRET:*:19000:0:99999:7:::",
        "SECRET",
        "timeout: SECRET",
        "include: /SECRET",
        "%TAG !SECRET! x\n",
        "std: !SECRET!x y",
        "std: *SECRET",
        '"SECRET',
        "SECRET: [",
        "jobs: 1\n---\nSECRET",
    ],
)
@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
def test_an_error_shows_nothing_of_a_file_but_names(
    project: Path, monkeypatch: pytest.MonkeyPatch, text: str, parser: str
) -> None:
    monkeypatch.setattr("yaml.CSafeLoader", getattr(yaml, parser))
    (project / "willitcompile.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings()
    assert "SECRET" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "text", ["std = 'SECRET", "jobs = 'SECRET'", "[x.SECRET]\n[x.SECRET]", "SECRET.a = 1\nSECRET = 2", "SECRET"]
)
def test_nor_does_an_error_in_toml(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.willitcompile]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        settings()
    assert "SECRET" not in str(caught.value) + caught.value.remedy


def test_a_yaml_tag_makes_nothing_but_text(project: Path) -> None:
    (project / "willitcompile.yaml").write_text("std: !!python/name:os.system x\n")
    assert settings().standards == ("x",)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "compiler:\n", "compiler: []\n", "\ufeff"])
def test_yaml_that_says_nothing_sets_nothing(project: Path, text: str) -> None:
    (project / "willitcompile.yaml").write_text(text)
    assert settings() == Settings(file="willitcompile.yaml")


def test_yaml_values_are_what_was_typed(project: Path) -> None:
    (project / "willitcompile.yaml").write_text("std: [17, 1:30, 0x10, yes]\nlink: on\n")
    assert settings().standards == ("17", "1:30", "0x10", "yes")
    assert settings().link is True


def section_of(text: str, name: str = "named.yaml") -> dict[str, object]:
    """What a file that was named has in its section."""
    with open(name, "w") as file:
        file.write(text)
    return dict(resolve({}, environment={}, file=name).options["kubernetes"])


class TestSection:
    def test_is_the_same_plain_data_in_yaml_and_toml(self, project: Path) -> None:
        yaml = section_of(
            "std: c17\nkubernetes:\n  cpu: 0.5\n  memory: 512Mi\n  pods: 4\n  warm: {enabled: true}\n"
            "  tolerations:\n  - key: a\n    operator: Exists\n  - {key: b}\n"
        )
        toml = section_of(
            "[tool.willitcompile.kubernetes]\ncpu = 0.5\nmemory = '512Mi'\npods = 4\nwarm.enabled = true\n"
            "tolerations = [{key = 'a', operator = 'Exists'}, {key = 'b'}]\n",
            "named.toml",
        )
        assert yaml == toml
        assert yaml == {
            "cpu": "0.5",
            "memory": "512Mi",
            "pods": "4",
            "warm": {"enabled": "true"},
            "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b"}],
        }

    def test_keeps_what_was_typed_and_tells_nothing_from_an_empty_word(self) -> None:
        section = section_of("kubernetes: {cpu: 0.50, memory: 1_0, a: ~, b: null, c: , d: '', e: 'null', f: no}\n")
        assert section == {
            "cpu": "0.50", "memory": "1_0", "a": None, "b": None, "c": None, "d": "", "e": "null", "f": "no"
        }  # fmt: skip

    def test_may_be_empty(self) -> None:
        assert section_of("kubernetes:\n") == section_of("kubernetes: {}\n") == {}

    def test_is_nobodys_where_nothing_says_it(self) -> None:
        assert settings().options == {}

    @pytest.mark.parametrize(
        "text",
        [
            "kubernetes:\n",
            "kubernetes: {}\n",
            "kubernetes: {namespace: x}\n",
            "context: x\n",
            "namespace: x\n",
            "backend: kubernetes\n",
            'backend: " kubernetes"\n',
            'backend: ["kubernetes\\u00a0"]\n',
        ],
    )
    def test_of_a_file_that_was_only_found_is_refused(self, project: Path, text: str) -> None:
        (project / "willitcompile.yaml").write_text("std: c17\n" + text)
        with pytest.raises(ConfigError) as caught:
            settings()
        assert caught.value.asked == "willitcompile.yaml:2"
        assert caught.value.obstacle == (
            "a file that was found, not named, may not say where in a cluster compiles run"
        )
        assert caught.value.remedy == "name it: --config willitcompile.yaml"
        assert resolve({}, environment={}, file="willitcompile.yaml").standards == ("c17",)

    @pytest.mark.parametrize(
        "text",
        [
            "[tool.willitcompile.kubernetes]\nnamespace = 'x'\n",
            "[tool.willitcompile]\nkubernetes = {}\n",
            "tool.willitcompile.kubernetes.namespace = 'x'\n",
            "[tool.willitcompile]\n'context' = 'x'\n",
        ],
    )
    def test_of_a_pyproject_that_was_only_found_is_refused(self, project: Path, text: str) -> None:
        (project / "pyproject.toml").write_text(text)
        with pytest.raises(ConfigError, match="found, not named"):
            settings()

    def test_options_and_variables_go_over_what_it_says(self, project: Path) -> None:
        (project / "named.yaml").write_text("kubernetes: {context: a, namespace: a, pods: 3}\n")

        def options(flags: dict[str, tuple[str, ...]], **environment: str) -> object:
            return resolve(flags, environment=environment, file="named.yaml").options["kubernetes"]

        assert options({}) == {"context": "a", "namespace": "a", "pods": "3"}
        assert options({}, WIC_NAMESPACE="b") == {"context": "a", "namespace": "b", "pods": "3"}
        both = options({"namespace": ("c",), "context": ("arn:aws:eks:eu-west-1:1:cluster/x",)}, WIC_NAMESPACE="b")
        assert both == {"context": "arn:aws:eks:eu-west-1:1:cluster/x", "namespace": "c", "pods": "3"}
        assert settings(WIC_CONTEXT="d").options == {"kubernetes": {"context": "d"}}

    @pytest.mark.parametrize(
        ("text", "line", "obstacle"),
        [
            ("kubernetes: builds", 1, "kubernetes is not a mapping"),
            ("kubernetes: [builds]", 1, "kubernetes is not a mapping"),
            ("kubernetes: *a", 1, "kubernetes is not a mapping"),
            ("kubernetes:\n  a: &x 1\n  b: 2", 2, "anchor"),
            ("kubernetes: &x {a: 1}", 1, "anchor"),
            ("kubernetes:\n  a: 1\n  b: *SECRET", 3, "alias"),
            ("kubernetes:\n  a: 1\n  &x b: 2", 3, "a word"),
            ("kubernetes:\n  a: 1\n  *x : 2", 3, "a word"),
            ("kubernetes:\n  a: 1\n  [b]: 2", 3, "a word"),
            ("kubernetes:\n  SECRET: 1\n  SECRET: 2", 3, "set twice"),
            ("kubernetes: {}\nkubernetes: {}", 2, "kubernetes is set twice"),
            ("namespace: a\nkubernetes: {namespace: a}", 1, "namespace is set twice"),
            ("kubernetes:\n  a: " + "[" * 100_000, 2, "nests more than 8 deep"),
            ("kubernetes:\n  a: " + "{a: " * 100_000, 2, "nests more than 8 deep"),
            ("kubernetes:\n\ta: 1", 2, "it is not YAML"),
            ("kubernets: {}", 1, "did you mean kubernetes?"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, text: str, line: int, obstacle: str) -> None:
        with pytest.raises(ConfigError) as caught:
            section_of(text)
        assert caught.value.asked == f"named.yaml:{line}"
        assert obstacle in caught.value.obstacle
        assert "SECRET" not in str(caught.value) + caught.value.remedy

    @pytest.mark.parametrize("depth", [7, 8])
    def test_may_nest_as_deep_as_tolerations_do_and_no_deeper_than_8(self, depth: int) -> None:
        for text, name in (
            ("kubernetes: {a: " + "[" * depth + "]" * depth + "}", "named.yaml"),
            ("[tool.willitcompile.kubernetes]\na = " + "[" * depth + "]" * depth, "named.toml"),
        ):
            if depth == 7:
                assert section_of(text, name)
            else:
                with pytest.raises(ConfigError, match="nests more than 8 deep"):
                    section_of(text, name)

    @pytest.mark.parametrize(
        ("text", "obstacle"),
        [
            ("[tool.willitcompile]\nkubernetes = 3", "kubernetes is not a mapping"),
            ("[tool.willitcompile.kubernetes]\na = [2020-01-01]", "a date"),
        ],
    )
    def test_what_is_wrong_in_toml_is_told(self, text: str, obstacle: str) -> None:
        with pytest.raises(ConfigError, match=obstacle):
            section_of(text, "named.toml")

    @given(
        st.recursive(
            st.text(st.characters(codec="utf-8"), max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text("ab:#'", max_size=3), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    def test_whatever_it_holds_is_read_back(self, value: object) -> None:
        document = {"kubernetes": {"a": value}}
        text = yaml.safe_dump(document, default_style='"', allow_unicode=False)
        said = list(files.from_yaml(text, "x.yaml"))
        assert said == [("kubernetes", None, 1, {"a": value})]


@pytest.mark.parametrize(
    "text", ["jobs = " + "1" * 5000, "jobs = 0x" + "f" * 5000, "kubernetes.pods = 0x" + "f" * 5000]
)
def test_a_number_without_end_is_an_error_and_no_traceback(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.willitcompile]\n{text}\n")
    with pytest.raises(ConfigError):
        settings()


TOML_ERRORS = {
    "[tool.willitcompile]\ncompilr = 'gcc'": (2, "did you mean compiler?"),
    "[tool.x]\nstd = 1\n[tool.willitcompile]\nlink = 'maybe'": (4, "link cannot be so"),
    "[tool.willitcompile]\njobs = 1\nstd =": (3, "it is not TOML"),
    "[tool.willitcompile]\ntimeout = 2020-01-01": (2, "timeout is neither"),
    "[tool.willitcompile]\ntimeout = nan": (2, "timeout cannot be so"),
    "[tool.willitcompile]\njobs = 1\n[tool.willitcompile.std]\nx = 1": (3, "std is neither"),
}


@pytest.mark.parametrize("text", TOML_ERRORS, ids=repr)
def test_what_is_wrong_with_toml_is_told_with_its_line(project: Path, text: str) -> None:
    line, obstacle = TOML_ERRORS[text]
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings()
    assert caught.value.asked == f"pyproject.toml:{line}"
    assert obstacle in caught.value.obstacle


def test_toml_that_nests_without_end_is_refused(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.willitcompile]\nstd = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="too deep"):
        settings()


def test_toml_types_are_taken_as_typed(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.willitcompile]\nlink = true\njobs = 2\ntimeout = 1.5\nstd = [2021, 'c17']\n"
    )
    resolved = settings()
    assert (resolved.link, resolved.jobs, resolved.timeout) == (True, 2, 1.5)
    assert resolved.standards == ("2021", "c17")


def test_a_file_that_cannot_be_read_is_an_error(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"read missing\.yaml: No such file"):
        resolve({}, environment={}, file="missing.yaml")


def test_a_file_over_1_mib_is_an_error(project: Path) -> None:
    (project / "willitcompile.yaml").write_text("#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="at most 1 MiB"):
        settings()


def test_include_directories_of_a_file_count_from_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "willitcompile.yaml").write_text("include: [include, .]\n")
    (project / "src").mkdir()
    monkeypatch.chdir(project / "src")
    assert settings({"include": ("own",)}).include_dirs == ("../include", "..", "own")


def test_include_directories_of_a_file_cannot_leave_by_a_link(project: Path) -> None:
    (project / "include").symlink_to("/etc")
    (project / "willitcompile.yaml").write_text("include: include\n")
    with pytest.raises(ConfigError, match="not below"):
        settings()


def test_a_wrong_variable_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError) as caught:
        settings(WIC_TIMEOUT="soon")
    assert caught.value.asked == "use the variable WIC_TIMEOUT"
    assert "WIC_TIMEOUT=60" in caught.value.remedy


OUT_OF_RANGE = {
    "timeout": ["-1", "0", "nan", "inf", "1e3", "", " ", "soon", "1d", "100000", "٣"],
    "memory": ["0", "-1", "512", "1.2.3M", "9" * 30, "M", "1T"],
    "cpus": ["0", "-1", "nan", "inf", "many"],
    "jobs": ["0", "-1", "1.5", "9999", "all"],
    "max-output": ["0", "-1K", "x"],
    "max-file-size": ["0", "0.5"],
    "color": ["maybe", ""],
    "compiler": ["", "gcc,,clang", ","],
    "std": ["", ","],
    "define": [""],
    "warning": ["", "-W"],
    "context": ["", " ", "a\nb", "x" * 1001],
    "namespace": ["", "Builds", "-a", "a-", "a.b", "a/b", "x" * 64, "a\n", "\u00e4"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_flag_out_of_range_is_a_request_error_in_three_parts(name: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        settings({name: (value,)})
    assert caught.value.asked == f"use --{name}"
    assert repr(value) in caught.value.obstacle
    assert caught.value.remedy == f"write for example: --{name} {SETTINGS[name].example}"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1.5", 1.5)]
)
def test_times(text: str, seconds: float) -> None:
    assert config.parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("512MiB", 2**29), ("1G", 2**30), ("800M", 800 * 2**20), ("1.5gb", 3 * 2**29), ("4 KiB", 4096)],
)
def test_sizes(text: str, count: int) -> None:
    assert config.parse_bytes(text) == count


@given(st.sampled_from(list(SETTINGS)), st.text(max_size=30))
def test_no_value_breaks_a_parser(name: str, text: str) -> None:
    try:
        SETTINGS[name].parse(text)
    except UnfitError as unfit:
        assert str(unfit)  # noqa: PT017 - it may fit as well


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(config).failed == 0
    assert doctest.testmod(files).failed == 0


def test_a_file_that_was_only_found_says_which_images_it_chooses(tmp_path: Path) -> None:
    (tmp_path / "willitcompile.yaml").write_text("images: gcc-13=registry.example.org/gcc:13\n")
    found = config.resolve({}, environment={}, directory=str(tmp_path))
    assert found.images == ("gcc-13=registry.example.org/gcc:13",)
    assert "chooses images: gcc-13=registry.example.org/gcc:13" in found.notes[-1]
    named = config.resolve({}, environment={}, file=str(tmp_path / "willitcompile.yaml"))
    assert (named.images, named.notes) == (found.images, ())
