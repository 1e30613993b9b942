"""Checks in a queue that the backend keeps where every process finds it, as a cluster does: nothing is kept here.

Each replica of the service hears of the whole queue and so tells of any check. All of them do what is next, in the same
order; that two want the same is harmless. What comes of a compile is read by the replica that has started it, and where
that is gone, a moment later by any other.
"""

from willitcompile.server.cluster.service import ClusterService

__all__ = ["ClusterService"]
