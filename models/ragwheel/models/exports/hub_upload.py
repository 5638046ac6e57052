"""Upload of a model to a Hugging Face hub, the public one or your own (`HF_ENDPOINT`)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ragwheel.models.exports.model_folder import fill
from ragwheel.models.exports.taken import ModelExportError, TakenSide
from ragwheel.schemas.errors import DependencyError, UnavailableError


def upload(taken: TakenSide, repository: str, *, endpoint: str | None = None) -> str:
    """Upload the folder of `model_folder` in one commit; makes the repository, private, if needed.

    The key is the one of `hf auth login`, or `HF_TOKEN`.

    Args:
        repository: OWNER/NAME.
        endpoint: of the hub; None: `HF_ENDPOINT`, else the public one.

    Returns:
        URL of the repository.

    Raises:
        ModelExportError: `repository` is no name, or the hub refuses it.
        UnavailableError: the hub does not answer.
    """
    try:
        import httpx
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise DependencyError("huggingface_hub", "pip install huggingface_hub") from None
    if repository.count("/") != 1:
        raise ModelExportError(f"{repository!r} is no repository of a hub: write OWNER/NAME")
    api = HfApi(endpoint=endpoint)
    try:
        with TemporaryDirectory() as folder:
            fill(taken, Path(folder))
            made = api.create_repo(repository, private=True, exist_ok=True)
            api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                commit_message=f"Model {taken.model_id}, {taken.side} side",
            )
        return str(made)
    except (HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelExportError(
            f"{api.endpoint} does not take {repository} ({reason}): log in with `hf auth login`, "
            "or set HF_TOKEN to a key that may write there"
        ) from None
    except (httpx.TransportError, OSError) as error:
        raise UnavailableError(f"{api.endpoint} does not answer: {error}") from None
