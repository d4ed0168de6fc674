"""Checks a Dockerfile by the rules of our images. Pure: takes text and yields sentences."""
import json
import re
from dataclasses import dataclass, field

LABELS = ["title", "description", "source", "version", "revision", "created", "licenses"]
# Bases without a version in their tag, and why that is accepted.
MOVING = {"gcr.io/distroless/cc-debian12:nonroot": "distroless has only moving tags; a release passes its digest"}
# Images that run nothing, or that end by themselves.
NO_HEALTH = {"symbols", "demo"}


@dataclass
class Stage:
    """One build stage: its steps as (instruction, text), the stage or image that it starts from, and its name."""

    base: str
    name: str
    steps: list = field(default_factory=list)


def instructions(text):
    """Yields each (INSTRUCTION, argument). Continued lines are joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def stages(text):
    """Returns all stages. Arguments in their bases are replaced by the defaults given before the first stage."""
    defaults, found = {}, []
    for word, rest in instructions(text):
        if word == "FROM":
            base, _, name = re.sub(r"^--platform=\S+\s+", "", rest).partition(" AS ")
            base = re.sub(r"\$\{(\w+)\}", lambda m: defaults.get(m.group(1), ""), base.strip())
            found.append(Stage(base, name.strip()))
        elif not found and word == "ARG":
            key, _, value = rest.partition("=")
            defaults[key] = value
        elif found:
            found[-1].steps.append((word, rest))
    return found


def inherited(stage, by_name):
    """Returns the steps of the stages that a stage starts from, followed by its own."""
    before = inherited(by_name[stage.base], by_name) if stage.base in by_name else []
    return before + stage.steps


def labels(steps):
    """Returns the OCI labels that the steps set, by their short names."""
    found = {}
    for word, rest in steps:
        if word == "LABEL":
            found.update(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', rest))
    return found


def base_problem(base):
    """Returns the problem with the reference of a base image, or None."""
    if "@sha256:" in base or base in MOVING:
        return None
    tag = base.rpartition("/")[2].partition(":")[2]
    if not tag or tag == "latest":
        return f"{base}: no version, or latest"
    if not re.match(r"v?\d+\.\d+", tag):
        return f"{base}: a tag that moves"
    if base.count("/") < 2:
        return f"{base}: no registry named"
    return None


def step_problems(stage):
    """Yields the problems of single steps."""
    for word, rest in stage.steps:
        if word == "ADD":
            yield f"{stage.name}: ADD; COPY says what it does"
        if word == "RUN" and "apt-get install" in rest:
            if "--no-install-recommends" not in rest:
                yield f"{stage.name}: apt-get install without --no-install-recommends"
            if "rm -rf /var/lib/apt/lists" not in rest:
                yield f"{stage.name}: package lists stay in the layer"
        if word == "RUN" and re.search(r"(curl|wget)\b.*\|\s*(ba)?sh", rest):
            yield f"{stage.name}: a download is run"
        if word == "RUN" and "cargo build" in rest and rest.count("cargo build") != rest.count("--locked"):
            yield f"{stage.name}: cargo build without --locked"
        if word in ("ARG", "ENV") and re.search(r"(PASSWORD|SECRET|TOKEN|_KEY)", rest.upper()):
            yield f"{stage.name}: a secret in {word}"
        if word == "COPY" and rest.split()[0] == ".":
            yield f"{stage.name}: copies everything"


def argument_problems(stage, by_name):
    """Yields arguments that a stage uses without declaring them: not all builders inherit those of the previous stage."""
    known = {name for word, rest in inherited(stage, by_name) if word == "ENV" for name in re.findall(r"(\w+)=", rest)}
    for word, rest in stage.steps:
        if word == "ARG":
            known.add(rest.partition("=")[0])
        for name in re.findall(r"\$\{?([A-Z][A-Z_]*)", rest):
            if name not in known:
                yield f"{stage.name}: {name} is not declared in this stage"


def image_problems(stage, by_name):
    """Yields the problems of a stage that becomes a published image."""
    steps = inherited(stage, by_name)
    users = [rest for word, rest in steps if word == "USER"]
    if not users or users[-1].split(":")[0] in ("0", "root"):
        yield f"{stage.name}: runs as root"
    elif not re.match(r"^\d+(:\d+)?$", users[-1]):
        yield f"{stage.name}: a user by name; Kubernetes can't see that it is not root"
    if any(word == "RUN" for word, _ in stage.steps):
        yield f"{stage.name}: runs commands in an image without a shell"
    if ("STOPSIGNAL", "SIGTERM") not in steps:
        yield f"{stage.name}: no STOPSIGNAL SIGTERM"
    checks = [rest for word, rest in steps if word == "HEALTHCHECK"]
    if not checks or (checks[-1] == "NONE") != (stage.name in NO_HEALTH):
        yield f"{stage.name}: HEALTHCHECK is missing, or is one where none belongs"
    has = labels(steps)
    yield from (f"{stage.name}: no label {name}" for name in LABELS if not has.get(name))
    if stage.name not in NO_HEALTH and not any(word == "EXPOSE" for word, _ in steps):
        yield f"{stage.name}: no EXPOSE"
    for word, rest in steps:
        if word in ("ENTRYPOINT", "CMD") and not isinstance(read_json(rest), list):
            yield f"{stage.name}: {word} goes through a shell"
    if "AGPL" in has.get("licenses", "") and not any(w == "COPY" and r.startswith("LICENSES ") for w, r in steps):
        yield f"{stage.name}: says AGPL and has no text of it"


def read_json(text):
    """Returns the value, or None if the text is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def problems(text, images):
    """Yields all problems of a Dockerfile whose stages `images` become published images."""
    found = stages(text)
    by_name = {stage.name: stage for stage in found}
    yield from (f"no target {name}" for name in images if name not in by_name)
    for stage in found:
        if not stage.name:
            yield f"a stage without a name, from {stage.base}"
        if stage.base not in by_name and (problem := base_problem(stage.base)):
            yield problem
        yield from step_problems(stage)
        yield from argument_problems(stage, by_name)
        if stage.name in images:
            yield from image_problems(stage, by_name)
