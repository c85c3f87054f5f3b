"""Single HTTP exchanges with the APIs around the work: a Schema Registry, a token service, Kubernetes."""
