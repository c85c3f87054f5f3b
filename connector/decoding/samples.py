"""Which paths of a source find something in some records of its topics: for those who check a mapping."""

from typing import cast

from connector.delivery.dead_letter import MADE_HEADER
from connector.delivery.ports import Record
from connector.events.change import Refused
from connector.formats import Schemas, make_reader
from connector.formats.document import Record as FormatRecord
from connector.formats.document import first_header
from connector.mapping import Coverage, Source, Unmatched


class SourceSamples:
    """Collects records of one source, read whole, whatever its mapping makes of them."""

    def __init__(self, source: Source, schemas: Schemas | None) -> None:
        """Raises what `event_reader` raises."""
        self.source = source
        self.seen = 0
        """Records whose paths were looked at: those that can be read and are no tombstones."""
        self._reader = make_reader(source.format, schemas, key=source.key, zero_values=source.zero_values)
        self._coverage = Coverage(source)

    def see(self, record: Record) -> None:
        """Take one in. Raises `SchemaMissing` as reading does."""
        if first_header(record.headers(), MADE_HEADER) is not None:
            return
        try:
            document = self._reader.read(cast("FormatRecord", record))
            if document is not None:
                written = record.timestamp()[1]
                self._coverage.see(document.value, document.key, document.headers, record.topic(), written)
                self.seen += 1
        except Refused:
            return  # Who reads it by the mapping says why.

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """The paths that found nothing; none where nothing was seen."""
        return self._coverage.unmatched() if self.seen else ()
