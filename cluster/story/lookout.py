"""Every change of a component's pods, as the API server tells it: nothing between two looks is missed."""

import json
import subprocess
import threading

from .kube import Release, is_ready


class Lookout:
    """Counts the pods of a component all the time: the fewest that were ready at once, and the most that ran."""

    def __init__(self, release: Release, component: str) -> None:
        self.component = component
        selector = release.selector(component)
        self.pods = {pod["metadata"]["name"]: pod for pod in release.items("pods", selector)}
        self.fewest, self.most = 1_000, 0
        self._count()
        words = ["kubectl", "-n", release.name, "get", "pods", "-l", selector, "--watch", "--output-watch-events", "-o", "json"]
        self.watch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        assert self.watch.stdout is not None
        for line in self.watch.stdout:
            event = json.loads(line)
            pod = event["object"]
            if event["type"] == "DELETED":
                self.pods.pop(pod["metadata"]["name"], None)
            else:
                self.pods[pod["metadata"]["name"]] = pod
            self._count()

    def _count(self) -> None:
        staying = [pod for pod in self.pods.values() if "deletionTimestamp" not in pod["metadata"]]
        running = [pod for pod in staying if pod["status"]["phase"] == "Running"]
        self.fewest, self.most = min(self.fewest, sum(map(is_ready, staying))), max(self.most, len(running))

    def __enter__(self) -> "Lookout":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.terminate()
        self.watch.wait()
        self.thread.join(20)
