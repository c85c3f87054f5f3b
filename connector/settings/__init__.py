"""The service's settings: environment variables in, one frozen `Settings` out, or every mistake at once."""

from connector.settings.describe import SettingDoc, describe, json_schema, markdown, masked
from connector.settings.errors import BadSettings, Mistake
from connector.settings.load import load, load_part
from connector.settings.model import Settings

__all__ = [
    "BadSettings",
    "Mistake",
    "SettingDoc",
    "Settings",
    "describe",
    "json_schema",
    "load",
    "load_part",
    "markdown",
    "masked",
]
