"""The composition root: from settings to a running connector; nothing else joins the rooms."""

from connector.service.factories import boottime, kafka_config, ledger_topic, open_token, quota_policy, statuses
from connector.service.service import Service, serve
from connector.service.status import MOST_PARTITIONS

__all__ = [
    "MOST_PARTITIONS",
    "Service",
    "boottime",
    "kafka_config",
    "ledger_topic",
    "open_token",
    "quota_policy",
    "serve",
    "statuses",
]
