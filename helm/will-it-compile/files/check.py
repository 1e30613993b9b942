"""What the pod of `helm test` runs: the service compiles a program that is right, and rejects one that is wrong."""

import json
import os
import sys
import urllib.error
import urllib.request

PROGRAMS = {
    "gcc": ("main.cpp", "int main() { return 0; }\n", "int main() { return 0 }\n"),
    "clang": ("main.cpp", "int main() { return 0; }\n", "int main() { return 0 }\n"),
    "go": ("main.go", "package main\n\nfunc main() {}\n", "package main\n\nfunc main() {\n"),
    "rustc": ("main.rs", "fn main() {}\n", "fn main() {\n"),
}
SERVICE = os.environ["SERVICE"]
# Kubernetes tells the address of every Service of the namespace, which serves where there is no DNS.
HOST = os.environ.get(SERVICE.upper().replace("-", "_") + "_SERVICE_HOST", SERVICE)
URL = f"http://[{HOST}]" if ":" in HOST else f"http://{HOST}"
URL += ":" + os.environ["PORT"]


def ask(path, body=None):
    """The status and what is answered."""
    request = urllib.request.Request(URL + path, body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    # A Secret that was made of a file often ends with a new line.
    if token := os.environ.get("TOKEN", "").strip():
        request.add_header("Authorization", f"Bearer {token}")
    # A proxy of the environment has no way into the cluster.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def verdict(name, source):
    """What the service says of a program, once it says anything."""
    status, check = ask("/api/v2/checks", {"files": {name: source}, "toolchains": [TOOLCHAIN], "wait": 30})
    while status in (200, 202) and check["status"] != "done":
        status, check = ask(f"/api/v2/checks/{check['id']}?wait=30")
    if status != 200:
        sys.exit(f"{name} was sent: {status}, {check}")
    (result,) = check["results"]
    return result.get("verdict") or result.get("error")


def expect(what, got, wanted):
    print(f"{what}: {got}", flush=True)
    if got != wanted:
        sys.exit(f"{what}: {got}, and not {wanted}")


TOOLCHAIN = os.environ["TOOLCHAIN"]
expect("GET /ready", ask("/ready")[0], 200)
name, right, wrong = PROGRAMS[TOOLCHAIN.partition("-")[0]]
if os.environ["NEEDS_TOKEN"] == "true" and "TOKEN" not in os.environ:
    expect("a check without a token", ask("/api/v2/checks", {"files": {name: right}})[0], 401)
else:
    expect(f"{TOOLCHAIN}, a program that is right", verdict(name, right), "compiled")
    expect(f"{TOOLCHAIN}, a program that is wrong", verdict(name, wrong), "rejected")
