"""What all tests of the chart share: one run of each invariant for each scenario, and a last line that counts."""

import sys
import pathlib

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

import chart  # noqa: E402


@pytest.fixture(params=sorted(chart.scenarios()))
def scenario(request):
    """The name of a `ci/*-values.yaml`."""
    return request.param


@pytest.fixture
def objects(scenario):
    """Everything that the chart makes of a scenario."""
    return chart.objects_of(scenario)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.passed and "scenario" in item.fixturenames:
        chart.counts["invariants"] += 1


def pytest_terminal_summary(terminalreporter):
    counts = chart.counts
    terminalreporter.write_line(
        f"the chart: {counts['renders']} renders, {counts['invariants']} invariants, {counts['refusals']} refusals"
    )
