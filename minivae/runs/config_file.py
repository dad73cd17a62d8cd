"""config.json: the settings of a run, its data and where it was computed, under its own sha256."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.models.config import ModelConfig
from minivae.runs import files
from minivae.runs.checkpoint import encode_json, sum_of
from minivae.runs.config import TrainConfig
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.schema import CONFIG as CONFIG_SCHEMA
from minivae.runs.strict_json import JsonFault, parse
from minivae.settings import ConfigError, UnknownPart

CONFIG = "config.json"
# Settings of training that came after the file's own sha256: what has one is of no earlier version.
HASHED_WITH = {"bf16", "lr_steps"}


def encode_config(config: Mapping[str, Any]) -> bytes:
    """The configuration as the bytes of its file, which end in the sha256 of the rest."""
    return encode_json({**config, "sha256": sum_of(config)})


def read_config(path: Path | str) -> dict[str, Any] | None:
    """A run directory's config.json; None if there is none, RunError if it is unreadable.

    A configuration of an earlier version has no sha256 of its own, and is taken as it stands.
    """
    file = Path(path) / CONFIG
    try:
        config: dict[str, Any] = parse(files.read_file(file), CONFIG_SCHEMA)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {file}: {describe_os_error(error)}") from error
    except JsonFault as fault:
        raise RunError(f"{file} is damaged ({fault})") from None
    return config


def settings_in(path: Path | str, config: Mapping[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """The settings in a configuration; ConfigError, naming the file, where they cannot be."""
    try:
        return ModelConfig.from_dict(config["model"]), TrainConfig.from_dict(config["train"])
    except UnknownPart as error:  # nothing is wrong with the file
        raise UnknownPart(f"{Path(path) / CONFIG}: {error}") from None
    except ConfigError as error:
        fix = "correct it, or remove the file: its checkpoints say the same"
        if "sha256" in config and _is_unaltered(config):
            fix = "nothing is wrong with the file: a newer minivae wrote it, so update this one"
        raise ConfigError(f"{Path(path) / CONFIG}: {error}; {fix}") from None


def require_unchanged(path: Path | str, config: dict[str, Any]) -> None:
    """RunError where a configuration is not, to the last bit, what was written."""
    if not _is_unhashed(config) and not _is_unaltered(config):
        raise RunError(
            f"{Path(path) / CONFIG} was damaged or edited after it was written (its sha256 "
            "differs): "
            "settings are changed by options of minivae train --resume"
        )


def unaltered_config(path: Path | str) -> dict[str, Any] | None:
    """A run directory's config.json as it was written; None if there is none.

    Raises RunError where it is unreadable or was edited, ConfigError where its settings cannot be.
    """
    config = read_config(path)
    if config is not None:
        settings_in(path, config)
        require_unchanged(path, config)
    return config


def _is_unhashed(config: Mapping[str, Any]) -> bool:
    """Whether an earlier version wrote this, that knew no sha256 and none of the newer keys."""
    return not HASHED_WITH & set(config["train"]) and not {"sha256", "environments"} & set(config)


def _is_unaltered(config: Mapping[str, Any]) -> bool:
    """Whether the configuration has the sha256 of its other keys."""
    return sum_of(config) == config.get("sha256")
