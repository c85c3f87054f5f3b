"""A real Kubernetes with real Pods on this machine: shows whether the release runs, which no schema can."""
