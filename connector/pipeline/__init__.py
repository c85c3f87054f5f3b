"""The main path: a batch of records in, one update a visitor out, and the offset committed when all behind it is done.

    records ─▶ decode ─▶ coalesce ─▶ gate (circuit, lease, slots, rate) ─▶ render ─▶ send ─▶ settle ─▶ commit
                  └───────────────────────── dead letter ◀──────────────────────────┘

`state` is what all parts know and change by verbs. `intake` takes records, `assignment` follows the group, `dispatch`
sends updates and reads answers, `committer` commits, `dead_letter_writer` writes what can never be delivered,
`quota_manager` keeps leases, `back_pressure` bounds what is pending, and `pipeline` is the life of it all.
"""

from connector.pipeline.config import PipelineConfig
from connector.pipeline.pipeline import Pipeline

__all__ = ["Pipeline", "PipelineConfig"]
