"""docs/kubernetes.md: its commands are run on a real cluster, its files are used, and what it quotes is in the code."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cluster import build, kubectl
from tests.cluster.files import PAUSE
from willitcompile.backends.kubernetes import health, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "kubernetes.md").read_text()
EXAMPLES = sorted((DOCS / "examples").glob("kubernetes-*.yaml"))

NOT_HERE = re.compile(r"kind |minikube |gcloud |aws |az |export |kubectl top |will-it-compile images build ")
"""What needs other clusters, a registry or metrics-server, or takes minutes."""
NOT_FIRST = "will-it-compile check main.cpp -b kubernetes -c gcc-13"
"""Which pulls the official image."""
EXITS = {"--memory 128MiB": 1}
"""By a part of a line, with what it ends where that is not 0."""
SETUP = "kubernetes-namespace.yaml"
"""The block that has this comes before the others."""

BLOCKS = [
    [line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip().startswith("$ ")]
    for block in re.findall(r"^ *```console\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.partition("## When something is wrong")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| `")
]


def runnable(lines: list[str]) -> list[str]:
    return [line for line in lines if not NOT_HERE.match(line) and line != NOT_FIRST]


TYPED = list(dict.fromkeys(row[2].strip("`") for row in ROWS))
"""What the table says to type."""


@pytest.fixture(scope="module")
def run(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """A line of the page in a shell, beside a copy of its files, with a namespace of this run's for `builds`."""
    name = f"wic-test-docs-{secrets.token_hex(4)}"
    place = tmp_path_factory.mktemp("page")
    examples = place / "docs/examples"
    examples.mkdir(parents=True)
    (place / ".git").mkdir()
    for each in EXAMPLES:
        text = (
            each.read_text()
            .replace("name: builds", f"name: {name}")
            .replace("registry.example.org/", "will-it-compile/")
        )
        if not os.environ.get("WIC_TEST_KUBECONFIG"):  # ours reaches no registry
            text = text.replace("registry.k8s.io/pause:3.10", PAUSE)
        (examples / each.name).write_text(text)
    (place / "main.cpp").write_text("int main() { return 0; }\n")
    for block in re.findall(r"^```(?:yaml|cpp)\n((?:#|//) \S+\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        (place / block.split()[1]).write_text(block.replace("namespace: builds", f"namespace: {name}"))
    config = place / "kubeconfig"
    config.write_text(kubectl("--kubeconfig", kubeconfig, "config", "view", "--raw", "--minify", "--flatten"))
    kubectl("--kubeconfig", str(config), "config", "set-context", "--current", f"--namespace={name}")
    path = os.pathsep.join([str(Path(sys.executable).parent), str(Path(build.KUBECTL).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(place), "KUBECONFIG": str(config), "DOCKER_HOST": "unix:///nonexistent"}

    def call(line: str) -> None:
        here = re.sub(r"\bbuilds\b", name, line)
        done = subprocess.run(
            here, shell=True, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        expected = next((code for part, code in EXITS.items() if part in line), 0)
        assert done.returncode == expected, f"{here}\n{done.stdout}{done.stderr}"
        if "auth can-i" in line and "--list" not in line:
            assert done.stdout.strip() == "yes"
        if "128MiB" in line:
            assert "out-of-memory" in done.stdout
            assert "it needs more than 128 MiB of memory; for more: --memory 256MiB" in done.stdout

    try:
        for line in next(block for block in BLOCKS if any(SETUP in each for each in block)):
            call(line)
        kubectl("--kubeconfig", str(config), "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        yield call
    finally:
        kubectl("--kubeconfig", str(config), "delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if runnable(block) and not any(SETUP in line for line in block)],
    ids=lambda block: runnable(block)[0][:60],
)
def test_its_commands_end_well(run: Callable[[str], None], block: list[str]) -> None:
    for line in runnable(block):
        run(line)


@pytest.mark.kubernetes
@pytest.mark.parametrize("line", [line for line in TYPED if runnable([line]) and " create namespace " not in line])
def test_what_it_says_to_type_can_be_typed(run: Callable[[str], None], line: str) -> None:
    run(line)


@pytest.mark.kubernetes
def test_what_kills_a_compile_at_128_mib_compiles_by_default(run: Callable[[str], None]) -> None:
    run("will-it-compile check regex.cpp -b kubernetes -c gcc-13 --config cluster.yaml --timeout 100")


@pytest.mark.kubernetes
def test_pods_of_its_policy_and_of_a_compile_have_the_same_label(run: Callable[[str], None]) -> None:
    """A Job that stays, as cluster.yaml has it, is found by what the policy selects."""
    run("will-it-compile check main.cpp -b kubernetes -c gcc-13 --config cluster.yaml")
    (policy,) = documents("kubernetes-network-policy.yaml")
    wanted = ",".join(f"{name}={value}" for name, value in policy["spec"]["podSelector"]["matchLabels"].items())
    run(f"kubectl get pods --namespace builds --selector {wanted} --output name | grep pod/compile-")


def documents(name: str) -> list[dict[str, dict[str, dict[str, dict[str, str]]]]]:
    return list(yaml.safe_load_all((DOCS / "examples" / name).read_text()))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_each_example_is_linked_to(example: Path) -> None:
    assert f"](examples/{example.name})" in PAGE or f"docs/examples/{example.name}" in PAGE


def test_its_table_of_permissions_is_the_role() -> None:
    section = PAGE.partition("## Permissions")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    found: dict[str, list[str]] = {}
    resource = ""
    for first, verbs, _ in rows[1:]:
        resource = first.strip("`") or resource
        found.setdefault(resource, []).extend(verbs.split(", "))
    wanted = {name.partition(".")[0]: sorted(verbs) for name, verbs in health.ROLE.items()}
    assert {name: sorted(verbs) for name, verbs in found.items()} == wanted


@pytest.mark.parametrize(
    "page", ["kubernetes.md", "security.md", "architecture.md", "cli.md", "backends.md", "monitoring.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([\w./-]*)(?:#([\w-]+))?\)", (DOCS / page).read_text()):
        path = DOCS / (target or page)
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


OTHERS = {"certificate is not yet valid", "violates PodSecurity", "cannot create resource", "node affinity/selector"}
"""What OpenSSL and Kubernetes say."""


@pytest.mark.parametrize("message", [row[0].strip("`") for row in ROWS])
def test_the_messages_are_those_of_the_program(message: str) -> None:
    code = "".join(path.read_text() for path in (ROOT / "willitcompile").rglob("*.py"))
    for piece in re.split(r"its pod |its gcc is|[:,…'\"]| within \d+ seconds| \d+| builds| jobs", message):
        said = piece.strip()
        if said and not any(each in said for each in OTHERS) and not said.startswith(("Insufficient", "gcc")):
            assert said in code


def test_the_settings_of_its_files_and_tables_are_keys() -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        assert settings.parse(yaml.safe_load(block)["kubernetes"])
    keys = set(settings.KEYS)
    section = PAGE.partition("## Nodes, runtimes, queues")[2].partition("\n## ")[0]
    named = re.findall(r"`([a-z-]+): ", section)
    assert len(named) > 5
    assert set(named) <= keys
    assert {each.split(".")[1] for each in re.findall(r"`kubernetes\.[a-z-]+", PAGE)} <= keys


def test_its_numbers_are_the_defaults() -> None:
    default = settings.Settings()
    assert f"`kubernetes.units` ({default.units})" in PAGE
    assert f"`kubernetes.pods` ({default.pods})" in re.sub(r"\s+", " ", PAGE)
    assert f"(`kubernetes.start-seconds`, {default.start_seconds})" in PAGE
    assert f"`keep-seconds` ({default.keep_seconds})" in PAGE
    assert f"limit, {default.memory >> 20}Mi" in PAGE
    assert default.cpu
    assert f"`kubernetes.cpu` is {round(default.cpu * 1000)}m" in PAGE
