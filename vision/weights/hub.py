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
"""How a name begins; `Path` makes one slash of two."""
DEFAULT_FILE = "model.safetensors"
TIMEOUT = 5.0
"""Seconds for which the hub may be silent before the cache is used."""
SERVER_ERROR = 500
"""Lowest HTTP status that tells of a failure of the hub itself."""
_NAME = re.compile(r"hf:/{1,2}(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOG_IN = "hf auth login, or the variable HF_TOKEN, gives access to private ones"


class HubName(NamedTuple):
    """A file on the hub.

    Attributes:
        repo: ``user/name``.
        file: Path in the repository; None where the name has none.
        revision: Branch, tag or commit; None for the newest state.
    """

    repo: str
    file: str | None = None
    revision: str | None = None


def parse_name(name: str) -> HubName:
    """The parts of a name.

    Raises:
        WeightsError: If it has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise WeightsError(
            f"weights {name}: expected hf://user/name, hf://user/name/FILE, or one of these with"
            " @REVISION"
        )
    return HubName(match["repo"], match["file"], match["revision"])


def fetch(name: str) -> Path:
    """The file of a name, in huggingface_hub's cache, where it is loaded if it is not there.

    Where the hub cannot be reached, the file that the cache has is taken, and said so. Of
    OpenVINO's two files, the one named is returned and the other lies beside it.

    Raises:
        WeightsError: If the name has another form, or the file cannot be loaded.
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
        paths = [hub.hf_hub_download(place.repo, one, **options) for one in files]
    if is_local:
        logger.warning("warning: %s: %s cannot be reached: taken from the cache", where, server)
    return Path(paths[0])


def _is_reachable(hub: ModuleType, place: HubName, file: str) -> bool:
    """Whether the hub answers: asked once, where huggingface_hub tries for half a minute.

    Raises:
        HTTPError: If it answers that the file cannot be had.
    """
    cached = hub.try_to_load_from_cache(place.repo, file, revision=place.revision)
    if _COMMIT.fullmatch(place.revision or "") and isinstance(cached, str):
        return True  # and nothing is asked
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
    """Upload files in one commit to a repository, which is made if there is none.

    Args:
        name: ``hf://user/name``.
        files: Content, or the file that has it, by path in the repository.

    Returns:
        The address of the repository's page.

    Raises:
        WeightsError: If the name has another form, or the upload fails.
        ConfigError: If huggingface_hub is not installed.
    """
    place = parse_name(name)
    if place.file or place.revision:
        raise WeightsError(
            f"{name}: weights are pushed to hf://user/name, without file or revision"
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
    """Turn the errors of huggingface_hub into one line each.

    Their own texts are left out: they have several lines, and addresses.
    """
    errors = require_package("huggingface_hub.errors", "hub")
    try:
        with silenced():  # each request and each new try is logged
            yield
    except (OSError, errors.HTTPError, errors.HFValidationError) as error:
        raise WeightsError(f"{what}: {_reason(error, errors, place, file)}") from error


def _reason(error: Exception, errors: object, place: HubName, file: str) -> str:
    """Why a request failed, and the remedy."""
    causes = {
        "GatedRepoError": f"its owner has to grant access first, on its page; {_LOG_IN}",
        "RepositoryNotFoundError": f"there is none of this name, or no access to it; {_LOG_IN}",
        "RevisionNotFoundError": f"it has no revision {place.revision}",
        "RemoteEntryNotFoundError": f"it has no file {file}; name one as hf://{place.repo}/FILE",
        "LocalEntryNotFoundError": "the hub cannot be reached, and the cache has no such file;"
        " check the connection, HF_ENDPOINT and HF_HUB_OFFLINE",
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE forbids connections; unset it",
        "LocalTokenNotFoundError": f"it takes a token; {_LOG_IN}",
        "HFValidationError": "the hub does not allow this name",
    }
    for name, text in causes.items():
        if isinstance(error, getattr(errors, name)):
            return text
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return f"access was refused (HTTP {status}); {_LOG_IN}, with permission to write for push"
    if status is not None:
        return f"the hub answered with HTTP {status}; try again later"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'the cache'}: {error.strerror}"
    return (
        f"the connection failed ({type(error).__name__}); check it and HF_ENDPOINT, and try again"
    )
