"""The section `kubernetes` of the configuration: each key, what it may be, and what it is where nobody says.

`KEYS` is the one table of them. Nothing gets into a manifest that has not been judged here by the rules of Kubernetes
itself, so that what is wrong is told in our words, and no value can be more than what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends.kubernetes.syntax import (
    annotation,
    label_key,
    label_value,
    parse_cpu,
    parse_memory,
    profile,
    queue,
    subdomain,
)
from willitcompile.config import UnfitError, parse_context, parse_namespace, parse_switch
from willitcompile.errors import ConfigError
from willitcompile.model import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECTION = "kubernetes"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

_NOTHING: Mapping[str, str] = MappingProxyType({})
_MOST_ITEMS = 64
"""Of a list or a mapping, that nobody writes by hand."""
_ANNOTATION_BYTES = 64 * KIB
"""Of all together: a quarter of what Kubernetes takes, as others add theirs too."""


class Warm(NamedTuple):
    """Pods that are started ahead, of each toolchain in use, and wait for a compile."""

    enabled: bool = False
    min: int = 0
    max: int = 8
    idle_seconds: int = 300
    """After so long without a compile a pod above `min` is given up."""


class Settings(NamedTuple):
    """Where in a cluster compiles run, and as what. `KEYS` says what each is called in a file."""

    context: str | None = None
    """Of the kubeconfig; None for its current one, or for the cluster whose pod this is."""

    namespace: str | None = None
    """None for the context's, or the pod's own."""

    architecture: str | None = None
    """Of the nodes: `amd64`, `arm64`; None for this machine's."""

    memory: int = 512 * MIB
    """Bytes, the limit of a container, of which a compile may use 128 MiB less. See docs/kubernetes.md."""

    cpu: float | None = 0.5
    """Cores, the limit of a container, in thousandths; None for no limit."""

    request_memory: int = 64 * MIB
    """Bytes that a node must have free; never more than `memory`."""

    request_cpu: float = 0.1
    """Cores that a node must have free, in thousandths; never more than `cpu`."""

    start_seconds: int = 120
    """How long a pod may take to start."""

    keep_seconds: int = 300
    """How long a Job that has ended is kept where nobody deletes it: its ttlSecondsAfterFinished."""

    delete: str = "at-once"
    """When what has ended is deleted: `at-once`, or `ttl`, which leaves it to look at for `keep_seconds`."""

    pods: int = 8
    """At one time, of one check."""

    units: int = 32
    """The most source units that one pod compiles, one after another."""

    warm: Warm = Warm()
    runtime_class: str | None = None
    priority_class: str | None = None
    service_account: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: str = "IfNotPresent"
    node_selector: Mapping[str, str] = _NOTHING
    tolerations: tuple[Mapping[str, str | int], ...] = ()
    """As the API spells them: `tolerationSeconds`."""

    labels: Mapping[str, str] = _NOTHING
    annotations: Mapping[str, str] = _NOTHING
    queue: str | None = None
    """The LocalQueue of Kueue, which the label `QUEUE_LABEL` names."""

    owner: str | None = None
    """A ConfigMap of the namespace, that all Jobs belong to: who deletes it deletes them."""

    seccomp_profile: str | None = None
    """A profile on the nodes, below the kubelet's directory of them (Localhost); None for RuntimeDefault."""


class Key(NamedTuple):
    """One key of the section."""

    name: str
    parse: Callable[[object, str], object]
    """From plain data and where it stands, as `kubernetes.pods`. Raises UnfitError, or _Wrong below that place."""

    example: str
    """As YAML."""

    @property
    def field(self) -> str:
        """Of `Settings`, or of what the key is in."""
        return self.name.replace("-", "_")


class _Wrong(Exception):
    """Something below a key is wrong: where, why, and what to write."""

    def __init__(self, where: str, why: str, remedy: str) -> None:
        super().__init__(why)
        self.where, self.why, self.remedy = where, why, remedy


def parse(section: Mapping[str, object]) -> Settings:
    """What a section says, which holds plain data: texts, numbers, booleans, lists, mappings, None for nothing.

    Raises ConfigError, which names the key and shows no value: the file may be one that its reader could not read
    himself.
    """
    try:
        given = _parsed(section, KEYS, SECTION)
    except _Wrong as wrong:
        raise ConfigError(f"set {wrong.where}", wrong.why, wrong.remedy) from None
    settings = Settings(**given)  # type: ignore[arg-type] # each is judged
    settings = _request_within_limit(settings, "memory", named="request_memory" in given)
    return _request_within_limit(settings, "cpu", named="request_cpu" in given)


def _request_within_limit(settings: Settings, what: str, *, named: bool) -> Settings:
    """A request that nobody named gives way to the limit. Raises ConfigError."""
    limit, request = getattr(settings, what), getattr(settings, f"request_{what}")
    if limit is None or request <= limit:
        return settings
    if named:
        raise ConfigError(
            f"set {SECTION}.request-{what}",
            f"it is more than {SECTION}.{what}, the limit",
            f"write less, or raise {SECTION}.{what}",
        )
    return settings._replace(**{f"request_{what}": limit})


