"""The real pipeline in simulated worlds: several replicas, a group, an endpoint and faults, all of it from one seed."""
