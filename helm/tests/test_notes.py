"""R06: what Helm prints after an install, and what the package holds."""

import subprocess
import tarfile

import chart
import pytest


def notes(scenario, extra=None):
    """The notes of a dry run, without a cluster."""
    done = chart.run(["install", chart.RELEASE, "--dry-run=client"], chart.scenarios()[scenario], extra)
    assert done.returncode == 0, done.stderr
    chart.counts["renders"] += 1
    return done.stdout.partition("NOTES:")[2]


def test_the_next_three_commands_are_told():
    """R06: wait and test, make the first key, open the page; with the names that this release has."""
    text = notes("default")
    name, space = f"{chart.RELEASE}-switchboard", chart.NAMESPACE
    assert f"kubectl -n {space} rollout status deployment/{name}-worker" in text
    assert f"helm -n {space} test {chart.RELEASE}" in text
    assert f"kubectl -n {space} exec deployment/{name}-api -- switchboard-api keys create --admin --name bootstrap" in text
    assert f"kubectl -n {space} port-forward service/{name}-api 8080:80" in text
    assert "NOT FOR PRODUCTION" not in text and "switchboard-credential-keys" in text


@pytest.mark.parametrize(
    "scenario, words",
    [
        ("trial", "NOT FOR PRODUCTION: dev.* runs Postgres, Redis, a virtual WhatsApp"),
        ("bare", "Pods wait until you have run `switchboard-api migrate`"),
        ("ha", "https://switchboard.example.com/docs"),
        ("default", "It may hold 176 connections to Postgres"),
    ],
)
def test_notes_fit_the_values(scenario, words):
    """R06: trials are warned, whoever migrates by hand is told, so is who needs more connections than Postgres has by default, and an Ingress is where the page is."""
    assert words in notes(scenario)


def test_the_package_holds_what_it_needs(tmp_path):
    """R06: `helm package` takes schema, files and overlays along, and leaves the test's values behind; the package renders the same."""
    done = subprocess.run([chart.HELM, "package", chart.CHART, "-d", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = {name.removeprefix("switchboard/") for name in archive.getnames()}
    assert {"values.schema.json", "values-ha.yaml", "values-minimal.yaml", "README.md", "files/settings.yaml"} <= names
    assert not any(name.startswith("ci/") for name in names)
    files = chart.scenarios()["default"]
    assert chart.template(files, chart=package) == chart.template(files)