def _parsed(given: object, keys: Mapping[str, Key], where: str) -> dict[str, object]:
    """By field, what a mapping with known keys says."""
    found = {}
    if not isinstance(given, Mapping):
        raise _Wrong(where, "it is not a mapping", f"use the keys: {', '.join(keys)}")
    for name, value in given.items():
        if name not in keys:
            raise _unknown(name, keys, where)
        if value is None:  # as `namespace:` with nothing behind it
            continue
        key = keys[name]
        path = f"{where}.{name}"
        try:
            found[key.field] = key.parse(value, path)
        except UnfitError as unfit:
            raise _Wrong(path, str(unfit), f"write for example {name}: {key.example}") from None
    return found


def _unknown(name: object, keys: Iterable[str], where: str) -> _Wrong:
    from difflib import get_close_matches

    shown = _shown(name)
    near = get_close_matches(str(name), keys, n=1) if shown else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return _Wrong(f"{where}{shown}", f"there is no such key{hint}", f"use one of: {', '.join(keys)}")


def _shown(name: object) -> str:
    """A key as a part of a path, where it looks like one; else nothing of it."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]{0,62}", name):
        return ""
    return f"[{name!r}]" if {".", "/"} & set(name) else f".{name}"


# ---- One value. Each takes plain data and where it stands.


def _text(value: object) -> str:
    """What was typed. Numbers and booleans come from TOML's and Python's own types."""
    if isinstance(value, bool):
        return "true" if value else "false"
    # Python does not print an integer of more than 4300 digits.
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 1 << 64):
        return str(value)
    raise UnfitError("it is not one word or number")


def _of_text(parse_text: Callable[[str], object]) -> Callable[[object, str], object]:
    return lambda value, _: parse_text(_text(value))


def _one_of(*words: str) -> Callable[[object, str], object]:
    def parse_one(value: object, _: str) -> str:
        if (text := _text(value)) not in words:
            raise UnfitError(f"it is none of {', '.join(words)}")
        return text

    return parse_one


def _whole(low: int, high: int) -> Callable[[object, str], object]:
    def parse_whole(value: object, _: str) -> int:
        text = _text(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise UnfitError(f"it is not a whole number from {low} to {high}")
        return int(text)

    return parse_whole


def _cpu_limit(text: str) -> float | None:
    return None if text == "none" else parse_cpu(text)


# ---- Mappings and lists.


def _listed(value: object) -> list[object]:
    """A word alone is a list of one."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    if len(items) > _MOST_ITEMS:
        raise UnfitError(f"it has more than {_MOST_ITEMS} items")
    return items


def _secrets(value: object, where: str) -> tuple[str, ...]:
    names = []
    for place, item in enumerate(_listed(value)):
        try:
            names.append(subdomain(_text(item)))
        except UnfitError as unfit:
            raise _Wrong(f"{where}[{place}]", str(unfit), "write for example [registry-password]") from None
    return tuple(dict.fromkeys(names))


def _strings(
    parse_value: Callable[[str], str], reserved: Callable[[str, str], str | None]
) -> Callable[[object, str], object]:
    """A mapping of texts by the keys of labels. `reserved` says why one cannot be set, of its key and its value."""

    def parse_strings(value: object, where: str) -> Mapping[str, str]:
        if not isinstance(value, Mapping):
            raise UnfitError("it is not a mapping")
        if len(value) > _MOST_ITEMS:
            raise UnfitError(f"it has more than {_MOST_ITEMS} items")
        found = {}
        for name, item in value.items():
            path = f"{where}{_shown(name)}"
            try:
                key = label_key(_text(name))
                if item is None:
                    raise UnfitError('it has no value, and an empty one is written ""')
                text = parse_value(_text(item))
            except UnfitError as unfit:
                raise _Wrong(path, str(unfit), 'write for example {example.org/team: "compilers"}') from None
            if why := reserved(key, text):
                raise _Wrong(path, why, "leave it out")
            found[key] = text
        return found

    return parse_strings


def _ours(key: str, value: str) -> str | None:
    """Why a label or an annotation cannot be set: we, or Kubernetes, find things by it, or it takes hardening away."""
    domain, _, _ = key.rpartition("/")
    if key in {"job-id", "managed-by"} or domain == "app.kubernetes.io" or key.startswith("will-it-compile"):
        return "will-it-compile sets it itself"
    if key in {"job-name", "controller-uid"} or domain == "batch.kubernetes.io":
        return "Kubernetes sets it itself"
    if key == QUEUE_LABEL:
        return f"{SECTION}.queue sets it"
    if domain.endswith("apparmor.security.beta.kubernetes.io") and value == "unconfined":
        return "a compile is never unconfined"
    return None


