"""What the dashboards, rules and rule tests are made of. `grafana/build.py` prints it to the files beside it."""
