"""`will-it-compile serve`: the same check over HTTP, for many users at once.

    a request ── Observed ── CrossOrigin ── Admission ── BodyLimit ── v1, v2, page ── Desk ── a Service ── a Backend

A service takes checks, has them compiled and keeps what came of them: `LocalService` in this process, with a queue and
results on disk; `ClusterService` where the backend is a cluster, which keeps them itself, so that any replica answers.
"""
