"""The story that the chart goes through on a real cluster (docs/cluster.md). It needs Python alone, and kubectl and helm in PATH."""
