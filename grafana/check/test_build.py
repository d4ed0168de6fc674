"""What is committed is what the script prints. R06."""

import sys

from conftest import GRAFANA, run


def test_the_committed_files_are_what_the_script_prints():
    """R06: dashboards, rules, tests and tables come from `grafana/source`."""
    run(sys.executable, str(GRAFANA / "build.py"), "--check")
