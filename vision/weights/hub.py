"""Weights on the Hugging Face Hub, named ``hf://user/name[/FILE][@REVISION]``."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from vision.errors import WeightsError
from vision.extras import require_package, silenced
from vision.urls import mask_url

logger = logging.getLogger(__name__)

PREFIX = "hf:/"
"""The beginning of a name; `Path` turns the two slashes into one."""
DEFAULT_FILE = "model.safetensors"
TIMEOUT = 5.0
"""Seconds to wait for an answer of the Hub before the cache is used."""
SERVER_ERROR = 500
"""Lowest HTTP status that means a failure of the Hub itself."""
_NAME = re.compile(r"hf:/{1,2}(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOG_IN = "log in with hf auth login or HF_TOKEN"


class HubName(NamedTuple):
    """The parts of the name of a file on the Hub.

    Attributes:
        repo: ``user/name``.
        file: Path in the repository; None if the name has none.
        revision: Branch, tag or commit; None for the newest state.
    """

    repo: str
    file: str | None = None
    revision: str | None = None


def parse_name(name: str) -> HubName:
    """Split a name into its parts.

    Raises:
        WeightsError: If it does not have the form of a name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise WeightsError(
            f"weights {name}: expected hf://user/name, hf://user/name/FILE, or one of these with"
            " @REVISION"
        )
    return HubName(match["repo"], match["file"], match["revision"])


def fetch(name: str) -> Path:
    """Return the path of a file in huggingface_hub's cache, and download it if it is missing there.

    If the Hub cannot be reached, the cached file is used, with a warning. If the file is an
    ``.xml`` of OpenVINO, its ``.bin`` is downloaded to the same folder.

    Raises:
        WeightsError: If the name has another form, or the file cannot be downloaded.
        ConfigError: If huggingface_hub is not installed.
    """
    place = parse_name(name)
    hub = require_package("huggingface_hub", "hub")
    file = place.file or DEFAULT_FILE
    files = [file, f"{file.removesuffix('.xml')}.bin"] if file.endswith(".xml") else [file]
    constants: Any = require_package("huggingface_hub.constants", "hub")
    where, server = f"weights hf://{place.repo}", mask_url(constants.ENDPOINT)
    logger.info("%s: asking %s", where, server)
    with _explained(where, place, file):
        is_local = not _is_reachable(hub, place, file)
        options = {"revision": place.revision, "local_files_only": is_local}
        paths = [hub.hf_hub_download(place.repo, path, **options) for path in files]
    if is_local:
        logger.warning("warning: %s: %s cannot be reached; using the cached file", where, server)
    return Path(paths[0])


def _is_reachable(hub: ModuleType, place: HubName, file: str) -> bool:
    """Return whether the Hub answers, from one request: huggingface_hub retries for half a minute.

    Raises:
        HTTPError: If it answers that the file is not available.
    """
    cached = hub.try_to_load_from_cache(place.repo, file, revision=place.revision)
    if _COMMIT.fullmatch(place.revision or "") and isinstance(cached, str):
        return True  # A commit in the cache cannot change, so nothing is requested.
    url = hub.hf_hub_url(place.repo, file, revision=place.revision)
    errors: Any = require_package("huggingface_hub.errors", "hub")
    try:
        hub.get_hf_file_metadata(url, timeout=TIMEOUT)
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
        answer = getattr(error, "response", None)
        if answer is not None and answer.status_code < SERVER_ERROR:
            raise
        return False
    return True


def push(name: str, files: Mapping[str, Path | bytes]) -> str:
    """Upload files in one commit to a repository, which is created if it does not exist.

    Args:
        name: ``hf://user/name``.
        files: The content of each file, or the path of a local file, by path in the repository.

    Returns:
        The address of the repository's page.

    Raises:
        WeightsError: If the name has another form, or the upload fails.
        ConfigError: If huggingface_hub is not installed.
    """
    place = parse_name(name)
    if place.file or place.revision:
        raise WeightsError(
            f"{name}: weights are pushed to hf://user/name, without a file or revision"
        )
    hub = require_package("huggingface_hub", "hub")
    added = [hub.CommitOperationAdd(path, content) for path, content in files.items()]
    with _explained(f"push to hf://{place.repo}", place):
        api = hub.HfApi()
        address = str(api.create_repo(place.repo, exist_ok=True))
        api.create_commit(place.repo, added, commit_message="Detector of ssdlite")
    return address


@contextmanager
def _explained(what: str, place: HubName, file: str = "") -> Iterator[None]:
    """Turn errors of huggingface_hub into messages of one line.

    The errors' own texts are left out, because they have several lines and contain URLs.
    """
    errors = require_package("huggingface_hub.errors", "hub")
    try:
        with silenced():  # huggingface_hub logs each request and each retry
            yield
    except (OSError, errors.HTTPError, errors.HFValidationError) as error:
        raise WeightsError(f"{what}: {_reason(error, errors, place, file)}") from error


def _reason(error: Exception, errors: object, place: HubName, file: str) -> str:
    """Explain why a request failed, and name the remedy."""
    causes = {
        "GatedRepoError": f"ask its owner for access on its page first; {_LOG_IN}",
        "RepositoryNotFoundError": f"it does not exist or you have no access; {_LOG_IN}",
        "RevisionNotFoundError": f"it has no revision {place.revision}",
        "RemoteEntryNotFoundError": f"it has no file {file}; name one as hf://{place.repo}/FILE",
        "LocalEntryNotFoundError": "the hub cannot be reached, and the cache has no such file;"
        " check the connection, HF_ENDPOINT and HF_HUB_OFFLINE",
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE forbids connections; unset it",
        "LocalTokenNotFoundError": f"it requires a token; {_LOG_IN}",
        "HFValidationError": "the hub does not allow this name",
    }
    for name, text in causes.items():
        if isinstance(error, getattr(errors, name)):
            return text
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return f"access was refused (HTTP {status}); {_LOG_IN}, with write permission for push"
    if status is not None:
        return f"the hub answered with HTTP {status}; try again later"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'the cache'}: {error.strerror}"
    return (
        f"the connection failed ({type(error).__name__}); check it and HF_ENDPOINT, and try again"
    )