def _selects_our_own(key: str, value: str) -> str | None:  # noqa: ARG001 - the signature of such
    own = {"kubernetes.io/arch": f"{SECTION}.architecture sets it", "kubernetes.io/os": "compilers run on Linux"}
    return own.get(key)


def _annotations(value: object, where: str) -> Mapping[str, str]:
    found: Mapping[str, str] = _strings(annotation, _ours)(value, where)  # type: ignore[assignment]
    if sum(len(f"{name}{text}".encode()) for name, text in found.items()) > _ANNOTATION_BYTES:
        raise UnfitError(f"all together have more than {_ANNOTATION_BYTES // KIB} KiB")
    return found


def _tolerations(value: object, where: str) -> tuple[Mapping[str, str | int], ...]:
    return tuple(_toleration(item, f"{where}[{place}]") for place, item in enumerate(_listed(value)))


def _toleration(value: object, where: str) -> Mapping[str, str | int]:
    """As the API has it. Its own spelling is taken too, as everybody copies these from a manifest."""
    if isinstance(value, Mapping) and "tolerationSeconds" in value:
        if "toleration-seconds" in value:
            raise _Wrong(f"{where}.toleration-seconds", "it is set twice", "leave one of the two")
        value = {"toleration-seconds" if name == "tolerationSeconds" else name: item for name, item in value.items()}
    given = _parsed(value, TOLERATION, where)
    if given.get("operator", "Equal") == "Equal" and not given.get("key"):
        raise _Wrong(f"{where}.key", "it is missing, which only the operator Exists allows", "write a key")
    if given.get("operator") == "Exists" and given.get("value"):
        raise _Wrong(f"{where}.value", "the operator Exists takes none", "leave it out, or write operator: Equal")
    if "toleration_seconds" in given and given.get("effect") != "NoExecute":
        raise _Wrong(f"{where}.toleration-seconds", "only the effect NoExecute takes it", "write effect: NoExecute")
    names = {"toleration_seconds": "tolerationSeconds"}
    return {names.get(name, name): item for name, item in given.items()}  # type: ignore[misc] # text or a whole number


def _warm(value: object, where: str) -> Warm:
    warm = Warm(**_parsed(value, WARM, where))  # type: ignore[arg-type] # each is judged
    if warm.min > warm.max:
        raise _Wrong(f"{where}.min", f"it is more than {where}.max, {warm.max}", "write less, or raise the other")
    return warm


def _table(*keys: Key) -> Mapping[str, Key]:
    return {key.name: key for key in keys}


TOLERATION = _table(
    Key("key", _of_text(label_key), "dedicated"),
    Key("operator", _one_of("Equal", "Exists"), "Exists"),
    Key("value", _of_text(label_value), "compilers"),
    Key("effect", _one_of("NoSchedule", "PreferNoSchedule", "NoExecute"), "NoSchedule"),
    Key("toleration-seconds", _whole(0, 999_999_999), "60"),
)

WARM = _table(
    Key("enabled", _of_text(parse_switch), "true"),
    Key("min", _whole(0, 1000), "1"),
    Key("max", _whole(1, 1000), "4"),
    Key("idle-seconds", _whole(1, 86_400), "600"),
)

KEYS = _table(
    Key("context", _of_text(parse_context), "kind-kind"),
    Key("namespace", _of_text(parse_namespace), "builds"),
    Key("architecture", _one_of("amd64", "arm64"), "arm64"),
    Key("memory", _of_text(parse_memory), "1Gi"),
    Key("cpu", _of_text(_cpu_limit), "2"),
    Key("request-memory", _of_text(lambda text: parse_memory(text, 0)), "128Mi"),
    Key("request-cpu", _of_text(lambda text: parse_cpu(text, 0)), "250m"),
    Key("start-seconds", _whole(1, 3600), "300"),
    Key("keep-seconds", _whole(0, 7 * 86_400), "3600"),
    Key("delete", _one_of("at-once", "ttl"), "ttl"),
    Key("pods", _whole(1, 1000), "32"),
    Key("units", _whole(1, 1000), "100"),
    Key("warm", _warm, "{enabled: true, max: 4}"),
    Key("runtime-class", _of_text(subdomain), "gvisor"),
    Key("priority-class", _of_text(subdomain), "low"),
    Key("service-account", _of_text(subdomain), "compiler"),
    Key("image-pull-secrets", _secrets, "[registry-password]"),
    Key("image-pull-policy", _one_of("IfNotPresent", "Always", "Never"), "Always"),
    Key("node-selector", _strings(label_value, _selects_our_own), "{pool: compilers}"),
    Key("tolerations", _tolerations, "[{key: dedicated, operator: Exists}]"),
    Key("labels", _strings(label_value, _ours), "{team: compilers}"),
    Key("annotations", _annotations, "{example.org/owner: the compilers' team}"),
    Key("queue", _of_text(queue), "builds"),
    Key("owner", _of_text(subdomain), "will-it-compile-queue"),
    Key("seccomp-profile", _of_text(profile), "profiles/compile.json"),
)
