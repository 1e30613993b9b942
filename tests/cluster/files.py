"""The files that the components of the cluster are started with: certificates, kubeconfigs, settings."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HOST_ADDRESS = "198.18.77.1"
NODE_ADDRESS = "198.18.77.2"
"""The two ends of the only link between the host and the node: of the range for benchmarks (RFC 2544), which nobody
has in his network."""

SERVER = f"https://{NODE_ADDRESS}:6443"
NODE = "node1"
PODS = "10.244.0.0/22"
"""Four times as many addresses as pods: one is not given anew at once."""
SERVICES = "10.96.0.0/16"
CLUSTER_DNS = "10.96.0.10"
MAX_PODS = 250
PAUSE = "localhost/pause:1"

SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What kubelet wants to read below /proc/sys, and would write there for the whole machine."""

USERS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
}


def write_certificates(below: Path) -> None:
    """An authority of this cluster alone, what it has signed, and `NAME.conf` for each of `USERS`."""
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
        *("-subj", "/CN=tests", "-keyout", f"{below}/ca.key", "-out", f"{below}/ca.crt"),
    )
    names = ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc"]
    names += ["IP:127.0.0.1", "IP:10.96.0.1", f"IP:{NODE_ADDRESS}"]
    _certificate(below, "apiserver", "/CN=kube-apiserver", ",".join(names))
    for name, subject in USERS.items():
        _certificate(below, name, subject, f"DNS:{NODE},IP:{NODE_ADDRESS}")
        _write_kubeconfig(below, name)
    # Of the tokens of service accounts.
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{below}/sa.key")
    _openssl("pkey", "-in", f"{below}/sa.key", "-pubout", "-out", f"{below}/sa.pub")


def _openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def _certificate(below: Path, name: str, subject: str, names: str) -> None:
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject),
        *("-keyout", f"{below}/{name}.key", "-out", f"{below}/{name}.csr"),
    )
    extensions = below / f"{name}.extensions"
    extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(
        *("x509", "-req", "-days", "30", "-in", f"{below}/{name}.csr", "-out", f"{below}/{name}.crt"),
        *("-CA", f"{below}/ca.crt", "-CAkey", f"{below}/ca.key", "-CAcreateserial", "-extfile", str(extensions)),
    )


def _write_kubeconfig(below: Path, name: str) -> None:
    def data(file: str) -> str:
        return base64.b64encode((below / file).read_bytes()).decode()

    cluster = {"server": SERVER, "certificate-authority-data": data("ca.crt")}
    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": name}}],
        "current-context": "tests",
    }
    file = below / f"{name}.conf"
    file.touch(0o600)
    file.write_text(json.dumps(config, indent=1))


def write_settings(below: Path, run: Path, store: Path) -> None:
    """What containerd, the network of the pods, kubelet and kube-proxy read. `store` is where images are kept."""
    (below / "cni").mkdir(exist_ok=True)
    addresses = {"type": "host-local", "dataDir": f"{run}/addresses", "ranges": [[{"subnet": PODS}]]}
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [
        {**bridge, "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    network = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
    (below / "cni/10-pods.conflist").write_text(json.dumps(network, indent=1))
    # restrict_oom_score_adj: for a host where nobody has CAP_SYS_RESOURCE.
    (below / "containerd.toml").write_text(
        f"""\
version = 2
root = "{store}"
state = "{run}/containerd"
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{below}/cni"
"""
    )
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "podPidsLimit": 512,
        "maxPods": MAX_PODS,
        "containerRuntimeEndpoint": f"unix://{run}/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{below}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{below}/kubelet.crt",
        "tlsPrivateKeyFile": f"{below}/kubelet.key",
        # As anywhere, though nobody answers there.
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "volumePluginDir": f"{below}/kubelet/plugins",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Nothing could bring an image back that was removed because the disk is full.
        "imageGCHighThresholdPercent": 100,
        # Tests are many pods in a short time, and not to be throttled.
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        "registryPullQPS": 0,
    }
    (below / "kubelet.yaml").write_text(json.dumps(kubelet, indent=1))
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "clientConnection": {"kubeconfig": f"{below}/proxy.conf"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    (below / "proxy.yaml").write_text(json.dumps(proxy, indent=1))


def commands(below: Path, run: Path, kube: Path) -> dict[str, list[str]]:
    """By component, in the order of their start, its argv. `kube` is the program that holds all of Kubernetes."""
    return {
        "etcd": ["etcd", "--data-dir", f"{below}/etcd", "--unsafe-no-fsync", "--logger", "zap", "--log-level", "warn"],
        "apiserver": [
            *(str(kube), "kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--secure-port", "6443"),
            *("--advertise-address", NODE_ADDRESS, "--service-cluster-ip-range", SERVICES),
            *("--tls-cert-file", f"{below}/apiserver.crt", "--tls-private-key-file", f"{below}/apiserver.key"),
            *("--client-ca-file", f"{below}/ca.crt", "--service-account-key-file", f"{below}/sa.pub"),
            *("--service-account-signing-key-file", f"{below}/sa.key"),
            *("--service-account-issuer", "https://kubernetes.default.svc"),
            *("--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"),
            *("--allow-privileged", "--kubelet-preferred-address-types", "InternalIP"),
            *("--kubelet-certificate-authority", f"{below}/ca.crt"),
            *("--kubelet-client-certificate", f"{below}/admin.crt", "--kubelet-client-key", f"{below}/admin.key"),
        ],
        "containerd": ["containerd", "--config", f"{below}/containerd.toml"],
        "controller-manager": [
            *(str(kube), "kube-controller-manager", "--kubeconfig", f"{below}/controller-manager.conf"),
            *("--service-account-private-key-file", f"{below}/sa.key", "--root-ca-file", f"{below}/ca.crt"),
            *("--use-service-account-credentials", "--leader-elect=false"),
            *("--kube-api-qps", "200", "--kube-api-burst", "400"),
            *("--flex-volume-plugin-dir", f"{below}/kubelet/plugins"),
        ],
        "scheduler": [
            *(str(kube), "kube-scheduler", "--kubeconfig", f"{below}/scheduler.conf", "--leader-elect=false"),
        ],
        "kubelet": [
            *(str(kube), "kubelet", "--config", f"{below}/kubelet.yaml", "--kubeconfig", f"{below}/kubelet.conf"),
            *("--hostname-override", NODE, "--node-ip", NODE_ADDRESS, "--root-dir", f"{below}/kubelet"),
        ],
        "proxy": [str(kube), "kube-proxy", "--config", f"{below}/proxy.yaml"],
    }
