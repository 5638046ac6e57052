"""The little we use of `jgo`, a Maven resolver in pure Python."""

from __future__ import annotations

from pathlib import Path

from ragwheel.schemas.errors import DependencyError

_ATTEMPTS = 3


class MavenJars:
    """Resolves and downloads jars into a directory with Maven's layout.

    Repositories are jgo's: its default, and those in the user's own jgo configuration, where
    an entry named `central` replaces the default (a company mirror, for instance).

    Args:
        directory: where downloads go. jgo writes files in place, so an interrupted download
            leaves a broken jar: give each run its own.
    """

    def __init__(self, directory: Path) -> None:
        try:
            from jgo.config import GlobalSettings
            from jgo.constants import MAVEN_CENTRAL_URL
            from jgo.maven import MavenContext
        except ImportError as error:
            raise DependencyError("jgo", 'pip install "ragwheel[local]"') from error
        self._context = MavenContext(
            repo_cache=directory,
            remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
            timeout=15,
        )

    def resolve(self, coordinate: str) -> list[str]:
        """The coordinate and everything it needs at run time, as `group:artifact:version`."""
        root = self._context.create_dependency(coordinate)
        inputs, transitive = self._context.resolver.resolve([root])
        needed = [*inputs, *(dep for dep in transitive if dep.scope in ("compile", "runtime"))]
        return [f"{dep.groupId}:{dep.artifactId}:{dep.version}" for dep in needed]

    def download(self, coordinate: str) -> Path:
        """Fetches one jar; jgo checks it against the repository's SHA-1.

        Raises:
            DependencyError: it cannot be had, after a few attempts.
        """
        import requests

        artifact = self._context.create_dependency(coordinate).artifact
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return artifact.resolve()
            except (requests.RequestException, RuntimeError) as error:
                if (partial := artifact.cached_path) is not None:
                    partial.unlink(missing_ok=True)
                if attempt == _ATTEMPTS:
                    reason = str(error).splitlines()[0][:200]
                    raise DependencyError(
                        coordinate,
                        f"downloading failed ({type(error).__name__}: {reason}). Check the network "
                        "and HTTPS_PROXY; behind a mirror, name it `central` in the [repositories] "
                        "of jgo's configuration; then run the same command again, it continues",
                    ) from error
        raise AssertionError("unreachable: the last attempt returns or raises")
