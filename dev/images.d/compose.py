"""Checks a compose file by the rules of our images. Pure: takes parsed YAML and yields sentences."""
import re

from dockerfile import base_problem

STORES = {"postgres", "redis"}
# Services that end by themselves, or that need no health check.
NO_HEALTH = {"secrets", "migrate", "town"}
# Services that must run as root, and why.
ROOT = {"secrets": "writes into new volumes, which belong to root; has no network and no capabilities"}


def merged(base, more):
    """Merges a second file into compose.yaml, as far as our files need that: mappings are merged, all else is replaced."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in more.items()}}


def service_problems(name, service):
    """Yields the problems of one service."""
    image = service.get("image", "")
    if "build" not in service and "/switchboard-" not in image and (problem := base_problem(image)):
        yield f"{name}: {problem}"
    if service.get("privileged") or service.get("cap_add") or service.get("network_mode") == "host" or service.get("pid"):
        yield f"{name}: more rights than it needs"
    if service.get("cap_drop") != ["ALL"]:
        yield f"{name}: keeps capabilities"
    if service.get("read_only") is not True:
        yield f"{name}: can write to its root"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{name}: may gain privileges"
    user = str(service.get("user", "0")).split(":")[0]
    if not user.isdigit() or (user == "0") != (name in ROOT):
        yield f"{name}: runs as root, or as a user by name"
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    yield from (f"{name}: no limit of {what}" for what in ("memory", "cpus", "pids") if what not in limits)
    health = service.get("healthcheck", {})
    if bool(health.get("test")) == (name in NO_HEALTH) or (name in NO_HEALTH and not health.get("disable")):
        yield f"{name}: health is not checked, or is where nobody needs it"
    if name not in NO_HEALTH and not all(health.get(key) for key in ("interval", "timeout", "retries", "start_period")):
        yield f"{name}: a health check without all of its times"
    if not service.get("restart"):
        yield f"{name}: does not say whether it restarts"
    if not service.get("logging", {}).get("options", {}).get("max-size"):
        yield f"{name}: its log grows without end"
    yield from port_problems(name, service)
    yield from secret_problems(name, service)


def port_problems(name, service):
    """Yields problems with published ports: no store may have one, and none may be reachable from other machines."""
    ports = service.get("ports", [])
    if ports and name in STORES:
        yield f"{name}: a store with a published port"
    yield from (f"{name}: {port} is published beyond this machine" for port in ports if not str(port).startswith("127.0.0.1:"))
    yield from (f"{name}: {volume} is the engine's socket" for volume in service.get("volumes", []) if "docker.sock" in str(volume))


def secret_problems(name, service):
    """Yields secrets that are given as values: a secret must be a file, since everybody can read this one."""
    environment = service.get("environment", {}) or {}
    if isinstance(environment, list):
        environment = dict(line.partition("=")[::2] for line in environment)
    for key, value in environment.items():
        secret = re.search(r"(PASSWORD|SECRET|TOKEN|_KEYS?$|^DATABASE_URL|^REDIS_URL)", key)
        if secret and not key.endswith("_FILE") and not key.endswith("__FILE"):
            yield f"{name}: {key} is given as a value"


def order_problems(name, service, services):
    """Yields problems with the start order: a service may wait for a checked health, or for an end."""
    for other, how in (service.get("depends_on") or {}).items():
        condition = how.get("condition") if isinstance(how, dict) else None
        if other not in services:
            yield f"{name}: waits for {other}, which there is not"
        elif condition == "service_healthy":
            if other in NO_HEALTH:
                yield f"{name}: waits for the health of {other}, which has none"
        elif condition != "service_completed_successfully":
            yield f"{name}: does not wait until {other} is healthy or done"
        elif services[other].get("restart") != "no":
            yield f"{name}: waits for the end of {other}, which restarts"


def problems(compose):
    """Yields all problems of a parsed compose file."""
    services = compose.get("services", {})
    for name, service in services.items():
        yield from service_problems(name, service)
        yield from order_problems(name, service, services)
    networks = compose.get("networks", {})
    for name in STORES & set(services):
        reached = services[name].get("networks", [])
        if not reached or not all((networks.get(network) or {}).get("internal") for network in reached):
            yield f"{name}: a store on a network that leads out"
    volumes = {str(v).split(":")[0] for s in services.values() for v in s.get("volumes", [])}
    yield from (f"volume {name} is not declared" for name in sorted(volumes) if "/" not in name and name not in compose.get("volumes", {}))
    yield from (f"volume {name} is used by nobody" for name in sorted(set(compose.get("volumes", {})) - volumes))
