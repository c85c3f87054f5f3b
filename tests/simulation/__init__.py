"""The real pipeline in simulated worlds: several replicas, a group, an endpoint and faults, all from one seed."""
