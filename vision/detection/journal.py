"""The progress of a detection run on disk, from which the run resumes after a kill."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal, cast, final

from vision.atomic import open_own
from vision.detection.journal_lines import Done, difference, make_line, parse_line
from vision.detection.schema import Entry
from vision.errors import ConfigError, DataError
from vision.locks import locked

FORMAT = "ssdlite-detections-1"


@final
class Journal:
    """A file of JSON lines: the settings, then for each input a start, its entries and an end.

    An input without an end line was interrupted by a kill. Entries are read from the file on
    demand: memory holds only two offsets for each input.

    Args:
        folder: Folder of the run's results.
        settings: Settings that a resumed run must not change.
        resume: Whether to continue an existing file.

    Attributes:
        done: The inputs with entries, by name.

    Raises:
        ConfigError: If the existing file has other settings, or another process works in the
            folder.
        DataError: If the file cannot be read or written.
    """

    NAME = "detections.journal"

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.path = folder / self.NAME
        self.done: dict[str, Done] = {}
        head = make_line({"format": FORMAT, "settings": dict(settings)})
        self._started = self._end = 0
        self._lock = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(folder))
            is_resumed = resume and self.path.exists()
            if is_resumed:
                self._end = self._read_done(head)
            # Unbuffered, so that a line is in the file once `add` returns, and a kill loses none.
            self._file = self._open("r+b" if is_resumed else "wb")
        except BaseException as error:
            self._lock.close()
            if isinstance(error, OSError):
                raise DataError(f"{self.path} cannot be used: {error.strerror or error}") from error
            raise
        try:
            if is_resumed:
                self._file.truncate(self._end)
                self._file.seek(self._end)
            if not self._end:
                self._write(head)
        except BaseException:
            self.close()
            raise

    def _open(self, mode: Literal["rb", "r+b", "wb"], buffering: int = 0) -> IO[bytes]:
        return open(self.path, mode, buffering, opener=open_own)

    def _read_done(self, head: bytes) -> int:
        """Fill ``done`` from the file; return the offset of the end of its last complete line."""
        begun, start, entries, end = "", 0, 0, 0
        with self._open("rb", buffering=-1) as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0 and line != head:
                    raise ConfigError(difference(line, head, self.path))
                if line.startswith(b'{"start"'):
                    self._keep(begun, start, entries, end)
                    begun, start, entries = (
                        parse_line(line, self.path)["start"],
                        end,
                        end + len(line),
                    )
                end += len(line)
                if line.startswith(b'{"done"'):
                    done = parse_line(line, self.path)
                    complete = done.get("complete", True)
                    self.done[done["done"]] = Done(done["place"], start, end, complete)
                    entries = end
        self._keep(begun, start, entries, end)
        return end

    def _keep(self, name: str, start: int, entries: int, end: int) -> None:
        """Record the entries of an input without an end line, unless an earlier try has more.

        ``start``, ``entries`` and ``end`` are the offsets of its start line, of its first entry and
        of the end of its last entry.
        """
        before = self.done.get(name)
        if name and end > entries and (before is None or end - start > before.end - before.start):
            self.done[name] = Done(None, start, end, complete=False)

    def check(self, places: Mapping[str, str]) -> None:
        """Check that the inputs with entries are still inputs, with results at the same paths.

        Args:
            places: Paths of results, relative to the output folder, by name of the input.

        Raises:
            ConfigError: If one is missing, or its result has another path.
        """
        for name, done in self.done.items():
            if name not in places or done.place not in {None, places[name]}:
                raise ConfigError(
                    f"{name} has results, but is not among the inputs now, or its result would have"
                    " another path; resume with the same inputs, or start again with --overwrite"
                )

    def __contains__(self, name: str) -> bool:
        return name in self.done and self.done[name].complete

    def start(self, name: str) -> None:
        """Write the start line of an input."""
        self._started = self._end
        self._write(make_line({"start": name}))

    def add(self, entry: Entry) -> None:
        """Write an entry of the started input."""
        self._write(make_line(entry))

    def finish(self, name: str, place: str, *, complete: bool = True) -> None:
        """Write the end of the started input; ``place`` and ``complete`` are as in `Done`."""
        self._write(make_line({"done": name, "place": place, "complete": complete}))
        self.done[name] = Done(place, self._started, self._end, complete)

    def keep(self, name: str) -> None:
        """Count an interrupted input as complete with the entries that it has."""
        self.done[name] = self.done[name]._replace(complete=True)

    def entries(self, names: Sequence[str]) -> Iterator[Entry]:
        """Yield all entries of the inputs in ``done``, in the order of ``names``.

        Raises:
            DataError: If the file is damaged.
        """
        with self._open("rb", buffering=-1) as file:
            for done in (self.done[name] for name in names if name in self.done):
                file.seek(done.start)
                while file.tell() < done.end:
                    line = parse_line(file.readline(), self.path)
                    if "start" not in line and "done" not in line:
                        yield cast("Entry", line)

    def close(self) -> None:
        """Close the file, and release the lock on the folder."""
        self._file.close()
        self._lock.close()

    def remove(self) -> None:
        """Close and remove the file, once all results are written."""
        self._file.close()
        self.path.unlink()
        self.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        data = memoryview(line)
        try:
            if self._file.tell() != self._end:  # Ctrl-C after a write, before it was counted
                self._file.truncate(self._end)
                self._file.seek(self._end)
            while data:
                written = self._file.write(data)
                self._end += written
                data = data[written:]
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror or error}); what is done is kept:"
                " make room and continue with --resume"
            ) from error
