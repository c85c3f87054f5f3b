"""The ops room: what a person or a machine that runs the connector sees of it. Logs, metrics, health, one port."""
