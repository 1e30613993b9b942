"""What a pod of the tests runs: clients that send checks until the file /tmp/stop is there, and wait for each answer.

It prints, as JSON, what they were told. Nothing but Python is needed.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

HOST, PORT = sys.argv[1], int(sys.argv[2])
STOP = Path("/tmp/stop")
CLIENTS, AT_ONCE = 4, 3
LONGEST_SECONDS = 300.0
ANSWER_SECONDS = 90.0

DEADLINE = time.monotonic() + LONGEST_SECONDS
told: dict[str, Any] = {"taken": 0, "answered": 0, "asked": 0, "lost": [], "refused": [], "broken": [], "kept": []}
lock = threading.Lock()


def count(what: str) -> None:
    with lock:
        told[what] += 1


def note(what: str, *said: object) -> None:
    with lock:
        told[what].append([round(time.time(), 2), *map(str, said)])


def goes_on() -> bool:
    return not STOP.exists() and time.monotonic() < DEADLINE


def ask(method: str, path: str, document: object = None) -> tuple[int, Any]:
    """The status, or 0 where the connection broke, and what was answered."""
    connection = http.client.HTTPConnection(HOST, PORT, timeout=60)
    try:
        body = None if document is None else json.dumps(document)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        note("broken", method, path, repr(error))
        return 0, None
    finally:
        connection.close()


def send(number: int) -> tuple[str, str] | None:
    """The id of a new check, and what is to come of it."""
    right = number % 2 == 0
    source = f"int main() {{ return {number % 200}{';' if right else ''} }}\n"
    document = {"files": {"main.c": source}, "toolchains": ["gcc-13"]}
    status, answer = ask("POST", "/api/v2/checks", document)
    if status == 202:
        count("taken")
        return answer["id"], "compiled" if right else "rejected"
    if status:
        note("refused", status, answer)
    return None


def wait_for(check: str, verdict: str) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        status, answer = ask("GET", f"/api/v2/checks/{check}?wait=10")
        if status == 200 and answer["status"] == "done":
            found = [each.get("verdict", each) for each in answer["results"]]
            if found == [verdict]:
                count("answered")
            else:
                note("lost", check, f"{found}, and not {verdict}")
            return
        if status not in {0, 200}:
            note("refused", status, answer)
            time.sleep(0.2)
    note("lost", check, "no answer")


def client(begin: int) -> None:
    number = begin
    while goes_on():
        sent = [send(number + each) for each in range(AT_ONCE)]
        number += AT_ONCE
        for each in filter(None, sent):
            wait_for(*each)


def asker() -> None:
    """Many connections, so that none breaks unseen."""
    while goes_on():
        count("asked")
        status, answer = ask("GET", "/health")
        if status not in {0, 200}:
            note("refused", status, answer)
        time.sleep(0.02)


def keeper() -> None:
    """One connection for as long as it is kept."""
    connection = http.client.HTTPConnection(HOST, PORT, timeout=60)
    while goes_on():
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            note("kept", repr(error))
            connection.close()
        time.sleep(0.05)


threads = [threading.Thread(target=client, args=(1000 * number,)) for number in range(CLIENTS)]
threads += [threading.Thread(target=each) for each in (asker, keeper)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(json.dumps(told))
