"""TLS, as a cluster wants it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from willitcompile.backends.kubernetes.api.kubeconfig import ASKED
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from willitcompile.backends.kubernetes.api.access import Access
    from willitcompile.backends.kubernetes.api.credentials import Identity


def encryption(access: Access, identity: Identity) -> ssl.SSLContext:
    """Raises BackendUnavailable."""
    # Not create_default_context: since Python 3.13 that refuses authorities as many clusters have them, without a
    # key identifier.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    what = "the certificate-authority"
    try:
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif access.authority is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=access.authority.decode("ascii", errors="ignore"))
        if identity.certificate is not None:
            what = "the client's certificate or its key"
            _show(context, identity.certificate)
    except (OSError, ValueError) as error:
        raise BackendUnavailable(
            ASKED, f"{what} cannot be used, or has a password ({access.origin})", "kubectl get namespaces"
        ) from error
    return context


def _show(context: ssl.SSLContext, certificate: bytes) -> None:
    """Raises OSError."""
    # From memory, as only files are taken: no key is written to a disk.
    fd = os.memfd_create("certificate")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(certificate)
        # A key with a password is refused, or OpenSSL would ask for it on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    finally:
        os.close(fd)
