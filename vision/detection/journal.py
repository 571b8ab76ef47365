"""What a detection run has done so far, on disk, for it to go on after a kill."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, final

from vision.errors import ConfigError, DataError

__all__ = ["Done", "Journal"]

FORMAT = "ssdlite-detections-1"


class Done(NamedTuple):
    """An input that is done.

    Attributes:
        place: Where its result went.
        start: Where its lines begin in the file, in bytes.
        end: Where they end.
    """

    place: str
    start: int
    end: int


NOTHING = Done("", 0, 0)


@final
class Journal:
    """A file of lines: settings first, then for each input a start, its entries, and a done.

    An input whose done is missing counts as not begun. Entries are read from the file when they
    are wanted, so that memory holds a place for each input and no more.

    Args:
        folder: Where the run's results go.
        settings: What must be the same for a run to go on with another's.
        resume: Go on with what is there, if anything.

    Attributes:
        done: The inputs that are done, by name.

    Raises:
        ConfigError: If what is there was begun with other settings.
        DataError: If the file cannot be read or written.
    """

    NAME = "detections.journal"

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.path = folder / self.NAME
        self.done: dict[str, Done] = {}
        head = _line({"format": FORMAT, "settings": dict(settings)})
        self._started = self._end = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            goes_on = resume and self.path.exists()
            if goes_on:
                self._end = self._read(head)
            # Unbuffered: what is written outlasts a kill, and what is not is not written later.
            self._file = self.path.open("r+b" if goes_on else "wb", buffering=0)
        except OSError as error:
            raise DataError(f"{self.path} cannot be used: {error.strerror or error}") from error
        try:
            if goes_on:
                self._file.truncate(self._end)
                self._file.seek(self._end)
            if not self._end:
                self._write(head)
        except BaseException:
            self.close()
            raise

    def _read(self, head: bytes) -> int:
        """Note what is done; the end of the last whole line."""
        start, end = 0, 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0 and line != head:
                    raise ConfigError(self._difference(line, head))
                if line.startswith(b'{"start"'):
                    start = end
                end += len(line)
                if line.startswith(b'{"done"'):
                    done = json.loads(line)
                    self.done[done["done"]] = Done(done["place"], start, end)
        return end

    def _difference(self, found: bytes, wanted: bytes) -> str:
        try:
            before = json.loads(found)["settings"]
        except (ValueError, KeyError, TypeError):
            return f"{self.path} is damaged; remove it and start anew"
        now = json.loads(wanted)["settings"]
        changed = [key for key in now if before.get(key) != now[key]]
        return (
            f"{self.path} was begun with other settings ({', '.join(changed) or 'format'});"
            " resume with the same, or start anew with --overwrite"
        )

    def __contains__(self, name: str) -> bool:
        return name in self.done

    def start(self, name: str) -> None:
        """Begin an input."""
        self._started = self._end
        self._write(_line({"start": name}))

    def add(self, entry: Mapping[str, Any]) -> None:
        """An entry of the input that was begun."""
        self._write(_line(entry))

    def finish(self, name: str, place: str) -> None:
        """The input is done, its result at ``place``; from now on it is not done again."""
        self._write(_line({"done": name, "place": place}))
        self.done[name] = Done(place, self._started, self._end)

    def entries(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All entries of inputs that are done, in the order of ``names``."""
        with self.path.open("rb") as file:
            for name in names:
                done = self.done.get(name, NOTHING)
                file.seek(done.start)
                while file.tell() < done.end:
                    line = json.loads(file.readline())
                    if "start" not in line and "done" not in line:
                        yield line

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Close and remove the file, once all results are written."""
        self.close()
        self.path.unlink()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        data = memoryview(line)
        try:
            while data:
                written = self._file.write(data)
                self._end += written
                data = data[written:]
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror or error}); what is done is kept:"
                " make room and go on with --resume"
            ) from error


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
