"""The way to a cluster: where it is, who we are to it, and requests to its API server.

`access` finds the cluster, `credentials` say who we are, `client` asks. What these are made of: `kubeconfig` reads
files, `encryption` makes TLS contexts, `wire` is one connection and `line` HTTP on it, `stream` an answer that comes as
it happens, `refusal` an answer that says no.
"""
