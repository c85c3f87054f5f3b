"""The main path: a batch of records in, one update a visitor out, and the offset committed when all behind it is done.

    records ─▶ decode ─▶ coalesce ─▶ gate (circuit, lease, slots, rate) ─▶ render ─▶ send ─▶ settle ─▶ commit
                  └───────────────────────── dead letter ◀──────────────────────────┘

`pipeline` is the group's side of it (records in, offsets out), `dispatch` the endpoint's (updates out, answers in),
`burial` the dead letters'. All of it runs on one event loop, so a method without an `await` in it is atomic.
"""

from connector.pipeline.config import PipelineConfig
from connector.pipeline.pipeline import Pipeline

__all__ = ["Pipeline", "PipelineConfig"]
