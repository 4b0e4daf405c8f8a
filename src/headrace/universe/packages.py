"""Packages in a directory, as the Universe has them: ``<name>/<release>/`` with package.json, config.json,
marathon.json.mustache and resource.json. Also ``<letter>/<name>/<release>/``, as in its repository.

``rendered`` makes of a package and options the app that Marathon is told; like DC/OS it labels the app, so that who
lists the installed packages needs no memory of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from headrace.kernel.daemon import UserError
from headrace.universe import mustache, schema

BUILT_IN = Path(__file__).parent / "packages"
"""The directory of packages that come with Headrace."""
NAME_LABEL, VERSION_LABEL, FRAMEWORK_LABEL = (
    "DCOS_PACKAGE_NAME",
    "DCOS_PACKAGE_VERSION",
    "DCOS_PACKAGE_FRAMEWORK_NAME",
)
_SOURCE_LABEL, _OPTIONS_LABEL, _DEFINITION_LABEL = (
    "DCOS_PACKAGE_SOURCE",
    "DCOS_PACKAGE_OPTIONS",
    "DCOS_PACKAGE_DEFINITION",
)
_FILES = ("package.json", "config.json", "resource.json")


class Package(msgspec.Struct, frozen=True):
    """One release of a package. ``about``, ``config`` and ``resource`` are its files, as they are."""

    name: str
    version: str
    release: int
    source: str
    about: dict[str, Any]
    config: dict[str, Any]
    resource: dict[str, Any]
    template: str


def find(repository: Path, name: str, version: str = "") -> Package:
    """The release of ``version``, or the newest. Raises UserError that names the directory or the file."""
    found = sorted(_releases(repository, name), key=lambda one: one.release)
    if not found:
        known = ", ".join(names(repository)) or "none"
        raise UserError(f"package {name!r} is not in {repository}; packages there: {known}")
    if not version:
        return found[-1]
    for package in reversed(found):
        if package.version == version:
            return package
    raise UserError(
        f"package {name} has no version {version!r} in {repository}; versions: {', '.join(p.version for p in found)}"
    )


def names(repository: Path) -> list[str]:
    """The names of all packages of a repository. Raises UserError if it is no directory."""
    return sorted(directory.name for directory in _directories(repository))


def read(directory: Path) -> Package:
    """One release. Raises UserError that names the file."""
    about, config, resource = (_json(directory / file, needed=file == "package.json") for file in _FILES)
    template = directory / "marathon.json.mustache"
    for key in ("name", "version"):
        if not isinstance(about.get(key), str):
            raise UserError(f"{directory / 'package.json'}: {key} must be a text")
    return Package(
        name=about["name"],
        version=about["version"],
        release=int(directory.name) if directory.name.isdigit() else 0,
        source=str(directory),
        about=about,
        config=config,
        resource=resource,
        template=_text(template),
    )


def settled(package: Package, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the package's defaults. Raises UserError with a line per wrong option, named by its path."""
    if not package.config and options:
        raise UserError(f"package {package.name} {package.version} has no options; leave them out")
    whole = schema.merged(schema.defaults(package.config), options)
    if wrong := schema.problems(package.config, whole):
        lines = "\n  ".join(wrong)
        raise UserError(f"options of package {package.name} {package.version} are not right:\n  {lines}")
    return whole


def rendered(package: Package, options: Mapping[str, Any], app_id: str = "") -> dict[str, Any]:
    """The app that the package is with these options. Raises UserError."""
    values = {**settled(package, options), "resource": package.resource}
    where = f"{package.source}/marathon.json.mustache"
    try:
        text = mustache.render(package.template, values)
    except mustache.TemplateError as error:
        raise UserError(f"{where}: {error}") from None
    try:
        app = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UserError(f"{where} does not become a JSON object with these options: {error}") from None
    labels = app.get("labels", {})
    if not isinstance(labels, dict):
        raise UserError(f"{where}: labels must be an object")
    app["labels"] = {**labels, **_labels(package, options)}
    if app_id:
        app["id"] = app_id
    return app


def _labels(package: Package, options: Mapping[str, Any]) -> dict[str, str]:
    definition = {**package.about, "releaseVersion": package.release}
    return {
        NAME_LABEL: package.name,
        VERSION_LABEL: package.version,
        _SOURCE_LABEL: package.source,
        _OPTIONS_LABEL: _encoded(schema.without_secrets(package.config, options)),  # everybody sees labels
        _DEFINITION_LABEL: _encoded(definition),
    }


def _encoded(value: Any) -> str:
    return base64.b64encode(msgspec.json.encode(value)).decode()


def _directories(repository: Path) -> Iterator[Path]:
    if not repository.is_dir():
        raise UserError(f"{repository} is no directory of packages; give one with --repo")
    for directory in sorted(repository.iterdir()):
        if not directory.is_dir():
            continue
        if _numbers(directory):
            yield directory
        elif len(directory.name) == 1:
            yield from (one for one in sorted(directory.iterdir()) if one.is_dir() and _numbers(one))


def _numbers(directory: Path) -> list[Path]:
    return [one for one in directory.iterdir() if one.name.isdigit() and (one / "package.json").is_file()]


def _releases(repository: Path, name: str) -> list[Package]:
    directories = [one for one in _directories(repository) if one.name == name]
    return [read(release) for directory in directories for release in _numbers(directory)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{path} can't be read: {why}") from None


def _json(path: Path, *, needed: bool) -> dict[str, Any]:
    if not needed and not path.exists():
        return {}
    try:
        return msgspec.json.decode(_text(path), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UserError(f"{path}: {error}") from None
