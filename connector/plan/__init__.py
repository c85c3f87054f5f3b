"""What the service would send for a topic's last hours, by its own decoder, coalescer and rate, in virtual time.

    records ─▶ merge (partitions, by time) ─▶ survey (decode once) ─▶ two forecasts for each linger

Nothing here waits, reads or sends: the clock is the records' own timestamps.
"""

from connector.plan.forecast import Assumptions, Forecast
from connector.plan.merge import Dated, Merge
from connector.plan.survey import Cost, LingerForecast, Quota, Survey, SurveyResult
from connector.plan.unknown_visitors import calls_per_update

__all__ = [
    "Assumptions",
    "Cost",
    "Dated",
    "Forecast",
    "LingerForecast",
    "Merge",
    "Quota",
    "Survey",
    "SurveyResult",
    "calls_per_update",
]
