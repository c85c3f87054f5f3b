"""What stops a reader from being made."""


class MissingExtra(Exception):
    """A format needs a package that is not installed; the message names the extra that brings it."""

    def __init__(self, format_name: str, extra: str) -> None:
        super().__init__(
            f"the format {format_name} needs the extra {extra}: pip install 'target-profile-connector[{extra}]'"
        )
        self.format = format_name
        self.extra = extra
