"""The way to a Service: by its own address on a cluster of our own, through a port-forward elsewhere."""

import os
import socket
import subprocess
import threading

from .kube import Namespace
from .tell import Broken, until

OWN = "SWITCHBOARD_CLUSTER_PID" in os.environ


class Way:
    """An address that leads to a port of a Service."""

    def __init__(self, namespace: Namespace, service: str, port: int) -> None:
        self.namespace, self.service, self.port = namespace, service, port
        self.forward: subprocess.Popen[bytes] | None = None
        self.local = 0
        self.cluster_ip = ""
        self.lock = threading.Lock()

    def address(self) -> str:
        """`host:port` to talk to now. A port-forward ends with its pod, and is then made anew."""
        if OWN:
            # A Service keeps its address as long as it lives.
            self.cluster_ip = self.cluster_ip or self.namespace.get("service", self.service)["spec"]["clusterIP"]
            return f"{self.cluster_ip}:{self.port}"
        with self.lock:
            if self.forward is None or self.forward.poll() is not None:
                self._forward()
            return f"127.0.0.1:{self.local}"

    def _forward(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.local = free.getsockname()[1]
        words = ["kubectl", "-n", self.namespace.name, "port-forward", f"service/{self.service}", f"{self.local}:{self.port}"]
        self.forward = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("a port-forward", self._open, 20)

    def _open(self) -> bool:
        if self.forward is None or self.forward.poll() is not None:
            raise Broken("the port-forward ended")
        with socket.create_connection(("127.0.0.1", self.local), 1):
            return True
