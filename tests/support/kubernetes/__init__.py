"""A real Kubernetes with real Pods on this machine, for what no schema can tell: whether the release runs."""
