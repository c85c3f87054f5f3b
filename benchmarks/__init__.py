"""What the connector costs, as ratios to bare loops of the same run; `make bench` runs it. See docs/performance.md."""
