"""The composition root: from settings to a running connector; nothing else joins the rooms.

What runs is in `service.service`, which commands that only look need not load: it brings HTTP and the pipeline's edges.
"""

from connector.service.factories import boottime, kafka_config, ledger_topic, open_token, quota_policy, statuses

__all__ = ["boottime", "kafka_config", "ledger_topic", "open_token", "quota_policy", "statuses"]
